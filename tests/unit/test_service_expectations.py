"""Who has to meet which endpoints of a Service: held against the rules themselves, and against what clients met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from podlab.changes.kube_proxy import services as rules
from podlab.configs import ServicePortConfig
from podlab.planner.configs.services import ServicesConfigs
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.services.endpoint_pods import PodPlace
from podlab.planner.verify.expectations import End
from podlab.planner.verify.service_expectations import MOST, service_matrix
from podlab.planner.verify.service_probes import probes
from podlab.planner.verify.service_report import Flow, Report, judge, summary
from tests.simulated_packet import Packet, outcomes

READ: dict[str, Any] = {"links": {}}
HOSTS = [
    Host("node1", "node", "10.100.0.2", observation=READ),
    Host("node2", "node", "10.100.0.3", observation=READ),
    Host("gateway", "gateway", "10.100.0.1", observation=READ),
    Host("outside", "outside", "198.51.100.10"),
]
CIDRS = {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}
BRIDGES = {"node1": "10.1.1.1", "node2": "10.1.2.1"}
NODES = {host.name: host.address for host in HOSTS if host.role == "node"}


def end(name: str, kind: str, host: str, address: str) -> End:
    return {"name": name, "kind": kind, "host": host, "netns": name if kind == "pod" else None, "address": address}


ENDS = [
    end("here", "pod", "node1", "10.1.1.2"),
    end("client", "pod", "node1", "10.1.1.9"),
    end("there", "pod", "node2", "10.1.2.2"),
    end("node1", "node", "node1", "10.100.0.2"),
    end("node2", "node", "node2", "10.100.0.3"),
    end("outside", "outside", "outside", "198.51.100.10"),
]
BY_NAME = {one["name"]: one for one in ENDS}
PODS = {"10.1.1.2", "10.1.2.2", "10.1.1.9"}


def pods_at(*addresses: str) -> Any:
    """Of an endpoint the pod that has it: with a network namespace of its own, or a node's."""

    def of(_: str, found: Any) -> PodPlace | None:
        address = found["address"]
        if address not in addresses:
            return None
        return PodPlace(found["node"], None if address.startswith("10.100.") else f"ns-{address}", f"default/{address}")

    return of


HERE, THERE = "10.1.1.2:8080", "10.1.2.2:8080"


def endpoint(address: str, node: str = "", **facts: Any) -> Any:
    home = node or f"node{address.split('.')[2]}"
    own = {"address": address, "port": 8080, "node": home, "zones": []}
    return {**own, "ready": True, "serving": True, "terminating": False, **facts}


BOTH = [endpoint("10.1.1.2"), endpoint("10.1.2.2")]


def port(*endpoints: Any, **fields: Any) -> ServicePortConfig:
    row: Any = {
        **{"service": "default/web", "port_name": "http", "protocol": "tcp", "cluster_ip": "10.96.0.10", "port": 80},
        **{"node_port": 0, "external_ips": [], "load_balancer_ips": [], "source_ranges": []},
        **{"external_local": False, "internal_local": False, "affinity_seconds": 0, "health_check_node_port": 0},
    }
    return {**row, "endpoints": list(endpoints), **fields}


EVERY_WAY: dict[str, Any] = {
    "node_port": 30080,
    "external_ips": ["203.0.113.5"],
    "load_balancer_ips": ["192.0.2.1"],
}


def matrix(
    *ports: ServicePortConfig, hosts: list[Host] = HOSTS, ends: list[End] = ENDS, **settings: Any
) -> dict[str, Any]:
    return service_matrix(Cluster(**settings), hosts, CIDRS, ends, ports, pods_at(*PODS))


def ask(found: dict[str, Any], source: str, address: str) -> Any:
    (one,) = [one for one in found["asks"] if (one["source"], one["address"]) == (source, address)]
    return one


# --- as the rules have it -------------------------------------------------------------------------------


def met(one: Any, row: ServicePortConfig, cluster: Cluster) -> dict[str, str] | str:
    """What the rules of the nodes make of an ask: endpoints with the source that they see, or what else happens."""
    client = BY_NAME[one["source"]]
    source = one["caller"]
    for node in one["path"]:
        host = next(host for host in HOSTS if host.name == node)
        tables = rules.tables(ServicesConfigs(cluster, [row]).row(host, CIDRS[node]))
        packet = Packet(source, one["address"], one["port"], one["protocol"], (host.address, BRIDGES[node]))
        found = outcomes(tables, packet)
        if found in ({"reject"}, {"drop"}):
            return {"reject": "refused", "drop": "silence"}[found.pop()]
        if found != {"routed"}:
            return dict(_seen(result, source, node, cluster) for result in found)
        if client["kind"] == "pod" and not cluster.non_masquerade_cidrs:
            source = host.address  # podlab's own rule, not kube-proxy's
    return "routed"


def _seen(result: str, source: str, node: str, cluster: Cluster) -> tuple[str, str]:
    to, _, masquerade = result.partition(" ")
    if not masquerade:
        return to, source
    if to.startswith(CIDRS[node].removesuffix("0/24")):
        return to, BRIDGES[node]
    # What leaves by the overlay has the address of its device.
    return to, CIDRS[node].removesuffix("/24") if cluster.pod_routing == "vxlan" else NODES[node]


@pytest.mark.parametrize(
    "settings", [{}, {"masquerade_all": True}, {"non_masquerade_cidrs": ()}, {"pod_routing": "vxlan"}], ids=str
)
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="Cluster"),
        pytest.param({"external_local": True}, id="eTP Local"),
        pytest.param({"internal_local": True}, id="iTP Local"),
        pytest.param({"external_local": True, "internal_local": True}, id="both Local"),
        pytest.param({"source_ranges": ["10.1.2.0/24"]}, id="source ranges"),
        pytest.param({"source_ranges": ["10.100.0.2/32"], "external_local": True}, id="source range of a node"),
    ],
)
@pytest.mark.parametrize(
    "endpoints",
    [
        pytest.param(BOTH, id="on both nodes"),
        pytest.param(BOTH[1:], id="on the other node"),
        pytest.param([], id="none"),
        pytest.param([endpoint("10.1.1.2", ready=False, serving=False)], id="none ready"),
        pytest.param([endpoint("10.1.1.2", ready=False, terminating=True), BOTH[1]], id="one drains"),
        pytest.param([endpoint("10.1.1.2", ready=False, terminating=True)], id="all drain"),
    ],
)
def test_every_ask_expects_what_the_rules_do(endpoints, fields, settings):
    cluster = Cluster(**settings)
    row = port(*endpoints, **EVERY_WAY, **fields)
    found = matrix(row, **settings)["asks"]
    assert len(found) >= 25
    for one in found:
        wanted = one["backends"] if one["outcome"] == "answer" else one["outcome"]
        assert met(one, row, cluster) == wanted, one


def test_hints_count():
    row = port(endpoint("10.1.1.2", zones=["a"]), endpoint("10.1.2.2", zones=["b"]))
    hosts = [Host("node1", "node", "10.100.0.2", {"topology.kubernetes.io/zone": "b"}, READ), *HOSTS[1:]]
    found = matrix(row, hosts=hosts)
    assert list(ask(found, "client", "10.96.0.10")["backends"]) == [THERE]
    assert list(ask(found, "there", "10.96.0.10")["backends"]) == [HERE, THERE]


# --- in figures -----------------------------------------------------------------------------------------


def test_source_addresses_of_a_cluster_ip():
    found = matrix(port(*BOTH))
    assert ask(found, "client", "10.96.0.10") == {
        "source": "client",
        "caller": "10.1.1.9",
        "service": "default/web:http",
        "address": "10.96.0.10",
        "port": 80,
        "protocol": "tcp",
        "path": ["node1"],
        "outcome": "answer",
        "backends": {HERE: "10.1.1.9", THERE: "10.1.1.9"},
        "no_reply": [],
        "homes": {HERE: "node1", THERE: "node2"},
        "sticky": False,
        "tries": 13,
    }
    assert ask(found, "here", "10.96.0.10")["backends"] == {HERE: "10.1.1.1", THERE: "10.1.1.2"}, "hairpin"
    assert ask(found, "node1", "10.96.0.10")["backends"] == {HERE: "10.1.1.1", THERE: "10.100.0.2"}
    assert [one for one in found["asks"] if one["source"] == "outside"] == []


def test_a_pod_that_calls_another_node_keeps_its_address_or_not():
    """With policy Local the endpoints of a third node answer the pod itself, which has not called them."""
    row = port(*BOTH, node_port=30080, external_local=True)
    kept = ask(matrix(row), "client", "10.100.0.3")
    assert kept["path"] == ["node1", "node2"]
    assert (kept["backends"], kept["no_reply"]) == ({HERE: "10.1.1.9", THERE: "10.1.1.9"}, [HERE])
    hidden = ask(matrix(row, non_masquerade_cidrs=()), "client", "10.100.0.3")
    assert (hidden["backends"], hidden["no_reply"]) == ({THERE: "10.100.0.2"}, [])
    assert ask(matrix(row), "client", "10.100.0.2")["no_reply"] == []
    assert ask(matrix(port(*BOTH, node_port=30080)), "client", "10.100.0.3")["no_reply"] == []


def test_outside_keeps_its_address_with_policy_local_alone():
    row = port(*BOTH, node_port=30080, external_local=True)
    assert ask(matrix(row), "outside", "10.100.0.2")["backends"] == {HERE: "198.51.100.10"}
    assert ask(matrix(port(*BOTH, node_port=30080)), "outside", "10.100.0.2")["backends"] == {
        HERE: "10.1.1.1",
        THERE: "10.100.0.2",
    }


@pytest.mark.parametrize(
    ("settings", "node", "localhost"),
    [
        ({}, "answer", "answer"),
        ({"localhost_node_ports": False}, "answer", "refused"),
        ({"node_port_addresses": ("10.100.0.0/24",)}, "answer", "refused"),
        ({"node_port_addresses": ("127.0.0.0/8",)}, "refused", "answer"),
    ],
)
def test_where_node_ports_are_served(settings, node, localhost):
    found = matrix(port(*BOTH, node_port=30080), **settings)
    assert ask(found, "client", "10.100.0.2")["outcome"] == node
    assert {one["outcome"] for one in found["asks"] if one["address"] == "127.0.0.1"} == {localhost}
    assert {one["source"] for one in found["asks"] if one["address"] == "127.0.0.1"} == {"node1", "node2"}


def test_a_pod_on_its_nodes_network_sees_what_nobody_promises():
    row = port(endpoint("10.100.0.2", "node1"), endpoint("10.1.2.2"))
    found = service_matrix(Cluster(), HOSTS, CIDRS, ENDS, [row], pods_at(*PODS, "10.100.0.2"))
    assert ask(found, "client", "10.96.0.10")["backends"]["10.100.0.2:8080"] == ""
    assert ask(found, "there", "10.96.0.10")["backends"]["10.100.0.2:8080"] == "10.1.2.2"
    found = service_matrix(Cluster(non_masquerade_cidrs=()), HOSTS, CIDRS, ENDS, [row], pods_at(*PODS, "10.100.0.2"))
    assert ask(found, "there", "10.96.0.10")["backends"]["10.100.0.2:8080"] == "10.100.0.3"


def test_what_is_not_probed_is_said():
    found = matrix(port(endpoint("192.0.2.7")), port(*BOTH, port_name="", protocol="sctp"), port(*BOTH))
    assert found["unprobed"] == [
        "default/web:http: not probed: its endpoint 192.0.2.7 is no pod of the plan",
        "default/web: not probed: not every kernel has sockets of SCTP",
    ]
    assert (found["ports"], found["sampled"]) == (1, 1)


def test_above_a_limit_there_is_a_sample_the_same_in_every_run():
    ports = [port(*BOTH, service=f"default/s{at}") for at in range(2000)]
    found = matrix(*ports)
    assert found["ports"] == 2000
    assert len(found["asks"]) == MOST
    assert matrix(*ports) == found
    assert len({one["service"] for one in found["asks"]}) == found["sampled"] == MOST // 5


def test_a_single_port_is_asked_for_however_many_ask():
    ends = [end(f"p{at}", "pod", "node1", f"10.1.1.{at % 250 + 2}") for at in range(MOST + 1)]
    assert matrix(port(*BOTH), port(*BOTH), ends=ends)["sampled"] == 1


def test_each_host_looks_at_its_own_endpoints_and_asks_them_gently():
    found = matrix(
        port(*BOTH, node_port=30080), port(BOTH[0], port_name="b"), port(*BOTH, port_name="u", protocol="udp")
    )
    rows = probes(found, ENDS, [host.name for host in HOSTS])
    own = {"netns": "ns-10.1.1.2", "address": "10.1.1.2", "port": 8080}
    assert rows["node1"]["endpoints"] == [{**own, "protocol": "tcp"}, {**own, "protocol": "udp"}]
    assert rows["node1"]["watch"] > 2 * rows["node1"]["deadline"]
    assert rows["outside"]["watch"] == 0
    asked = {row["service"]: (row["together"], row["patience"]) for row in rows["node1"]["asks"]}
    # Two endpoints stand ten calls, of three hosts; one stands five, of two. Datagrams wait in nobody's queue.
    assert asked == {"default/web:http": (3, 7.5), "default/web:b": (2, 7.5), "default/web:u": (0, 1.0)}


def test_silence_that_is_expected_is_not_waited_for():
    row = port(BOTH[1], internal_local=True)
    rows = probes(matrix(row), ENDS, [host.name for host in HOSTS])["node1"]["asks"]
    assert {(one["together"], one["patience"]) for one in rows} == {(0, 1.0)}


def test_a_node_that_is_away_is_nobodys_way():
    hosts = [HOSTS[0], Host("node2", "node", "10.100.0.3"), *HOSTS[2:]]
    ends = [one for one in ENDS if one["host"] != "node2"]
    found = matrix(port(*BOTH, node_port=30080), hosts=hosts, ends=ends)
    assert {name for one in found["asks"] for name in one["path"]} == {"node1"}
    assert list(ask(found, "client", "10.96.0.10")["backends"]) == [HERE, THERE]


# --- tries and probes -----------------------------------------------------------------------------------


def test_clients_of_a_node_share_out_the_tries():
    one = matrix(port(BOTH[0]))["asks"]
    assert {item["tries"] for item in one} == {1}
    two = matrix(port(*BOTH))["asks"]
    assert {name: sum(item["tries"] for item in two if item["path"] == [name]) for name in ("node1", "node2")} == {
        "node1": 42,
        "node2": 38,
    }
    three = matrix(port(*BOTH, endpoint("10.1.1.9", port=81)))
    assert ask(three, "here", "10.96.0.10")["tries"] == 24, "it alone can find out whether it reaches itself"
    assert ask(three, "node1", "10.96.0.10")["tries"] < 24
    many = [endpoint(f"10.1.1.{at}") for at in range(2, 60)]
    found = service_matrix(
        Cluster(), HOSTS, CIDRS, ENDS[1:2], [port(*many)], pods_at(*(one["address"] for one in many))
    )
    assert found["asks"][0]["tries"] == 100


def test_a_refusal_is_waited_for_by_one_call_of_a_client_at_a_time():
    found = matrix(port(), port(BOTH[0], port_name="b"))
    rows = probes(found, ENDS, [host.name for host in HOSTS])["node1"]["asks"]
    assert {(row["serial_key"], row["until"], row["tries"]) for row in rows if row["netns"] == "client"} == {
        ("refusals client", "refused", 15),
        ("", "", 1),
    }


def test_of_many_refusals_each_client_hears_a_few_of_its_own():
    found = matrix(*(port(service=f"default/s{at}") for at in range(30)))
    by_source = {
        source: {one["service"] for one in found["asks"] if one["source"] == source} for source in ("here", "there")
    }
    assert [len(some) for some in by_source.values()] == [12, 12]
    assert by_source["here"] != by_source["there"]


def test_who_sticks_calls_twice_in_one_queue():
    found = matrix(port(*BOTH, affinity_seconds=9), port(BOTH[0], port_name="b"))
    rows = probes(found, ENDS, [host.name for host in HOSTS])
    assert {(row["tries"], row["serial_key"]) for row in rows["node1"]["asks"]} == {(2, "default/web:http"), (1, "")}


def test_every_host_calls_for_its_own_ends():
    found = matrix(port(*BOTH, node_port=30080))
    rows = probes(found, ENDS, [host.name for host in HOSTS])
    assert "gateway" not in rows
    assert rows["outside"]["watched"] == []
    assert rows["outside"]["asks"] == [
        {"id": at, "netns": None, "address": one["address"], "port": 30080, "protocol": "tcp", "tries": one["tries"], "serial_key": "", "until": "", "service": "default/web:http", "together": 3, "patience": 7.5}
        for at, one in enumerate(found["asks"])
        if one["source"] == "outside"
    ]  # fmt: skip
    assert sum(len(row["asks"]) for row in rows.values()) == len(found["asks"])
    assert {row["netns"] for row in rows["node1"]["asks"]} == {"here", "client", None}


def test_a_node_tells_of_what_it_turns():
    rows = probes(matrix(port(*BOTH, node_port=30080)), ENDS, [host.name for host in HOSTS])
    assert sorted(rows["node1"]["watched"]) == [
        ["10.1.1.1", 30080],
        ["10.1.1.2", 8080],
        ["10.100.0.2", 30080],
        ["10.100.0.3", 30080],
        ["10.96.0.10", 80],
        ["127.0.0.1", 30080],
    ]
    assert rows["node1"]["deadline"] >= 22


def test_node_ports_are_called_at_every_address_of_the_node_by_who_is_on_it():
    seen = {"links": {"docker0": {"addresses": ["172.17.0.1/16"]}, "lo": {"addresses": ["127.0.0.1/8"]}}}
    hosts = [Host("node1", "node", "10.100.0.2", observation=seen), *HOSTS[1:]]
    row = port(*BOTH, node_port=30080, external_local=True)
    found = matrix(row, hosts=hosts, pod_routing="vxlan", node_port_addresses=("172.16.0.0/12",))
    asks = [one for one in found["asks"] if one["address"] == "172.17.0.1"]
    assert [one["source"] for one in asks] == ["here", "client", "node1"]
    assert {one["outcome"] for one in asks} == {"answer"}
    assert asks[1]["backends"] == {HERE: "10.1.1.9", THERE: "10.1.1.9"}
    assert [one["caller"] for one in asks] == ["10.1.1.2", "10.1.1.9", "172.17.0.1"]
    assert asks[2]["backends"] == {HERE: "10.1.1.1", THERE: "10.1.1.0"}, "the end of the tunnel, which it leaves by"
    assert ask(found, "client", "10.1.1.1")["outcome"] == "refused"
    assert "10.1.1.0" not in {one["address"] for one in found["asks"]}, "some take it for a broadcast address"


# --- verdicts -------------------------------------------------------------------------------------------


def flow(one: Any, at: int, to: str, seen: str, *, source: str = "", source_port: int = 0) -> Flow:
    address, _, number = to.partition(":")
    came = source or one["caller"]
    return Flow(one["protocol"], came, source_port or at, one["address"], one["port"], seen, at, address, int(number))


def ideal(found: dict[str, Any]) -> tuple[dict[int, list[tuple[str, int]]], dict[str, list[Flow]]]:
    """Answers and flows of a cluster that does as expected: every client meets the endpoints in turn."""
    tries: dict[int, list[tuple[str, int]]] = {}
    flows: dict[str, list[Flow]] = {"node1": [], "node2": []}
    number = 1000
    for at, one in enumerate(found["asks"]):
        tries[at] = []
        for turn in range(max(one["tries"], 2)):
            number += 1
            tries[at].append((one["outcome"], number))
            if one["outcome"] == "answer":
                backends = list(one["backends"])
                to = backends[0 if one["sticky"] else turn % len(backends)]
                flows[one["path"][-1]].append(flow(one, number, to, one["backends"][to]))
    return tries, flows


def test_a_cluster_that_does_as_expected():
    row = port(*BOTH, **EVERY_WAY, source_ranges=["10.1.0.0/16"])
    found = matrix(row, port(port_name="nobody"), port(*BOTH, port_name="sticky", affinity_seconds=9))
    tries, flows = ideal(found)
    report = judged(found, tries, flows)
    assert report.wrong == []
    assert (report.asked, report.calls) == (len(found["asks"]), sum(map(len, tries.values())))


def judged(found: dict[str, Any], tries: Any, flows: Any, listening: Mapping[str, list[str]] = {}) -> Report:
    return judge(found["asks"], ENDS, tries, flows, listening, found["endpoints"])


def told(
    row: ServicePortConfig,
    source: str,
    tries: list[tuple[str, int]],
    flows: list[Flow],
    node: str = "node1",
    listening: Mapping[str, list[str]] = {},
) -> list[str]:
    """What is said of one client that meets this, with the others as they should be."""
    found = matrix(row)
    every, tracked = ideal(found)
    (at,) = [
        at for at, one in enumerate(found["asks"]) if (one["source"], one["address"]) == (source, row["cluster_ip"])
    ]
    every[at] = tries
    tracked[node] += flows
    return judged(found, every, tracked, listening).wrong


CLIENT = "pod client -> default/web:http at 10.96.0.10:80/tcp: "


@pytest.mark.parametrize(
    ("row", "outcome", "to", "words"),
    [
        pytest.param(port(*BOTH), "silence", None, f"expected one of {HERE}, {THERE}, got silence and to none of them", id="lost"),
        pytest.param(port(*BOTH), "refused", None, f"expected one of {HERE}, {THERE}, got refused and to none of them", id="refused"),
        pytest.param(port(*BOTH), "answer", ("10.1.1.7:8080", "10.1.1.9"), f"expected one of {HERE}, {THERE}, got to 10.1.1.7:8080", id="somebody else"),
        pytest.param(port(*BOTH), "answer", (HERE, "10.1.1.1"), f"{HERE}: expected source 10.1.1.9, got source 10.1.1.1", id="masqueraded"),
        pytest.param(port(*BOTH), "silence", (HERE, "10.1.1.9"), f"{HERE}: expected an answer, got silence", id="no answer"),
        pytest.param(port(), "answer", (HERE, "10.1.1.9"), f"expected refused, got to {HERE}", id="answered"),
        pytest.param(port(), "silence", None, "expected refused, got silence", id="silent"),
        pytest.param(port(BOTH[1], internal_local=True), "refused", None, "expected silence, got refused", id="not silent"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_client_that_met_something_else(row, outcome, to, words):
    (one,) = [one for one in matrix(row)["asks"] if one["source"] == "client"]
    flows = [flow(one, 7, *to)] if to else []
    assert told(row, "client", [(outcome, 7)], flows) == [CLIENT + words]


# --- endpoints at which no program answers --------------------------------------------------------------

AT_HERE, AT_THERE = f"{HERE}/tcp", f"{THERE}/tcp"


def met_at(to: str, outcome: str, looks: list[str], *, protocol: str = "tcp", is_home_told: bool = True) -> Report:
    """What is said where every call of one client is led to one endpoint; ``is_home_told``: its node has seen them."""
    row = port(*BOTH, protocol=protocol)
    found = matrix(row)
    tries, flows = ideal(found)
    (at,) = [at for at, one in enumerate(found["asks"]) if one["source"] == "client"]
    one = found["asks"][at]
    tries[at] = [(outcome, 7)]
    flows["node1"].append(flow(one, 7, to, "10.1.1.9"))
    if is_home_told:
        flows["node2"].append(Flow(protocol, "10.1.1.9", 7, "10.1.2.2", 8080, "10.1.1.9", 7, "10.1.2.2", 8080))
    return judged(found, tries, flows, {f"{to}/{protocol}": looks})


@pytest.mark.parametrize(
    ("outcome", "looks", "note"),
    [
        pytest.param("refused", ["nothing", "nothing"], "nothing listens there; the way there is as planned", id="nothing"),
        pytest.param("refused", ["only at 127.0.0.1"] * 2, "nothing listens there, but only at 127.0.0.1; the way there is as planned", id="elsewhere"),
        pytest.param("refused", ["nothing", "listens"], "nothing listened there yet; the way there is as planned", id="late"),
        pytest.param("refused", ["listens", "nothing"], "nothing listens there; the way there is as planned", id="ended"),
        pytest.param("silence", ["listens", "full"], "a program listens there, and does not accept its connections", id="stuck"),
    ],
)  # fmt: skip
def test_where_no_program_answers_that_is_a_note(outcome, looks, note):
    report = met_at(HERE, outcome, looks)
    assert report.wrong == []
    assert report.notes == [f"default/web:http -> pod default/10.1.1.2 ({AT_HERE} on node1): {note}"]


@pytest.mark.parametrize(
    ("outcome", "looks", "words"),
    [
        pytest.param("refused", ["listens", "listens"], "refused, though a program listens", id="listens"),
        pytest.param("refused", ["full", "full"], "refused, though a program listens", id="full refuses nothing"),
        pytest.param("refused", [], "refused, though a program listens", id="not known"),
        pytest.param("silence", ["full", "listens"], "silence", id="full for a moment"),
        pytest.param("silence", ["nothing", "nothing"], "silence", id="nothing listens, and nothing refuses"),
        pytest.param("no route to host", ["nothing"], "no route to host", id="another error"),
    ],
)
def test_what_is_a_fault_for_all_that(outcome, looks, words):
    report = met_at(HERE, outcome, looks)
    assert report.wrong == [f"{CLIENT}{HERE}: expected an answer, got {words}"]
    assert report.notes == []


@pytest.mark.parametrize(("protocol", "outcome"), [("tcp", "refused"), ("udp", "refused"), ("udp", "silence")])
def test_what_the_endpoints_node_has_not_seen_is_refused_or_lost_on_the_way(protocol, outcome):
    assert met_at(THERE, outcome, ["nothing"], protocol=protocol).wrong == []
    (words,) = met_at(THERE, outcome, ["nothing"], protocol=protocol, is_home_told=False).wrong
    assert words.endswith(f"{THERE}: expected an answer, got {outcome}, and node2 has not seen the call")


def test_a_program_that_has_nothing_to_say_by_udp_is_fine_and_one_that_refuses_is_not():
    report = met_at(HERE, "silence", ["listens"], protocol="udp")
    assert (report.wrong, report.notes) == ([], [])
    assert "refused, though" in met_at(HERE, "refused", ["listens"], protocol="udp").wrong[0]
    assert "nothing listens there" in met_at(HERE, "silence", ["nothing"], protocol="udp").notes[0]


def test_a_refusal_from_another_endpoint_than_planned_is_a_fault_whoever_listens():
    (one,) = [one for one in matrix(port(*BOTH))["asks"] if one["source"] == "client"]
    astray = flow(one, 7, "10.1.1.2:81", "10.1.1.9")
    words = told(port(*BOTH), "client", [("refused", 7)], [astray], listening={"10.1.1.2:81/tcp": ["nothing"]})
    assert words == [f"{CLIENT}expected one of {HERE}, {THERE}, got to 10.1.1.2:81"]


def test_a_node_that_has_lost_events_is_named_where_a_call_was_led_nowhere():
    found = matrix(port(*BOTH))
    tries, flows = ideal(found)
    assert judge(found["asks"], ENDS, tries, flows, {}, found["endpoints"], ["node1"]).wrong == []
    tries[0] = [("answer", 7)]
    *_, last = judge(found["asks"], ENDS, tries, flows, {}, found["endpoints"], ["node1"]).wrong
    assert last == "node1: it has lost events, and may not know where some calls went"


def test_the_same_mistake_is_told_once():
    assert len(told(port(*BOTH), "client", [("silence", 7), ("silence", 8)], [])) == 1


def test_a_client_of_whom_nothing_is_known():
    assert told(port(*BOTH), "client", [], []) == [f"{CLIENT}no answer from the host"]


def test_what_has_to_do_with_a_host_that_was_lost_is_not_judged():
    found = matrix(port(*BOTH), port(endpoint("10.1.1.2"), service="default/near", cluster_ip="10.96.0.11"))
    near = [one for one in found["asks"] if one["service"].startswith("default/near") and "node2" not in one["path"]]
    mine = [one for one in near if BY_NAME[one["source"]]["host"] != "node2"]
    report = judge(found["asks"], ENDS, {}, {}, {}, found["endpoints"], absent={"node2"})
    assert (report.asked, len(report.wrong)) == (len(mine), len(mine))
    assert 0 < len(mine) < len(found["asks"])
    report = judge(found["asks"], ENDS, {}, {}, {}, found["endpoints"], absent={"gateway"}, parted=True)
    alone = [one for one in near if one["path"] == ["node1"] and BY_NAME[one["source"]]["host"] == "node1"]
    assert report.asked == len(alone)


def test_an_endpoint_that_nobody_has_met():
    found = matrix(port(*BOTH))
    tries, flows = ideal(found)
    only = {node: [one for one in some if one.to != "10.1.2.2"] for node, some in flows.items()}
    kept = {one.source_port for some in only.values() for one in some}
    fewer = {at: [item for item in some if item[1] in kept] for at, some in tries.items()}
    assert judged(found, fewer, only).wrong == [
        f"default/web:http on {node}: nobody has met {THERE}" for node in ("node1", "node2")
    ]


def test_a_client_that_does_not_stick():
    row = port(*BOTH, affinity_seconds=9)
    (one,) = [one for one in matrix(row)["asks"] if one["source"] == "client"]
    flows = [flow(one, 7, HERE, "10.1.1.9"), flow(one, 8, THERE, "10.1.1.9")]
    assert told(row, "client", [("answer", 7), ("answer", 8)], flows) == [
        f"{CLIENT}expected one endpoint for one client, got {HERE}, {THERE}"
    ]


@pytest.mark.parametrize(
    ("outcomes", "itself", "is_wrong"),
    [
        pytest.param(["late answer"] + ["answer"] * 15, 0, True, id="lost"),
        pytest.param(["late answer"] * 15 + ["answer"], 1, False, id="met"),
        pytest.param(["answer"] * 16, 0, False, id="by chance"),
        pytest.param(["late answer"] * 15, 0, False, id="too few to tell"),
    ],
)
def test_a_pod_that_never_meets_itself_where_tcp_had_to_ask_again(outcomes, itself, is_wrong):
    (one,) = [one for one in matrix(port(*BOTH))["asks"] if one["source"] == "here"]
    met = [HERE] * itself + [THERE] * (len(outcomes) - itself)
    flows = [flow(one, at, to, one["backends"][to]) for at, to in enumerate(met, 1)]
    words = told(port(*BOTH), "here", [(outcome, at) for at, outcome in enumerate(outcomes, 1)], flows)
    who = "pod here -> default/web:http at 10.96.0.10:80/tcp: "
    wrong = f"{who}expected to meet itself ({HERE}) as well, got 1 of 16 answers late, all by others"
    assert words == ([wrong] if is_wrong else [])


def test_a_call_is_followed_through_the_nodes_that_change_its_source():
    """The client's node gives it another port as well."""
    row = port(*BOTH, node_port=30080)
    found = matrix(row, non_masquerade_cidrs=())
    tries, flows = ideal(found)
    (at,) = [at for at, one in enumerate(found["asks"]) if (one["source"], one["address"]) == ("client", "10.100.0.3")]
    one = found["asks"][at]
    tries[at] = [("answer", 7)]
    flows["node1"].append(flow(one, 4242, "10.100.0.3:30080", "10.100.0.2", source_port=7))
    assert "none of them" in judged(found, tries, flows).wrong[0]
    flows["node2"].append(flow(one, 5, HERE, "10.100.0.3", source="10.100.0.2", source_port=4242))
    assert judged(found, tries, flows).wrong == []


def test_what_is_said_when_nothing_is_wrong():
    found = matrix(port(*BOTH), port(endpoint("192.0.2.7"), port_name="x"))
    report = judged(found, *ideal(found))
    assert summary(found, report) == [
        "default/web:x: not probed: its endpoint 192.0.2.7 is no pod of the plan",
        f"5 of 5 ways to Services are as planned, source addresses included; {report.calls} calls met every endpoint\n",
    ]
    assert summary({**found, "unprobed": [], "ports": 9}, report)[0] == "1 of 9 ports of Services, a sample"
    nothing = matrix()
    assert summary(nothing, judge([], ENDS, {}, {}, {}, {})) == []

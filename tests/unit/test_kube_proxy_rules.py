"""From what a node is told about services to its KUBE-* chains: as a real kube-proxy writes them, and what they do."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.kube_proxy import names as kube_names
from podlab.changes.kube_proxy import services
from podlab.changes.netfilter import iptables_save
from podlab.configs import EndpointConfig, ServicePortConfig, ServicesConfig
from tests.simulated_packet import Packet, outcomes

RECORDED = sorted((Path(__file__).parents[1] / "kube-proxy").glob("*.json"))

NODE, BRIDGE, POD, OUTSIDE = "10.100.0.2", "10.1.1.1", "10.1.1.9", "198.51.100.10"
HERE, THERE = "10.1.1.2:8080", "10.1.2.2:8080"
CLUSTER_IP, EXTERNAL_IP, BALANCER_IP, NODE_PORT = "10.96.0.10", "203.0.113.250", "203.0.113.10", 30080


def endpoint(address: str = "10.1.1.2", node: str | None = None, **fields: Any) -> EndpointConfig:
    """Ready, and on the node that its address says."""
    where = f"node{address.split('.')[2]}" if node is None else node
    row: Any = {"address": address, "port": 8080, "node": where, "ready": True, "serving": True, "terminating": False}
    return {**row, "zones": [], **fields}


DRAINING = {"ready": False, "serving": True, "terminating": True}
UNREADY = {"ready": False, "serving": False}
BOTH = [endpoint("10.1.1.2"), endpoint("10.1.2.2")]


def port(*endpoints: EndpointConfig, **fields: Any) -> ServicePortConfig:
    row: Any = {
        **{"service": "default/web", "port_name": "http", "protocol": "tcp", "cluster_ip": CLUSTER_IP, "port": 80},
        **{"node_port": 0, "external_ips": [], "load_balancer_ips": [], "source_ranges": []},
        **{"external_local": False, "internal_local": False, "affinity_seconds": 0, "health_check_node_port": 0},
    }
    return {**row, "endpoints": list(endpoints), **fields}


def row(*ports: ServicePortConfig, **fields: Any) -> ServicesConfig:
    whole: Any = {
        **{"node": "node1", "zone": "", "addresses": [NODE, BRIDGE]},
        **{"cluster_cidr": "10.1.0.0/16", "service_cidr": "10.96.0.0/16", "masquerade_all": False},
        **{"localhost_node_ports": True, "node_port_addresses": []},
        **{"affinity_by_ipset": False, "reject_undefined_ports": False},
    }
    return {**whole, "ports": list(ports), **fields}


def chains(table: str, *ports: ServicePortConfig, **fields: Any) -> dict[str, list[str]]:
    return services.tables(row(*ports, **fields))[table]["chains"]


def rules(table: str, chain: str, *ports: ServicePortConfig, **fields: Any) -> list[str]:
    """Of a chain by its name, or by the middle of it where there is but one such chain."""
    found = chains(table, *ports, **fields)
    (name,) = [name for name in found if name == chain or name.startswith(f"KUBE-{chain}-")]
    return found[name]


# --- what a real kube-proxy wrote


def recorded_row(case: dict[str, Any]) -> ServicesConfig:
    """Services and EndpointSlices of a recorded case as a node is told about them, with Kubernetes' defaults."""
    ports = []
    for service in case["services"]:
        spec, name = service["spec"], service["metadata"]["name"]
        if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName":
            continue
        affinity = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", 10800)
        for item in spec["ports"]:
            ports.append(
                port(
                    *_recorded_endpoints(case, name, item),
                    service=f"default/{name}",
                    port_name=item.get("name", ""),
                    protocol=item.get("protocol", "TCP").lower(),
                    cluster_ip=spec["clusterIP"],
                    port=item["port"],
                    node_port=item.get("nodePort", 0),
                    external_ips=spec.get("externalIPs", []),
                    load_balancer_ips=[
                        ingress["ip"]
                        for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress", [])
                    ],
                    source_ranges=spec.get("loadBalancerSourceRanges", []),
                    external_local=spec.get("externalTrafficPolicy") == "Local",
                    internal_local=spec.get("internalTrafficPolicy") == "Local",
                    affinity_seconds=affinity if spec.get("sessionAffinity") == "ClientIP" else 0,
                )
            )
    return row(*ports)


def _recorded_endpoints(case: dict[str, Any], service: str, item: dict[str, Any]) -> list[EndpointConfig]:
    return [
        endpoint(found["addresses"][0], found["nodeName"], port=target["port"])
        for part in case["endpointslices"]
        if part["metadata"]["labels"]["kubernetes.io/service-name"] == service
        for target in part["ports"]
        if target.get("name", "") == item.get("name", "")
        for found in part["endpoints"]
    ]


def in_any_order(tables: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    """With the chains sorted where services may stand in any order; the last rule of KUBE-SERVICES stays last."""
    shared = ("KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL")
    free = {name: {chain: sorted(found[chain]) for chain in shared if chain in found} for name, found in tables.items()}
    last = {
        name: {"KUBE-SERVICES": [*sorted(found["KUBE-SERVICES"][:-1]), *found["KUBE-SERVICES"][-1:]]}
        for name, found in tables.items()
        if "KUBE-SERVICES" in found
    }
    return {name: {**found, **free[name], **last.get(name, {})} for name, found in tables.items()}


@pytest.mark.parametrize("case", RECORDED, ids=lambda path: path.stem)
def test_chains_and_jumps_are_those_of_a_real_kube_proxy(case):
    written = iptables_save.parsed(case.with_suffix(".save").read_text())
    mine = services.tables(recorded_row(json.loads(case.read_text())))
    whole = {
        table: {
            **{chain: [] for chain in written[table] if not chain.startswith("KUBE-")},
            **parts["jumps"],
            **parts["chains"],
        }
        for table, parts in mine.items()
    }
    assert in_any_order(whole) == in_any_order(written)


def test_every_recorded_case_is_here():
    assert len(RECORDED) == 10


# --- what podlab writes for what was not recorded


def added(tables: dict[str, Any]) -> str:
    """What there is beyond the chains of a node without services, as ``iptables-save`` prints it."""
    plain = services.tables(row())
    lines = []
    for table in ("filter", "nat"):
        known, found = plain[table], tables[table]
        own = [
            f"-A {chain} {rule}"
            for part in ("jumps", "chains")
            for chain in sorted(found[part])
            for rule in found[part][chain]
            if rule not in known[part].get(chain, [])
        ]
        lines += [f"*{table}", *own] if own else []
    return "".join(f"{line}\n" for line in lines)


LOAD_BALANCER = {"load_balancer_ips": [BALANCER_IP], "node_port": NODE_PORT}
LOCAL = {"external_local": True, "internal_local": True}
EVERY_WAY_IN = {**LOAD_BALANCER, "external_ips": [EXTERNAL_IP]}
GOLDEN = {
    "multi-port": row(
        port(endpoint(port=53), service="default/dns", port_name="dns", protocol="udp", port=53),
        port(endpoint(port=53), service="default/dns", port_name="dns-tcp", protocol="tcp", port=53),
        port(endpoint(port=9153), service="default/dns", port_name="metrics", protocol="sctp", port=9153),
    ),
    "affinity-node-port": row(port(*BOTH, node_port=NODE_PORT, affinity_seconds=10800, external_local=True)),
    "affinity-ipset": row(port(*BOTH, affinity_seconds=600), affinity_by_ipset=True),
    "several-addresses": row(
        port(endpoint(), external_ips=["203.0.113.1", "203.0.113.2"], load_balancer_ips=["203.0.113.3", "203.0.113.4"])
    ),
    "source-ranges-of-the-node": row(
        port(endpoint(), **LOAD_BALANCER, source_ranges=["10.100.0.0/24", "192.0.2.7/32"])
    ),
    "source-range-of-all": row(port(endpoint(), **LOAD_BALANCER, source_ranges=["0.0.0.0/0"])),
    "load-balancer-local": row(
        port(*BOTH, **LOAD_BALANCER, external_local=True, health_check_node_port=31000),
    ),
    "internal-local": row(port(*BOTH, internal_local=True, node_port=NODE_PORT)),
    "no-local-endpoints": row(port(endpoint("10.1.2.2"), **EVERY_WAY_IN, **LOCAL)),
    "no-endpoints": row(port(**EVERY_WAY_IN, source_ranges=["198.51.100.0/24"])),
    "masquerade-all": row(port(endpoint(), internal_local=True), masquerade_all=True),
    "node-port-addresses": row(node_port_addresses=["127.0.0.0/8", "10.100.0.0/16"]),
    "localhost-off": row(localhost_node_ports=False),
    "undefined-ports": row(
        port(endpoint()), port(endpoint(), port_name="https", port=443), reject_undefined_ports=True
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_rules_of_a_case_of_our_own(name, golden):
    golden(f"kube-{name}.rules", added(services.tables(GOLDEN[name])))


def test_a_policy_for_those_from_outside_makes_no_chain_where_there_is_no_way_in():
    """A load balancer that has no address yet, and no node port."""
    policy = port(*BOTH, external_local=True)
    assert services.tables(row(policy)) == services.tables(row(port(*BOTH)))


# --- names and numbers


def test_one_chain_hash_for_all_chains_of_a_port_and_one_for_each_endpoint():
    """As recorded, so that a hash of something else shows."""
    assert kube_names.service_chains("default/web:http", "tcp")["EXT"] == "KUBE-EXT-CDGGSHYLG3RE2FKL"
    assert kube_names.endpoint_chain("default/dns", "udp", "10.1.1.2:53") == "KUBE-SEP-2H5UX5AXXVUCZLHB"


@pytest.mark.parametrize(
    ("choices", "printed"),
    [
        (2, "0.50000000000"),
        (3, "0.33333333349"),
        (7, "0.14285714272"),
        (44, "0.02272727247"),
        (1000, "0.00100000016"),
        (5000, "0.00020000013"),
    ],
)
def test_a_chance_is_what_the_kernel_keeps_of_it(choices, printed):
    """tests/lab/test_kube_rules.py asks the kernel about more of them."""
    assert kube_names.probability(choices) == printed


def test_endpoints_stand_in_the_order_of_their_text():
    addresses = ["10.1.1.2", "10.1.1.10", "10.1.1.9", "10.1.2.1"]
    to = re.findall(r"-> (\S+):8080", " ".join(rules("nat", "SVC", port(*map(endpoint, addresses)))))
    assert to == ["10.1.1.10", "10.1.1.2", "10.1.1.9", "10.1.2.1"]


def test_ports_of_one_address_stand_in_the_order_of_their_text_too():
    found = rules("nat", "SVC", port(endpoint(port=9000), endpoint(port=10000)))
    assert [rule.split('"')[1] for rule in found[1:]] == [
        "default/web:http -> 10.1.1.2:10000",
        "default/web:http -> 10.1.1.2:9000",
    ]


def test_the_chances_of_ten_endpoints_make_each_as_likely_as_the_others():
    found = rules("nat", "SVC", port(*(endpoint(f"10.1.1.{i}") for i in range(10, 20))))[1:]
    left, shares = 1.0, []
    for rule in found:
        chance = float(rule.split("--probability ")[1].split()[0]) if "--probability" in rule else 1.0
        shares.append(left * chance)
        left *= 1 - chance
    assert shares == pytest.approx([0.1] * 10, abs=1e-8)


def test_an_endpoint_that_two_slices_name_is_one_and_where_one_of_them_says_it_is_here_it_is_here():
    twice = port(endpoint(node="node2"), endpoint(node="node1"), endpoint(node=""), internal_local=True)
    assert len(rules("nat", "SVL", twice)) == 2


# --- counts of kube-proxy's own test, which has no localhost guard


def many(count: int, endpoints: int, **fields: Any) -> list[ServicePortConfig]:
    return [
        port(*(endpoint(f"10.1.{i}.{k + 2}") for k in range(endpoints)), service=f"default/s{i}",
             cluster_ip=f"10.96.0.{i + 1}", **fields)
        for i in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([], (3, 5), id="none"),
        pytest.param(many(1, 1), (3, 10), id="one"),
        pytest.param(many(10, 10), (3, 325), id="ten"),
        pytest.param(many(10, 10, **LOAD_BALANCER, source_ranges=["192.0.2.0/24"]), (13, 385), id="ten load balancers"),
        pytest.param(many(100, 11), (3, 5 + 100 * 35), id="large cluster"),
    ],
)
def test_as_many_rules_as_kube_proxy_has(ports, expected):
    counted = [sum(map(len, chains(table, *ports, localhost_node_ports=False).values())) for table in ("filter", "nat")]
    assert tuple(counted) == expected


def test_beyond_a_thousand_endpoints_of_all_services_rules_of_endpoints_lose_their_comments():
    at_most, beyond = many(10, 100, affinity_seconds=5), [*many(10, 100, affinity_seconds=5), port(endpoint(**UNREADY))]
    for ports, commented in ((at_most, True), (beyond, False)):
        found = chains("nat", *ports)
        service = kube_names.service_chains("default/s0:http", "tcp")["SVC"]
        last = kube_names.endpoint_chain("default/s0:http", "tcp", "10.1.0.2:8080")
        assert all(("--comment" in rule) is commented for rule in [*found[service][1:], *found[last]])
        assert all("--comment" in rule for rule in [*found["KUBE-SERVICES"], found[service][0]])


def test_the_same_endpoint_twice_does_not_make_a_cluster_large():
    found = rules("nat", "SVC", port(*[endpoint()] * 1001))
    assert "--comment" in found[-1]


# --- which endpoints


@pytest.mark.parametrize(
    ("endpoints", "anywhere", "here"),
    [
        pytest.param([endpoint(), endpoint("10.1.2.2")], {HERE, THERE}, {HERE}, id="ready"),
        pytest.param([endpoint(**UNREADY), endpoint("10.1.2.2")], {THERE}, {"drop"}, id="one is not"),
        pytest.param([endpoint(**DRAINING), endpoint("10.1.2.2")], {THERE}, {HERE}, id="the local one drains"),
        pytest.param([endpoint(**DRAINING), endpoint("10.1.2.2", **DRAINING)], {HERE, THERE}, {HERE}, id="all drain"),
        pytest.param([endpoint(ready=False, serving=True)], {"reject"}, {"reject"}, id="serving alone is not enough"),
        pytest.param([endpoint(ready=False, serving=False, terminating=True)], {"reject"}, {"reject"}, id="drained"),
        pytest.param([endpoint(terminating=True)], {HERE}, {HERE}, id="publishNotReadyAddresses, terminating"),
        pytest.param([endpoint(node="")], {HERE}, {"drop"}, id="nobody knows where it is"),
        pytest.param([], {"reject"}, {"reject"}, id="none"),
    ],
)
def test_ready_endpoints_answer_and_draining_ones_where_there_are_no_others(endpoints, anywhere, here):
    for policy, expected in ((False, anywhere), (True, here)):
        tables = services.tables(row(port(*endpoints, internal_local=policy)))
        assert outcomes(tables, Packet(POD, CLUSTER_IP, 80, own=(NODE, BRIDGE))) == expected


def hinted(*zones: str) -> list[EndpointConfig]:
    """An endpoint for each of the words, here and there in turn; ``-`` has no hint."""
    return [
        endpoint(f"10.1.{1 + i % 2}.{2 + i // 2}", zones=[] if zone == "-" else zone.split(","))
        for i, zone in enumerate(zones)
    ]


@pytest.mark.parametrize(
    ("zone", "endpoints", "expected"),
    [
        pytest.param("a", hinted("a", "b"), {HERE}, id="the one of this zone"),
        pytest.param("b", hinted("a", "a,b"), {THERE}, id="a hint for two zones"),
        pytest.param("c", hinted("a", "b"), {HERE, THERE}, id="none for this zone"),
        pytest.param("a", hinted("a", "-"), {HERE, THERE}, id="one without a hint"),
        pytest.param("", hinted("a", "b"), {HERE, THERE}, id="a node without a zone"),
        pytest.param("b", [endpoint(zones=["a"]), endpoint("10.1.2.2", **UNREADY)], {HERE}, id="unready ones are not asked"),
        pytest.param("a", [endpoint(zones=["a"]), endpoint("10.1.2.2", **UNREADY), endpoint("10.1.2.3", zones=["b"])], {HERE}, id="nor may they spoil it"),
        pytest.param("b", [endpoint(zones=["a"], **DRAINING), endpoint("10.1.2.2", zones=["b"], **DRAINING)], {HERE, THERE}, id="draining ones have no zones"),
    ],
)  # fmt: skip
def test_hints_keep_traffic_in_its_zone(zone, endpoints, expected):
    tables = services.tables(row(port(*endpoints), zone=zone))
    assert outcomes(tables, Packet(POD, CLUSTER_IP, 80, own=(NODE, BRIDGE))) == expected


def test_hints_do_not_count_for_policy_local():
    tables = services.tables(row(port(*hinted("b", "a"), internal_local=True), zone="a"))
    assert outcomes(tables, Packet(POD, CLUSTER_IP, 80, own=(NODE, BRIDGE))) == {HERE}


def test_hints_and_policy_local_together_keep_chains_for_both():
    """The local endpoint is hinted away, but those from outside may have no other."""
    found = port(*hinted("b", "a"), node_port=NODE_PORT, external_local=True)
    tables = services.tables(row(found, zone="a"))
    assert outcomes(tables, Packet(POD, NODE, NODE_PORT, own=(NODE,))) == {THERE}
    assert outcomes(tables, Packet(OUTSIDE, NODE, NODE_PORT, own=(NODE,))) == {HERE}


# --- the masquerade matrix (behaviour page, 1.3)


def masq(*endpoints: str) -> set[str]:
    return {f"{to} masq" for to in endpoints}


MATRIX = {
    "Cluster": {},
    "eTP Local": {"external_local": True},
    "iTP Local": {"internal_local": True},
    "masqueradeAll": {},
}
ALL, SOLE = (HERE, THERE), (HERE,)
EXPECTED: list[tuple[str, Callable[[], list[Packet]], dict[str, set[str]]]] = [
    (
        "pod to ClusterIP",
        lambda: [Packet(POD, CLUSTER_IP, 80)],
        {"Cluster": set(ALL), "eTP Local": set(ALL), "iTP Local": set(SOLE), "masqueradeAll": masq(*ALL)},
    ),
    (
        "pod to NodePort or an outer address",
        lambda: outer(POD),
        {"Cluster": masq(*ALL), "eTP Local": set(ALL), "iTP Local": masq(*ALL), "masqueradeAll": masq(*ALL)},
    ),
    (
        "node to ClusterIP",
        lambda: [Packet(NODE, CLUSTER_IP, 80)],
        {"Cluster": masq(*ALL), "eTP Local": masq(*ALL), "iTP Local": masq(*SOLE), "masqueradeAll": masq(*ALL)},
    ),
    (
        "node to NodePort or an outer address",
        lambda: [*outer(NODE), Packet("127.0.0.1", "127.0.0.1", NODE_PORT)],
        {"Cluster": masq(*ALL), "eTP Local": masq(*ALL), "iTP Local": masq(*ALL), "masqueradeAll": masq(*ALL)},
    ),
    (
        "outside to ClusterIP",
        lambda: [Packet(OUTSIDE, CLUSTER_IP, 80)],
        {"Cluster": masq(*ALL), "eTP Local": masq(*ALL), "iTP Local": masq(*SOLE), "masqueradeAll": masq(*ALL)},
    ),
    (
        "outside to NodePort or an outer address",
        lambda: outer(OUTSIDE),
        {"Cluster": masq(*ALL), "eTP Local": set(SOLE), "iTP Local": masq(*ALL), "masqueradeAll": masq(*ALL)},
    ),
]  # fmt: skip


def outer(source: str) -> list[Packet]:
    return [
        Packet(source, NODE, NODE_PORT),
        Packet(source, BRIDGE, NODE_PORT),
        Packet(source, EXTERNAL_IP, 80),
        Packet(source, BALANCER_IP, 80),
    ]


def at(node: Packet, own: tuple[str, ...] = (NODE, BRIDGE)) -> Packet:
    return Packet(node.source, node.to, node.port, node.protocol, own)


@pytest.mark.parametrize("column", MATRIX)
@pytest.mark.parametrize(("client", "packets", "expected"), EXPECTED, ids=[name for name, _, _ in EXPECTED])
def test_who_reaches_whom_and_with_which_source(column, client, packets, expected):
    whole = row(port(*BOTH, **EVERY_WAY_IN, **MATRIX[column]), masquerade_all=column == "masqueradeAll")
    tables = services.tables(whole)
    for packet in packets():
        assert outcomes(tables, at(packet)) == expected[column], packet


@pytest.mark.parametrize("client", [POD, OUTSIDE, NODE])
def test_a_pod_that_meets_itself_does_not_see_its_own_address(client):
    """SEP marks what comes from the endpoint itself; EXT and SVC have marked the others."""
    tables = services.tables(row(port(endpoint(client))))
    assert outcomes(tables, at(Packet(client, CLUSTER_IP, 80))) == {f"{client}:8080 masq"}


@pytest.mark.parametrize(
    ("fields", "inside", "outside"),
    [
        pytest.param({}, THERE, f"{THERE} masq", id="Cluster"),
        pytest.param({"external_local": True}, THERE, "drop", id="eTP Local"),
        pytest.param({"internal_local": True}, "drop", f"{THERE} masq", id="iTP Local"),
        pytest.param(LOCAL, "drop", "drop", id="both"),
    ],
)
def test_nobody_here_is_silence_for_those_whose_policy_is_local(fields, inside, outside):
    tables = services.tables(row(port(endpoint("10.1.2.2"), **EVERY_WAY_IN, **fields)))
    assert outcomes(tables, at(Packet(POD, CLUSTER_IP, 80))) == {inside}
    for packet in outer(OUTSIDE):
        assert outcomes(tables, at(packet)) == {outside}
    for packet in [*outer(POD), *outer(NODE)]:  # pods and nodes are never outside
        assert {to.removesuffix(" masq") for to in outcomes(tables, at(packet))} == {THERE}


@pytest.mark.parametrize("fields", [{}, {"external_local": True}, {"internal_local": True}, LOCAL])
@pytest.mark.parametrize("client", [POD, OUTSIDE, NODE])
def test_nobody_anywhere_is_refused_at_once_whatever_the_policy(fields, client):
    tables = services.tables(row(port(endpoint(**UNREADY), **EVERY_WAY_IN, **fields)))
    for packet in [Packet(client, CLUSTER_IP, 80), *outer(client)]:
        # Nothing in OUTPUT leads to KUBE-EXTERNAL-SERVICES: from the node itself such a packet goes its way.
        from_node = client == NODE and packet.to in (EXTERNAL_IP, BALANCER_IP)
        assert outcomes(tables, at(packet)) == {"routed" if from_node else "reject"}


def test_each_port_and_protocol_has_endpoints_of_its_own():
    tables = services.tables(
        row(
            port(endpoint(port=1), port_name="a", port=53, protocol="udp"),
            port(endpoint(port=2), port_name="b", port=53, protocol="tcp"),
            port(endpoint(port=3), port_name="c", port=53, protocol="sctp"),
            port(port_name="d", port=54, protocol="tcp"),
        )
    )
    for number, protocol in ((1, "udp"), (2, "tcp"), (3, "sctp")):
        packet = Packet(POD, CLUSTER_IP, 53, protocol, own=(NODE,))
        assert outcomes(tables, packet) == {f"10.1.1.2:{number}"}
    assert outcomes(tables, at(Packet(POD, CLUSTER_IP, 54))) == {"reject"}
    assert outcomes(tables, at(Packet(POD, CLUSTER_IP, 54, "udp"))) == {"routed"}


# --- source ranges


@pytest.mark.parametrize(
    ("ranges", "let_in"),
    [
        (["198.51.100.0/24"], {OUTSIDE}),
        (["10.1.1.9/32", "198.51.100.10/32"], {OUTSIDE, POD}),
        (["0.0.0.0/1", "128.0.0.0/1"], {OUTSIDE, POD, NODE}),
        (["0.0.0.0/0"], {OUTSIDE, POD, NODE}),
        (["255.0.0.0/32"], set()),
        ([], {OUTSIDE, POD, NODE}),
    ],
)
def test_those_outside_the_ranges_get_no_answer_from_the_load_balancer(ranges, let_in):
    tables = services.tables(row(port(endpoint("10.1.2.2"), **EVERY_WAY_IN, source_ranges=ranges)))
    for client in (OUTSIDE, POD, NODE):
        expected = {f"{THERE} masq"} if client in let_in else {"drop"}
        assert outcomes(tables, at(Packet(client, BALANCER_IP, 80))) == expected
        for packet in (Packet(client, NODE, NODE_PORT), Packet(client, EXTERNAL_IP, 80)):
            assert outcomes(tables, at(packet)) == {f"{THERE} masq"}, "a range says nothing of other ways in"


@pytest.mark.parametrize(("ranges", "expected"), [(["10.100.0.0/24"], f"{THERE} masq"), (["10.1.1.0/24"], "drop")])
def test_a_node_that_has_the_balancers_address_itself_comes_in_where_its_own_ip_may(ranges, expected):
    """Its own IP is its first address; the bridge's does not count."""
    tables = services.tables(row(port(endpoint("10.1.2.2"), **LOAD_BALANCER, source_ranges=ranges)))
    packet = Packet(BALANCER_IP, BALANCER_IP, 80, own=(NODE, BRIDGE, BALANCER_IP))
    assert outcomes(tables, packet) == {expected}


# --- node ports


@pytest.mark.parametrize(
    ("fields", "answering"),
    [
        pytest.param({}, {NODE, BRIDGE, "127.0.0.1", "127.0.0.5"}, id="everywhere"),
        pytest.param({"localhost_node_ports": False}, {NODE, BRIDGE}, id="localhost off"),
        pytest.param({"node_port_addresses": ["10.100.0.0/16"]}, {NODE}, id="one network"),
        pytest.param({"node_port_addresses": ["10.0.0.0/8", NODE + "/32"]}, {NODE, BRIDGE}, id="two that overlap"),
        pytest.param({"node_port_addresses": ["127.0.0.0/8"]}, {"127.0.0.1"}, id="localhost alone"),
        pytest.param(
            {"node_port_addresses": ["127.0.0.1/32", BRIDGE + "/32"]}, {"127.0.0.1", BRIDGE}, id="and another"
        ),
        pytest.param(
            {"node_port_addresses": ["127.0.0.0/8"], "localhost_node_ports": False}, set(), id="localhost, and off"
        ),
        pytest.param({"node_port_addresses": ["192.0.2.0/24"]}, set(), id="none of its addresses"),
        pytest.param(
            {"node_port_addresses": ["192.0.2.0/24", "0.0.0.0/0"]},
            {NODE, BRIDGE, "127.0.0.1", "127.0.0.5"},
            id="all is all",
        ),
        pytest.param(
            {"node_port_addresses": ["fd00::/8"]}, {NODE, BRIDGE, "127.0.0.1", "127.0.0.5"}, id="none of this family"
        ),
    ],
)
def test_addresses_where_node_ports_answer(fields, answering):
    tables = services.tables(row(port(endpoint("10.1.2.2"), node_port=NODE_PORT), **fields))
    for address in (NODE, BRIDGE, "127.0.0.1", "127.0.0.5"):
        expected = {f"{THERE} masq"} if address in answering else {"here"}
        source = "127.0.0.1" if address.startswith("127.") else NODE
        assert outcomes(tables, at(Packet(source, address, NODE_PORT))) == expected
    assert outcomes(tables, at(Packet(POD, "10.100.0.3", NODE_PORT))) == {"routed"}, "another node's is that node's"


@pytest.mark.parametrize(
    ("fields", "guarded"),
    [
        ({}, True),
        ({"localhost_node_ports": False}, False),
        ({"node_port_addresses": ["10.100.0.0/16"]}, False),
        ({"node_port_addresses": ["127.0.0.0/8"]}, True),
    ],
)
def test_neighbours_are_kept_from_localhost_where_it_is_open(fields, guarded):
    tables = services.tables(row(**fields))
    assert bool(tables["filter"]["chains"]["KUBE-FIREWALL"]) is guarded
    assert tables["filter"]["jumps"]["INPUT"][0] == "-j KUBE-FIREWALL", "on a cluster the kubelet wants it, in any case"
    from_beside = Packet("10.100.0.3", "127.0.0.1", 10249, own=(NODE,))
    assert outcomes(tables, from_beside) == ({"drop"} if guarded else {"here"})
    assert outcomes(tables, Packet("127.0.0.1", "127.0.0.1", 10249, own=(NODE,))) == {"here"}


@pytest.mark.parametrize("liberal", [True, False])
def test_what_belongs_to_no_connection_is_dropped_unless_the_kernel_is_liberal(liberal):
    found = chains("filter", is_liberal=liberal)["KUBE-FORWARD"]
    assert ("-m conntrack --ctstate INVALID -j DROP" in found) is not liberal
    assert len(found) == 3 - liberal


def test_the_way_to_node_ports_stands_behind_every_service():
    for fields in ({}, {"node_port_addresses": ["10.0.0.0/8"]}):
        found = chains("nat", *many(3, 1, **EVERY_WAY_IN), **fields)["KUBE-SERVICES"]
        ways = [rule for rule in found if rule.endswith("-j KUBE-NODEPORTS")]
        assert ways and found[-len(ways) :] == ways


# --- health checks


def test_the_health_checks_port_is_let_in_with_and_without_local_endpoints():
    for endpoints in ([], BOTH, [endpoint("10.1.2.2")]):
        found = port(*endpoints, **LOAD_BALANCER, external_local=True, health_check_node_port=31000)
        assert chains("filter", found)["KUBE-NODEPORTS"] == [
            '-p tcp -m comment --comment "default/web:http health check node port" -m tcp --dport 31000 -j ACCEPT'
        ]


# --- session affinity


def test_a_client_that_is_remembered_is_asked_for_before_chance_is():
    found = rules("nat", "SVC", port(*BOTH, affinity_seconds=600))
    kinds = ["masq" if "MASQ" in rule else "known" if "--rcheck" in rule else "chance" for rule in found]
    assert kinds == ["masq", "known", "known", "chance", "chance"]


def test_policy_local_remembers_in_the_same_list():
    found = chains("nat", port(*BOTH, affinity_seconds=600, node_port=NODE_PORT, external_local=True))
    (local,) = [found[name] for name in found if name.startswith("KUBE-SVL-")]
    assert [rule.split("--name ")[1].split()[0] for rule in local if "--rcheck" in rule] == [
        kube_names.endpoint_chain("default/web:http", "tcp", HERE)
    ]


STICKY = port(*BOTH, endpoint("10.1.2.3", **UNREADY), affinity_seconds=600)


def test_sets_are_there_for_every_endpoint_in_use_of_a_sticky_service_and_for_no_other():
    whole = row(STICKY, port(*BOTH, service="default/other"), affinity_by_ipset=True)
    sets = services.sets(whole)
    named = set(re.findall(r"--(?:match|add)-set (\S+) src", str(services.tables(whole))))
    assert set(sets) == named and len(sets) == 2
    assert set(sets.values()) == {600}
    assert all(len(name) <= 31 for name in sets)


def test_without_the_option_there_is_no_set():
    assert services.sets(row(STICKY)) == {}
    assert "-m set " not in str(services.tables(row(STICKY)))


def test_with_sets_nothing_is_left_to_xt_recent_and_clients_reach_the_same():
    tables = services.tables(row(STICKY, affinity_by_ipset=True))
    assert "-m recent" not in str(tables)
    assert outcomes(tables, at(Packet(POD, CLUSTER_IP, 80))) == {HERE, THERE}
    last = tables["nat"]["chains"][kube_names.endpoint_chain("default/web:http", "tcp", HERE)]
    assert last[-2].startswith('-m comment --comment "default/web:http" -j SET --add-set PODLAB-STICKY-')


# --- undefined ports


@pytest.mark.parametrize("client", [POD, OUTSIDE, NODE])
def test_an_undefined_port_of_a_cluster_ip_is_refused_where_that_is_asked_for(client):
    ports = [
        port(endpoint("10.1.2.2")),
        port(endpoint("10.1.2.2"), service="default/silent", cluster_ip="10.96.0.11", internal_local=True),
        port(service="default/none", cluster_ip="10.96.0.12"),
    ]
    for asked in (False, True):
        tables = services.tables(row(*ports, reject_undefined_ports=asked))
        undefined = {"reject"} if asked else {"routed"}
        for address in (CLUSTER_IP, "10.96.0.11", "10.96.0.12"):
            assert outcomes(tables, at(Packet(client, address, 81))) == undefined
            assert outcomes(tables, at(Packet(client, address, 80, "udp"))) == undefined
        masquerade = "" if client == POD else " masq"
        assert outcomes(tables, at(Packet(client, CLUSTER_IP, 80))) == {THERE + masquerade}
        assert outcomes(tables, at(Packet(client, "10.96.0.11", 80))) == {"drop"}, "silence stays silence"
        assert outcomes(tables, at(Packet(client, "10.96.0.12", 80))) == {"reject"}
        assert outcomes(tables, at(Packet(client, "10.96.0.13", 80))) == {"routed"}, "nobody's address is nobody's"


def test_a_cluster_ip_with_many_ports_is_refused_by_one_rule():
    found = chains(
        "filter", *(port(endpoint(), port_name=f"p{i}", port=i) for i in range(1, 9)), reject_undefined_ports=True
    )
    assert len(found[services.UNDEFINED_PORTS]) == 1


# --- whatever the services


names = st.sampled_from(["default/web", "default/web-2", "shop/web", "shop/cart"])
outer_addresses = st.lists(st.sampled_from(["203.0.113.1", "203.0.113.2", "203.0.113.3"]), max_size=2, unique=True)
# Drawn as a whole: to draw every field of every endpoint would take most of the time.
some_endpoints = st.sampled_from(
    [
        endpoint(address, node, port=port, ready=ready, serving=serving, terminating=terminating, zones=zones)
        for address in ("10.1.1.10", "10.1.1.2", "10.1.2.3")
        for node in ("node1", "node2", "")
        for port in (8080, 80)
        for ready, serving, terminating in product((True, False), repeat=3)
        for zones in ([], ["a"], ["b"], ["a", "b"])
    ]
)


@st.composite
def rows(draw: st.DrawFn) -> ServicesConfig:
    found = draw(
        st.lists(
            st.tuples(names, st.sampled_from(["", "http", "dns"]), st.sampled_from(["tcp", "udp"])),
            max_size=4,
            unique=True,
        )
    )
    ports = [
        port(
            *draw(st.lists(some_endpoints, max_size=5)),
            service=service,
            port_name=port_name,
            protocol=protocol,
            cluster_ip=f"10.96.0.{i + 1}",
            node_port=draw(st.sampled_from([0, 30000 + i])),
            external_ips=draw(outer_addresses),
            load_balancer_ips=draw(outer_addresses),
            source_ranges=draw(st.sampled_from([[], ["10.0.0.0/8"], ["0.0.0.0/0", "192.0.2.0/24"]])),
            external_local=draw(st.booleans()),
            internal_local=draw(st.booleans()),
            affinity_seconds=draw(st.sampled_from([0, 600])),
            health_check_node_port=draw(st.sampled_from([0, 31000])),
        )
        for i, (service, port_name, protocol) in enumerate(sorted(found))
    ]
    return row(
        *ports, zone=draw(st.sampled_from(["", "a", "b"])), masquerade_all=draw(st.booleans()),
        localhost_node_ports=draw(st.booleans()),
        node_port_addresses=draw(st.sampled_from([[], ["10.0.0.0/8"], ["127.0.0.0/8"]])),
        affinity_by_ipset=draw(st.booleans()), reject_undefined_ports=draw(st.booleans()),
    )  # fmt: skip


def jumps_of(rules: list[str]) -> set[str]:
    return {rule.rsplit("-j ", 1)[1].split()[0] for rule in rules if " -j " in f" {rule}"}


BUILT_IN_TARGETS = {"MARK", "DNAT", "MASQUERADE", "ACCEPT", "DROP", "REJECT", "RETURN", "SET"}


@settings(deadline=None, max_examples=100)
@given(rows())
def test_every_chain_that_is_named_exists_and_every_chain_is_named(whole):
    for table, parts in services.tables(whole).items():
        led_to = {target for part in parts.values() for found in part.values() for target in jumps_of(found)}
        assert led_to - BUILT_IN_TARGETS <= set(parts["chains"])
        unasked = {"mangle": set(), "filter": set(), "nat": {"KUBE-MARK-MASQ", "KUBE-NODEPORTS"}}[table]
        assert set(parts["chains"]) - led_to <= {"KUBE-PROXY-CANARY", *unasked}
        assert all(len(chain) <= 28 for chain in parts["chains"])


@settings(deadline=None, max_examples=100)
@given(rows())
def test_every_endpoint_in_use_has_one_last_step_and_no_other_has_one(whole):
    nat = services.tables(whole)["nat"]["chains"]
    last_steps = [
        (name, re.findall("--to-destination (.*)", " ".join(found)))
        for name, found in nat.items()
        if name.startswith("KUBE-SEP-")
    ]
    assert all(len(to) == 1 for _, to in last_steps)
    chosen = {
        target
        for name, found in nat.items()
        if name.startswith(("KUBE-SVC-", "KUBE-SVL-"))
        for target in jumps_of(found)
    } - {"KUBE-MARK-MASQ"}
    assert {name for name, _ in last_steps} == chosen
    hashes = Counter(
        kube_names.endpoint_chain(
            kube_names.service_port_name(port["service"], port["port_name"]), port["protocol"], to
        )
        for port in whole["ports"]
        for to in {f"{end['address']}:{end['port']}" for end in port["endpoints"]}
    )
    assert chosen <= set(hashes) and set(hashes.values()) <= {1}


@settings(deadline=None, max_examples=50)
@given(rows(), st.randoms(use_true_random=False))
def test_the_order_in_which_endpoints_are_told_does_not_matter(whole, shuffle: random.Random):
    ports: Any = []
    for found in whole["ports"]:
        once = {(end["address"], end["port"]): end for end in found["endpoints"]}
        ports.append({**found, "endpoints": shuffle.sample(list(once.values()), len(once))})
    told = [{**found, "endpoints": sorted(found["endpoints"], key=str)} for found in ports]
    assert services.tables({**whole, "ports": ports}) == services.tables({**whole, "ports": told})  # type: ignore[typeddict-item]


@settings(deadline=None, max_examples=150)
@given(rows(), st.sampled_from([POD, OUTSIDE, NODE]))
def test_a_cluster_ip_leads_just_to_those_that_answer(whole, client):
    """The same question, answered in another way."""
    tables = services.tables(whole)
    for found in whole["ports"]:
        unique = {f"{end['address']}:{end['port']}": end for end in found["endpoints"]}
        unique |= {f"{end['address']}:{end['port']}": end for end in found["endpoints"] if end["node"] == "node1"}
        if len(unique) != len(found["endpoints"]):
            continue
        ready = {to for to, end in unique.items() if end["ready"]}
        draining = {to for to, end in unique.items() if end["serving"] and end["terminating"]}
        here = {to for to, end in unique.items() if end["node"] == "node1"}
        near = {to for to in ready if whole["zone"] in unique[to]["zones"]}
        hints = whole["zone"] and near and all(unique[to]["zones"] for to in ready)
        expected = (near if hints else ready) or draining
        silent = False
        if found["internal_local"]:
            silent = bool(expected) and not here & (ready | draining)
            expected = here & ready or here & draining
        packet = Packet(client, found["cluster_ip"], 80, found["protocol"], (NODE, BRIDGE))
        told = {to.removesuffix(" masq") for to in outcomes(tables, packet)}
        assert told == (expected or {"drop" if silent else "reject"})

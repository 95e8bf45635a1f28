"""What each node is told about services, what it costs, and what the hosts remember of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from podlab.changes.kube_proxy import services as rules
from podlab.planner.configs.services import ServicesConfigs, digest_of, port_configs
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.request import COMPONENTS, components_of
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Container, Document, Handler, Invalid, Pod, PodTemplate, Port, Probe
from podlab.planner.plan import plan
from podlab.planner.services.addresses import allocate
from podlab.planner.services.backends import Backend
from podlab.planner.services.endpoints import slices_in_force, slices_of_pods
from podlab.planner.services.model import Ingress, Service, ServiceAllocation, ServicePort
from podlab.planner.services.record import remembered, service_object
from podlab.planner.services.stage import plan_services
from tests.simulated_host import SimulatedHost
from tests.unit.bodies import desired, endpoint_slice, endpoints, service

NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z"
NODE = Host("node1", "node", "10.100.0.2", {"topology.kubernetes.io/zone": "a"})
OTHER = Host("node2", "node", "10.100.0.3")


def ports(*documents: Document, pods: tuple[Backend, ...] = (), **settings: Any) -> list[Any]:
    wanted = desired(*documents)
    given = allocate(Cluster(**settings), [NODE, OTHER], wanted.services)
    slices, _ = slices_in_force(wanted.services, slices_of_pods(wanted.services, pods), wanted.slices, wanted.endpoints)
    return port_configs(wanted.services, given, slices)


def backend(number: int, **facts: Any) -> Backend:
    own: dict[str, Any] = {"labels": {"app": "web"}, "ports": {("http", "TCP"): 8080}, "node": "node1", "zone": ""}
    return Backend(f"default/web-{number}", f"10.1.1.{number}", **{**own, "is_ready": True, **facts})


# --- ports ----------------------------------------------------------------------------------------------


def test_everything_a_node_is_told_of_a_port():
    found = ports(
        service(
            type="LoadBalancer",
            clusterIP="10.96.0.10",
            ports=[{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080}],
            externalIPs=["203.0.113.5"],
            loadBalancerSourceRanges=["10.0.0.0/8"],
            externalTrafficPolicy="Local",
            internalTrafficPolicy="Local",
            healthCheckNodePort=30500,
            sessionAffinity="ClientIP",
            status=[{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}],
        ),
        pods=(backend(10), backend(2, node="node2", is_ready=False)),
    )
    assert found == [
        {
            "service": "default/web",
            "port_name": "http",
            "protocol": "tcp",
            "cluster_ip": "10.96.0.10",
            "port": 80,
            "node_port": 30080,
            "external_ips": ["203.0.113.5"],
            "load_balancer_ips": ["192.0.2.1"],
            "source_ranges": ["10.0.0.0/8"],
            "external_local": True,
            "internal_local": True,
            "affinity_seconds": 10800,
            "health_check_node_port": 30500,
            "endpoints": [
                {
                    **{"address": "10.1.1.10", "port": 8080, "node": "node1", "zones": []},
                    **{"ready": True, "serving": True, "terminating": False},
                },
                {
                    **{"address": "10.1.1.2", "port": 8080, "node": "node2", "zones": []},
                    **{"ready": False, "serving": False, "terminating": False},
                },
            ],
        }
    ]


def test_ports_are_sorted_and_who_is_not_served_is_left_out():
    two = [{"name": "b", "port": 80}, {"name": "a", "port": 53}, {"name": "c", "port": 53, "protocol": "UDP"}]
    found = ports(
        service("z"),
        service("a", ports=two),
        service("headless", clusterIP="None"),
        service("named", type="ExternalName", externalName="a.b"),
        service("mine", metadata={"labels": {"service.kubernetes.io/service-proxy-name": "x"}}),
    )
    assert [(row["service"], row["port_name"], row["protocol"]) for row in found] == [
        ("default/a", "a", "tcp"),
        ("default/a", "b", "tcp"),
        ("default/a", "c", "udp"),
        ("default/z", "", "tcp"),
    ]


def addresses(*documents: Document, **how: Any) -> list[list[str]]:
    return [[f"{one['address']}:{one['port']}" for one in row["endpoints"]] for row in ports(*documents, **how)]


HTTP = {"name": "http", "port": 80, "targetPort": "http"}


def test_a_name_leads_to_another_number_in_another_pod():
    pods = (backend(1), backend(2, ports={("http", "TCP"): 9090}), backend(3, ports={}))
    assert addresses(service(ports=[HTTP]), pods=pods) == [["10.1.1.1:8080", "10.1.1.2:9090"]]


def test_a_name_is_one_of_its_protocol():
    pods = (backend(1, ports={("http", "TCP"): 1, ("http", "UDP"): 2}), backend(2, ports={("http", "UDP"): 3}))
    both = [{**HTTP, "name": "t"}, {**HTTP, "name": "u", "protocol": "UDP"}]
    assert addresses(service(ports=both), pods=pods) == [["10.1.1.1:1"], ["10.1.1.1:2", "10.1.1.2:3"]]


def test_several_slices_are_one_and_a_port_without_number_is_passed_over():
    some = [{"addresses": ["10.0.0.2", "10.0.0.9"]}, {"addresses": ["10.0.0.1"]}]
    others = [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.3"]}, {"addresses": ["10.0.0.3"]}]
    written = [
        endpoint_slice("web-1", endpoints=some, ports=[{"port": 80}, {"name": "no", "port": 81}]),
        endpoint_slice("web-2", endpoints=others, ports=[{"name": "", "port": 80}]),
        endpoint_slice("web-3", endpoints=others, ports=[{"name": ""}]),
        endpoint_slice("web-4", endpoints=others, ports=[{"port": 80, "protocol": "UDP"}]),
        endpoint_slice("web-5", endpoints=others, labels={"service.kubernetes.io/service-proxy-name": "x"}),
    ]
    assert addresses(service(selector=None), *written) == [["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]]


def test_one_that_two_slices_have_on_two_nodes_stays_twice():
    written = [
        endpoint_slice(f"web-{node}", endpoints=[{"addresses": ["10.0.0.1"], "nodeName": node}]) for node in ("b", "a")
    ]
    (row,) = ports(service(), *written)
    assert [one["node"] for one in row["endpoints"]] == ["a", "b"]


def test_endpoints_of_kind_endpoints():
    subset = {"addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [{"port": 9}]}
    (row,) = ports(service(selector=None), endpoints("web", subset))
    assert [(one["address"], one["port"], one["ready"]) for one in row["endpoints"]] == [
        ("10.0.0.1", 9, True),
        ("10.0.0.2", 9, False),
    ]


def test_hints_are_told():
    hints = {"forZones": [{"name": "a"}]}
    (row,) = ports(service(), endpoint_slice(endpoints=[{"addresses": ["10.0.0.1"], "hints": hints}]))
    assert row["endpoints"][0]["zones"] == ["a"]


# --- rows and digests -----------------------------------------------------------------------------------


def test_the_row_of_a_node():
    found = ports(service())
    settings = {
        "masquerade_all": True,
        "localhost_node_ports": False,
        "node_port_addresses": ("10.100.0.0/24",),
        "affinity_by_ipset": True,
        "reject_undefined_ports": True,
    }
    assert ServicesConfigs(Cluster(**settings), found).row(NODE, "10.1.1.0/24") == {
        "node": "node1",
        "zone": "a",
        "addresses": ["10.100.0.2", "10.1.1.1"],
        "cluster_cidr": "10.1.0.0/16",
        "service_cidr": "10.96.0.0/16",
        "masquerade_all": True,
        "localhost_node_ports": False,
        "node_port_addresses": ["10.100.0.0/24"],
        "affinity_by_ipset": True,
        "reject_undefined_ports": True,
        "ports": found,
    }


def links(**addresses: str) -> dict[str, Any]:
    return {name: {"addresses": [text], "alias": ""} for name, text in addresses.items()}


def test_a_nodes_addresses_are_those_of_all_its_links():
    """As kube-proxy has it; 127.0.0.1 is asked for by itself."""
    seen = links(
        lo="127.0.0.1/8", eth0="10.100.0.2/24", eth1="192.0.2.10/24", docker0="172.17.0.1/16", dummy="192.0.2.9/32"
    )
    node = Host("node1", "node", "10.100.0.2", observation={"links": seen})
    own = ["10.100.0.2", "10.1.1.1"]
    more = ["172.17.0.1", "192.0.2.9", "192.0.2.10"]
    assert ServicesConfigs(Cluster(), []).row(node, "10.1.1.0/24")["addresses"] == [*own, *more]
    overlay = ServicesConfigs(Cluster(pod_routing="vxlan"), []).row(node, "10.1.1.0/24")
    assert overlay["addresses"] == [*own, "10.1.1.0", *more]


def test_what_somebody_has_added_to_podlabs_own_links_does_not_count():
    """It goes in the same run, and the next one would find another row."""
    seen = links(eth0="10.100.0.2/24", cbr0="10.7.0.1/24") | {
        "vxlan.1": {"addresses": ["10.8.0.1/24"], "alias": "podlab"},
        "vetha": {"addresses": ["10.9.0.1/24"], "alias": "podlab default/web"},
    }
    node = Host("node1", "node", "10.100.0.2", observation={"links": seen})
    assert ServicesConfigs(Cluster(), []).row(node, "10.1.1.0/24")["addresses"] == ["10.100.0.2", "10.1.1.1"]


@pytest.mark.parametrize("way", ["gateway", "host-gw", "vxlan"])
def test_links_that_a_run_makes_do_not_make_the_next_one_tell_anything_else(way):
    lab = Lab()
    lab.cluster = Cluster(pod_routing=way, node_port_addresses=("10.0.0.0/8",))
    lab.hosts["node1"].link("docker0", "172.17.0.1/16")
    first = lab.run(service(type="NodePort"))
    assert "172.17.0.1" in first["hosts"]["node1"]["services"]["addresses"]
    assert "services" not in pending(lab.plan(service(type="NodePort"), now=LATER)).get("node1", [])


def test_all_nodes_share_one_list_of_ports():
    rows = ServicesConfigs(Cluster(), ports(service()))
    assert rows.row(NODE, "10.1.1.0/24")["ports"] is rows.row(OTHER, "10.1.2.0/24")["ports"]


def test_services_of_the_same_pods_share_their_endpoints():
    first, second = ports(
        service("a", selector={"app": "web"}), service("b", selector={"app": "web"}), pods=(backend(1),)
    )
    assert first["endpoints"] is second["endpoints"]


def test_the_digest_is_that_of_the_whole_row_as_a_host_would_make_it():
    rows = ServicesConfigs(
        Cluster(), ports(service("a"), service("b", externalIPs=["203.0.113.5"]), pods=(backend(1),))
    )
    row = rows.row(NODE, "10.1.1.0/24")
    assert rows.digest(row) == digest_of(json.loads(json.dumps(row)))
    assert rows.digest(row) != rows.digest(rows.row(OTHER, "10.1.2.0/24"))
    assert digest_of({"b": "é", "a": [1]}) == "add9ecf5b4833809fbf94f8c05846e336ac07404107c98ed2dbd4fb41c0b05cf"


# --- what is remembered ---------------------------------------------------------------------------------


def test_a_service_as_the_api_server_keeps_it():
    written = service(
        metadata={"labels": {"a": "b"}, "uid": "x", "creationTimestamp": None},
        type="LoadBalancer",
        ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81, "targetPort": "x", "appProtocol": "http"}],
        externalTrafficPolicy="Local",
        clusterIP=None,
    )
    given = {"default/web": ServiceAllocation("10.96.0.10", (30080, 0), 30500, (Ingress("192.0.2.1"),))}
    entry = remembered(desired(written).services, given, [], [], {}, NOW)["services"]["default/web"]
    assert {key: value for key, value in entry.items() if key != "body"} == {
        "created": NOW,
        "clusterIP": "10.96.0.10",
        "nodePorts": [30080, 0],
        "healthCheckNodePort": 30500,
        "ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}],
    }
    assert service_object(entry, "default", "web") == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": {"a": "b"}, "creationTimestamp": NOW},
        "spec": {
            "allocateLoadBalancerNodePorts": True,
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10"],
            "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 30500,
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [
                {"name": "a", "port": 80, "protocol": "TCP", "targetPort": 80, "nodePort": 30080},
                {"name": "b", "port": 81, "protocol": "TCP", "targetPort": "x", "appProtocol": "http"},
            ],
            "selector": {"app": "web"},
            "sessionAffinity": "None",
            "type": "LoadBalancer",
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}},
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "ExternalName", "externalName": "a.b", "ports": None}, {"sessionAffinity": "None", "type": "ExternalName", "externalName": "a.b"}),
        (
            {"clusterIP": "None", "sessionAffinity": "ClientIP", "ports": None},
            {
                "clusterIP": "None",
                "clusterIPs": ["None"],
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "type": "ClusterIP",
            },
        ),
    ],
)  # fmt: skip
def test_defaults_of_other_types(spec, expected):
    entry = memory(service(selector=None, **spec))["services"]["default/web"]
    assert service_object(entry, "default", "web")["spec"] == expected


def memory(
    *documents: Document, past: dict[str, Any] | None = None, now: str = NOW, pods: tuple[Backend, ...] = ()
) -> Any:
    wanted = desired(*documents)
    given = allocate(Cluster(), [NODE], wanted.services)
    by_selector = slices_of_pods(wanted.services, pods)
    slices, _ = slices_in_force(wanted.services, by_selector, wanted.slices, wanted.endpoints)
    everything = [part for parts in slices.values() for part in parts]
    return remembered(wanted.services, given, everything, wanted.endpoints, past or {}, now)


def test_slices_are_remembered_in_few_words():
    found = memory(
        service(),
        endpoint_slice("web-1", endpoints=[{"addresses": ["10.0.0.1"]}]),
        pods=(backend(1), backend(2, is_ready=False)),
    )
    written = found["slices"].pop("default/web-1")
    assert (written["service"], written["body"]["endpoints"]) == ("web", [{"addresses": ["10.0.0.1"]}])
    assert list(found["slices"].values()) == [
        {
            "created": NOW,
            "service": "web",
            "manager": "endpointslice-controller.k8s.io",
            "ports": [{"port": 80, "protocol": "TCP"}],
            "endpoints": [
                {"address": "10.1.1.1", "node": "node1", "target": "default/web-1", "ready": True, "serving": True},
                {"address": "10.1.1.2", "node": "node1", "target": "default/web-2"},
            ],
        }
    ]


def test_what_is_there_keeps_its_time_and_what_did_not_change_is_the_very_same():
    first = json.loads(json.dumps(memory(service("a"), endpoints("a"))))
    second = memory(service("a"), service("b"), endpoints("a"), past=first, now=LATER)
    assert [second["services"][f"default/{name}"]["created"] for name in "ab"] == [NOW, LATER]
    assert second["endpoints"] is first["endpoints"]
    assert second["services"] is not first["services"]


# --- in the plan ----------------------------------------------------------------------------------------

SERVER = Container("main", "nginx", ("nginx",), ports=(Port(8080, name="http"),))


class Lab:
    def __init__(self) -> None:
        self.hosts = {f"node{at}": SimulatedHost(f"10.100.0.{at + 1}/24", gateway="10.100.0.1") for at in (1, 2)}
        self.hosts["gateway"] = SimulatedHost("10.100.0.1/24")
        self.away: set[str] = set()
        self.cluster = Cluster()

    def plan(
        self,
        *documents: Document,
        pods: tuple[Pod, ...] = (),
        limit: tuple[str, ...] = (),
        now: str = NOW,
        **how: Any,
    ) -> Any:
        wanted = desired(*documents)
        wanted = type(wanted)(**{**vars(wanted), "pods": pods})
        hosts = [
            Host(
                name,
                "gateway" if name == "gateway" else "node",
                host.root.links["eth0"]["addresses"][0].partition("/")[0],
                observation=None if name in self.away else host.observe(),
                in_run=not limit or name in limit,
            )
            for name, host in self.hosts.items()
        ]
        return json.loads(json.dumps(plan(self.cluster, hosts, wanted, {}, now, **how)))

    def run(self, *documents: Document, **how: Any) -> Any:
        result = self.plan(*documents, **how)
        for name, rows in result["hosts"].items():
            self.hosts[name].apply(rows, rows["pending"])
        return result


def pod(name: str, node: str = "node1", **template: Any) -> Pod:
    template = {"containers": (SERVER,), **template}
    return Pod("default", name, PodTemplate(labels={"app": "web"}, node_name=node, **template), f"{name}.yml:1")


def pending(result: Any) -> dict[str, list[str]]:
    """Without what is yet to become: waiting is no component."""
    components = {
        name: [word for word in rows["pending"] if word != "rollout"] for name, rows in result["hosts"].items()
    }
    return {name: words for name, words in components.items() if words}


def ready(result: Any, node: str = "node1") -> dict[str, bool]:
    return {
        one["address"]: one["ready"] for port in result["hosts"][node]["services"]["ports"] for one in port["endpoints"]
    }


def test_endpoints_are_ready_when_the_run_has_seen_them_run():
    lab = Lab()
    first = lab.run(service(), pods=(pod("a"), pod("b", "node2")))
    assert ready(first) == {"10.1.1.2": False, "10.1.2.2": False}
    second = lab.run(service(), pods=(pod("a"), pod("b", "node2")))
    assert ready(second) == {"10.1.1.2": True, "10.1.2.2": True}
    assert pending(second) == {"node1": ["node", "services"], "node2": ["node", "services"], "gateway": ["node"]}
    assert pending(lab.run(service(), pods=(pod("a"), pod("b", "node2")), now=LATER)) == {}


def test_a_pod_on_its_nodes_network_has_the_nodes_address():
    lab = Lab()
    for _ in range(2):
        result = lab.run(service(), pods=(pod("a", host_network=True),))
    assert ready(result) == {"10.100.0.2": True}


def test_a_node_that_is_away_has_nobody_who_is_ready():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    for _ in range(2):
        lab.run(service(), pods=everybody)
    lab.away.add("node2")
    assert ready(lab.run(service(), pods=everybody)) == {"10.1.1.2": True, "10.1.2.2": False}


def test_under_limit_the_others_are_seen_and_nobody_is_renumbered():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    for _ in range(2):
        before = lab.run(service(type="NodePort"), pods=everybody)
    after = lab.run(service("a"), service(type="NodePort"), pods=everybody, limit=("node1",))
    assert list(after["hosts"]) == ["node1"]
    told = {port["service"]: port for port in after["hosts"]["node1"]["services"]["ports"]}
    assert told["default/web"] == before["hosts"]["node1"]["services"]["ports"][0]
    again = lab.run(service("a"), service(type="NodePort"), pods=everybody)
    assert again["hosts"]["node1"]["services"] == after["hosts"]["node1"]["services"]
    assert pending(again) == {"node2": ["node", "services"], "gateway": ["node"]}


def test_a_kernel_that_is_liberal_about_windows_is_told_to_drop_less():
    lab = Lab()
    for _ in range(2):
        lab.run(service())
    lab.hosts["node1"].sysctls["net.netfilter.nf_conntrack_tcp_be_liberal"] = "1"
    result = lab.plan(service())
    assert pending(result) == {"node1": ["services"]}
    told = [result["hosts"][f"node{at}"]["services"] for at in (1, 2)]
    assert [row.get("is_liberal") for row in told] == [True, None]


def test_rules_that_somebody_touched_are_pending():
    lab = Lab()
    for _ in range(2):
        lab.run(service())
    lab.hosts["node2"].services["sound"] = False
    assert pending(lab.plan(service())) == {"node2": ["services"]}


def test_a_host_whose_module_is_older_is_told():
    lab = Lab()
    for _ in range(2):
        lab.run(service())
    observe = lab.hosts["node1"].observe
    lab.hosts["node1"].observe = lambda: {key: value for key, value in observe().items() if key != "services"}  # type: ignore[method-assign]
    assert pending(lab.plan(service())) == {"node1": ["services"]}


@pytest.mark.parametrize(
    ("document", "settings", "wanted"),
    [
        (service(type="NodePort"), {}, "1"),
        (service(), {}, None),
        (service(type="NodePort"), {"localhost_node_ports": False}, None),
        (service(type="NodePort"), {"node_port_addresses": ("10.100.0.0/24",)}, None),
        (service(type="NodePort"), {"node_port_addresses": ("10.100.0.0/24", "127.0.0.0/8")}, "1"),
    ],
)
def test_localhost_reaches_node_ports_by_a_setting_of_the_kernel(document, settings, wanted):
    lab = Lab()
    lab.cluster = Cluster(**settings)
    result = lab.plan(document)
    assert result["hosts"]["node1"]["node"]["sysctls"].get("net.ipv4.conf.all.route_localnet") == wanted
    assert "services" not in result["hosts"]["gateway"]
    assert "net.ipv4.conf.all.route_localnet" not in result["hosts"]["gateway"]["node"]["sysctls"]


def test_node_ports_at_localhost_are_opened_by_who_guards_them_and_nobody_else():
    lab = Lab()
    everybody = service(type="NodePort")
    node1, localnet = lab.hosts["node1"], "net.ipv4.conf.all.route_localnet"
    rows = lab.plan(everybody)["hosts"]["node1"]
    node1.apply(rows, ["node", "bridge", "pods", "routes", "egress"])
    assert node1.sysctls.get(localnet) != "1"
    assert node1.record and node1.record["sysctls"][localnet] == "0"
    lab.run(everybody)
    assert node1.sysctls[localnet] == "1"
    assert pending(lab.plan(everybody)) == {}
    node1.sysctls[localnet] = "0"
    assert pending(lab.run(everybody)) == {"node1": ["services"]}
    assert node1.sysctls[localnet] == "1"
    lab.run(service())
    assert (node1.sysctls[localnet], node1.record["sysctls"].get(localnet)) == ("0", None)


def test_nodes_leave_a_pod_alone_before_it_goes():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    for _ in range(2):
        lab.run(service(), pods=everybody)
    fewer = lab.plan(service(), pods=everybody[:1])
    assert pending(fewer) == {
        "node1": ["node", "services", "services_first"],
        "node2": ["node", "pods", "services", "services_first"],
        "gateway": ["node"],
    }
    assert ready(fewer) == {"10.1.1.2": True}
    more = lab.plan(service(), pods=(*everybody, pod("c")))
    assert "services_first" not in {word for rows in more["hosts"].values() for word in rows["pending"]}
    assert [ends(fewer, name) for name in ("draining", "services")] == [{"10.1.1.2": "ready"}] * 2
    assert slices(fewer) == {"10.1.1.2": "ready", "10.1.2.2": "terminating"}
    for _ in range(2):
        lab.run(service(), pods=everybody[:1])
    assert pending(lab.plan(service(), pods=everybody[:1], now=LATER)) == {}


@pytest.mark.parametrize(
    ("more", "comes_first"),
    [
        ({}, False),
        ({"containers": (replace(SERVER, readiness=Probe(Handler("tcp", port=80))),)}, True),
        ({"init_containers": (replace(SERVER, name="first"),)}, True),
    ],
    ids=["merely runs", "probed", "with an init container"],
)
def test_rules_are_there_before_a_pod_that_may_call_a_service_before_it_is_ready(more, comes_first):
    lab = Lab()
    found = lab.plan(service(), pods=(pod("a", **more), pod("b", "node2")))
    for node in ("node1", "node2"):
        rows = found["hosts"][node]
        assert ("services_first" in rows["pending"]) is comes_first
        assert rows["ready"].get("partial", False) is comes_first
    assert "services_finalize" not in found["hosts"]["node1"]["pending"]
    for component in ("pods", "services"):
        rows = lab.plan(service(), pods=(pod("a", **more),), components=(component,))["hosts"]["node1"]
        assert "services_first" not in rows["pending"] and not rows.get("ready", {}).get("partial")
    ahead = lab.plan(service(), pods=(pod("a", **more),), assume_ready=True)["hosts"]["node1"]
    assert "services_first" not in ahead["pending"]
    alone = lab.plan(pods=(pod("a", **more),))["hosts"]["node1"]
    assert "services_first" not in alone["pending"] and "partial" not in alone["ready"]


def ends(result: Any, row: str, node: str = "node1") -> dict[str, str]:
    """What a node is told of endpoints: before pods go (``draining``), or for good (``services``)."""
    ports = result["hosts"][node][row]["ports"]
    return {one["address"]: condition_of(one) for port in ports for one in port["endpoints"]}


def slices(result: Any) -> dict[str, str]:
    """What ``get endpointslices`` shows."""
    record = result["hosts"]["node1"]["node"]["record"]["cluster"]["slices"]
    return {one["address"]: condition_of(one) for item in record.values() for one in item["endpoints"]}


def condition_of(one: Any) -> str:
    words = [word for word in ("ready", "terminating") if one.get(word)]
    return " ".join(words) if one.get("serving") else "unready"


def test_the_last_one_is_led_to_until_it_goes_and_no_longer():
    lab = Lab()
    for _ in range(2):
        lab.run(service(), pods=(pod("a", "node2"),))
    none = lab.plan(service(), pods=())
    assert pending(none) == {
        "node1": ["node", "services", "services_first", "services_finalize"],
        "node2": ["node", "pods", "services", "services_first", "services_finalize"],
        "gateway": ["node"],
    }
    assert ends(none, "draining") == slices(none) == {"10.1.2.2": "terminating"}
    assert ends(none, "services") == {}
    lab.run(service(), pods=())
    after = lab.run(service(), pods=())
    assert "services_first" not in pending(after)["node1"]
    assert ends(after, "services") == slices(after) == {}


def test_a_node_that_asks_for_its_own_keeps_its_last_one_until_it_goes():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    local = service(internalTrafficPolicy="Local")
    for _ in range(2):
        lab.run(local, pods=everybody)
    fewer = lab.plan(local, pods=everybody[:1])
    assert pending(fewer)["node1"] == ["node", "services", "services_first", "services_finalize"]
    assert ends(fewer, "draining") == {"10.1.1.2": "ready", "10.1.2.2": "terminating"}


def test_who_is_published_whatever_becomes_of_him_is_led_to_until_he_goes():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    published = service(publishNotReadyAddresses=True)
    for _ in range(2):
        lab.run(published, pods=everybody)
    fewer = lab.plan(published, pods=everybody[:1])
    assert pending(fewer)["node1"] == ["node", "services", "services_first", "services_finalize"]
    assert ends(fewer, "draining") == {"10.1.1.2": "ready", "10.1.2.2": "ready terminating"}


def test_a_run_that_was_cut_off_before_pods_went_lets_them_go_as_well():
    lab = Lab()
    for _ in range(2):
        lab.run(service(), pods=(pod("a"),))
    cut_off = lab.plan(service(), pods=())
    for name, rows in cut_off["hosts"].items():
        lab.hosts[name].apply(rows, ["node"])
    assert pending(lab.plan(service(), pods=()))["node1"] == ["pods", "services", "services_first", "services_finalize"]


def test_pods_that_a_run_does_not_touch_stay_behind_their_services():
    lab = Lab()
    everybody = (pod("a"), pod("b", "node2"))
    for _ in range(2):
        lab.run(service(), pods=everybody)
    moved = (pod("a", "node2"),)
    found = lab.plan(service(), pods=moved, components=("services",))
    assert ends(found, "services") == slices(found) == {"10.1.1.2": "ready", "10.1.2.2": "ready"}
    assert "services_first" not in pending(found).get("node1", [])
    found = lab.plan(service(), pods=everybody[:1], limit=("node1",))
    assert ends(found, "services") == slices(found) == {"10.1.1.2": "ready", "10.1.2.2": "ready"}
    found = lab.plan(service(), pods=everybody[1:], limit=("node1",))
    assert ends(found, "services") == {"10.1.2.2": "ready"}
    assert slices(found) == {"10.1.1.2": "terminating", "10.1.2.2": "ready"}


def test_a_plan_that_looks_ahead_leads_to_all_that_will_be_there_and_makes_no_haste():
    lab = Lab()
    first = lab.plan(service(), pods=(pod("a"),), assume_ready=True)
    assert ends(first, "services") == {"10.1.1.2": "ready"}
    for _ in range(2):
        lab.run(service(), pods=(pod("a"),))
    fewer = lab.plan(service(), pods=(), assume_ready=True)
    assert pending(fewer)["node1"] == ["node", "pods", "services"]
    assert ends(fewer, "services") == {}


def test_where_only_services_are_asked_for_the_record_is_written_with_them():
    lab = Lab()
    assert "record" in pending(lab.plan(service(), components=("services",)))["node1"]
    assert pending(lab.plan(service(), components=("services",)))["gateway"] == ["node", "routes"]
    assert "record" not in pending(lab.plan(service()))["node1"]


@pytest.mark.parametrize(
    ("tags", "skipped", "expected"),
    [
        (["all"], [], COMPONENTS),
        (["services"], [], ("services",)),
        (["verify"], [], ()),
        (["tagged"], ["pods", "verify"], ("system", "node", "bridge", "routes", "egress", "services")),
        (["all"], ["all"], ()),
        (["node", "pods"], ["node"], ("pods",)),
    ],
)
def test_the_components_that_tags_ask_for(tags, skipped, expected):
    assert components_of(tags, skipped) == list(expected)


def test_a_pod_that_is_not_ready_any_more_is_no_reason_for_haste():
    lab = Lab()
    for _ in range(2):
        lab.run(service(), pods=(pod("a"),))
    lab.hosts["node1"].pods["default_a"]["services"].clear()
    wanted = lab.plan(service(selector={"app": "other"}), pods=(pod("a"),))
    assert "services_first" in wanted["hosts"]["node1"]["pending"], "it is started anew, and nobody leads there"
    lab.hosts["node1"].pods["default_a"]["services"].add("main")
    wanted = lab.plan(service(selector={"app": "other"}), pods=(pod("a"),))
    assert "services_first" not in wanted["hosts"]["node1"]["pending"]


def test_somebody_elses_kube_proxy_is_in_the_way():
    lab = Lab()
    lab.hosts["node1"].services["others"] = ["nat KUBE-SERVICES", "nat KUBE-MARK-MASQ"]
    assert lab.plan(service())["refused"]["node1"] == [
        "chain KUBE-SERVICES of table nat is in the way: is this a node of a Kubernetes cluster? "
        "If that has gone, kube-proxy --cleanup removes what it left behind"
    ]
    assert lab.plan(service(), limit=("node2",))


def test_chains_of_this_plans_services_are_no_stranger():
    """A host that has lost all that bears a mark, and its record."""
    lab = Lab()
    written = rules.tables(lab.plan(service(), pods=(pod("a"),), assume_ready=True)["hosts"]["node1"]["services"])
    lab.hosts["node1"].services["others"] = [f"{it} {name}" for it in written for name in written[it]["chains"]]
    assert lab.plan(service())["refused"] == {}
    lab.hosts["node1"].services["others"].append("nat KUBE-SVC-NPX46M4PTMTKRN6Y")
    assert lab.plan(service())["refused"].keys() == {"node1"}, "that is of default/kubernetes:https"


def test_what_a_host_says_of_its_iptables_is_a_note():
    lab = Lab()
    lab.hosts["node1"].services["warnings"] = ["iptables-legacy holds 3 KUBE chains as well"]
    assert lab.plan(service())["notes"] == ["node1: iptables-legacy holds 3 KUBE chains as well"]


def test_what_is_wrong_with_services_is_told_with_the_rest():
    lab = Lab()
    lab.cluster = Cluster(cidr="10.1.0.0/25")
    with pytest.raises(Invalid) as caught:
        lab.plan(service(clusterIP="10.97.0.1"))
    wrong = caught.value.problems
    assert [line.partition(": Invalid value")[0] for line in wrong] == [
        "prefix",
        'm/s.yaml:1: The Service "web" is invalid: spec.clusterIPs',
    ]


def test_what_has_no_effect_is_a_note():
    result = Lab().plan(service(type="LoadBalancer"), endpoint_slice("x", of=None))
    assert result["notes"] == [
        "EndpointSlice default/x is nobody's: it has no label kubernetes.io/service-name",
        "no load balancer gives an address to Service default/web: podlab_load_balancer_pool is not set",
    ]


def test_the_whole_way_of_a_service(golden):
    """From manifests over a plan to the chains of a node."""
    lab = Lab()
    documents = (
        service(type="NodePort", clusterIP="10.96.0.10", ports=[{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080}]),
        service("db", clusterIP="10.96.0.11", selector=None, ports=[{"port": 5432}]),
        endpoint_slice("db-1", "db", endpoints=[{"addresses": ["192.0.2.7"]}], ports=[{"port": 5432}]),
    )  # fmt: skip
    for _ in range(2):
        result = lab.run(*documents, pods=(pod("a"), pod("b", "node2")))
    lines = []
    for table, parts in rules.tables(result["hosts"]["node1"]["services"]).items():
        own = [
            name
            for name in parts["chains"]
            if any(word in name for word in ("SVC", "SEP", "EXT", "SERVICES", "NODEPORTS"))
        ]
        lines += [f"*{table}", *(f"-A {name} {rule}" for name in own for rule in parts["chains"][name])]
    golden("services.rules", "".join(f"{line}\n" for line in lines))


def written(*documents: Document, pods: tuple[Backend, ...] = ()) -> str:
    """All rules of node1, from manifests on."""
    row_ = ServicesConfigs(Cluster(), ports(*documents, pods=pods)).row(NODE, "10.1.1.0/24")
    return "".join(
        f"-A {chain} {rule}\n"
        for parts in rules.tables(row_).values()
        for chain, found in parts["chains"].items()
        for rule in found
    )


BALANCED = {"type": "LoadBalancer", "status": [{"ip": "192.0.2.1"}]}
WEB = (backend(1, ports={("http", "TCP"): 8080}), backend(2, ports={("http", "TCP"): 9090}, node="node2"))


@pytest.mark.parametrize(
    ("spec", "there", "missing"),
    [
        pytest.param(BALANCED, ["-A KUBE-NODEPORTS -p tcp", "-d 192.0.2.1/32"], [], id="load balancer"),
        pytest.param(
            {**BALANCED, "allocateLoadBalancerNodePorts": False},
            ["-d 192.0.2.1/32"],
            ["-A KUBE-NODEPORTS -p tcp"],
            id="allocateLoadBalancerNodePorts",
        ),
        pytest.param(
            {**BALANCED, "status": [{"ip": "192.0.2.1", "ipMode": "Proxy"}]},
            ["-A KUBE-NODEPORTS -p tcp"],
            ["192.0.2.1"],
            id="ipMode Proxy",
        ),
        pytest.param(
            {**BALANCED, "loadBalancerSourceRanges": [" 10.0.0.7/8 ", "2001:db8::/32"]},
            ["-s 10.0.0.0/8 -m comment", "-A KUBE-PROXY-FIREWALL -d 192.0.2.1/32"],
            ["2001:"],
            id="source ranges",
        ),
        pytest.param({}, ["cluster IP", "--to-destination 10.1.1.1:8080", "--to-destination 10.1.1.2:9090"], [], id="named port"),
        pytest.param(
            {"metadata": {"labels": {"service.kubernetes.io/headless": ""}}}, [], ["default/web"], id="label headless"
        ),
        pytest.param(
            {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": ""}}}, [], ["default/web"], id="label proxy"
        ),
        pytest.param({"clusterIP": "None"}, [], ["default/web"], id="headless"),
        pytest.param({"externalIPs": ["172.30.0.041"]}, ["-d 172.30.0.41/32"], ["041"], id="leading zeros"),
        pytest.param(
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}},
            ["-m recent --rcheck --seconds 86400 --reap", "-m recent --set --name"],
            [],
            id="affinity",
        ),
        pytest.param(
            {"ports": [{"port": 9, "targetPort": 5000, "protocol": "SCTP"}]},
            ["-p sctp -m comment", "-m sctp --dport 9", "-m sctp -j DNAT --to-destination 10.1.1.1:5000"],
            ["-p tcp"],
            id="SCTP",
        ),
        pytest.param(
            {**BALANCED, "externalTrafficPolicy": "Local", "healthCheckNodePort": 30500},
            ["--dport 30500 -j ACCEPT", "-A KUBE-SVL-"],
            [],
            id="health check",
        ),
    ],
)  # fmt: skip
def test_what_is_written_in_a_manifest_becomes_rules(spec, there, missing):
    """Row by row of what kube-proxy can do; tests/unit/test_kube_proxy_rules.py tells what the rules do."""
    found = written(service(**{"ports": [HTTP], **spec}), pods=WEB)
    assert [words for words in there if words not in found] == []
    assert [words for words in missing if words in found] == []


def test_who_is_not_ready_is_served_where_the_manifest_says_so():
    pods = (backend(1, is_ready=False),)
    for publishes in (False, True):
        found = written(service(ports=[HTTP], publishNotReadyAddresses=publishes), pods=pods)
        assert ("--to-destination 10.1.1.1:8080" in found) is publishes
        assert ("has no endpoints" in found) is not publishes


# --- ten thousand ---------------------------------------------------------------------------------------


def many(count: int) -> tuple[Service, ...]:
    return tuple(
        Service(
            "default",
            f"s{index}",
            "m/s.yaml:1",
            ports=(ServicePort(80, name="http", target=8080),),
            selector={"app": "web"},
            body={
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"s{index}"},
                "spec": {"selector": {"app": "web"}},
            },
        )
        for index in range(count)
    )


def test_what_many_services_have_in_common_is_made_once():
    """Time is not asserted; that is."""
    pods = (pod("a"), pod("b"), pod("c"))
    addresses_ = {"default/a": "10.1.1.2", "default/b": "10.1.1.3", "default/c": "10.1.1.4"}
    placed = dict.fromkeys(addresses_, "node1")
    wanted = type(desired())(services=many(1000))
    given = allocate(Cluster(), [NODE], wanted.services)
    component = plan_services(Cluster(), [NODE], wanted, given, pods, placed, addresses_, {}, NOW)
    rows = component.rows.ports
    assert len(rows) == 1000
    assert len({id(row["endpoints"]) for row in rows}) == 1
    assert len({id(part["endpoints"]) for part in component.record["slices"].values()}) == 1

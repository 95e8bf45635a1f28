"""The ways between nodes, and which of them an inventory allows."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from podlab.configs import RouteConfig
from podlab.planner.inputs.cluster import cluster_of
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.routing import registry
from podlab.planner.routing.pod_routing import PodRouting
from podlab.planner.routing.registry import POD_ROUTING, pod_routing
from tests.unit.test_plan import Lab, wanting

CIDRS = {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}


def host(name: str, *addresses: str, role: str = "node", seen: bool = True) -> Host:
    links = {f"eth{index}": {"addresses": [text], "mtu": 1500} for index, text in enumerate(addresses)}
    return Host(name, role, addresses[0].split("/")[0], observation={"links": links} if seen else None)


def routes(cluster: Cluster, hosts: list[Host]) -> dict[str, Any]:
    return pod_routing(cluster).routes(cluster, hosts, CIDRS)


def problems(cluster: Cluster, hosts: list[Host]) -> list[str]:
    return pod_routing(cluster).validate(cluster, hosts)


NODE1, NODE2 = host("node1", "10.100.0.2/24"), host("node2", "10.100.0.3/24")
FAR = host("node2", "10.200.0.3/24")
GATEWAY = host("gateway", "10.100.0.1/24", "10.200.0.1/24", role="gateway")


def test_gateway_knows_every_node_and_nodes_know_the_gateway():
    assert routes(Cluster(), [NODE1, NODE2, GATEWAY]) == {
        "node1": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}],
        "node2": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}],
        "gateway": [{"to": "10.1.1.0/24", "via": "10.100.0.2"}, {"to": "10.1.2.0/24", "via": "10.100.0.3"}],
    }


def test_a_node_of_another_subnet_goes_by_the_gateways_leg_there():
    ways = routes(Cluster(), [NODE1, FAR, GATEWAY])
    assert ways["node2"] == [{"to": "10.1.0.0/16", "via": "10.200.0.1"}]
    assert problems(Cluster(), [NODE1, FAR, GATEWAY]) == []


def test_a_gateway_that_is_not_seen_keeps_its_leg_in_every_subnet():
    unseen = replace(GATEWAY, observation=None)
    route = {"to": "10.1.0.0/16", "via": "10.200.0.1", "dev": "eth0", "protocol": "117"}
    known = replace(FAR, observation={**(FAR.observation or {}), "routes": [route]})
    ways = routes(Cluster(), [NODE1, known, unseen])
    assert ways["node1"] == [{"to": "10.1.0.0/16", "via": "10.100.0.1"}]
    assert ways["node2"] == [{"to": "10.1.0.0/16", "via": "10.200.0.1"}]
    assert problems(Cluster(), [NODE1, known, unseen]) == []
    # Nobody can say that it has no interface there.
    assert routes(Cluster(), [NODE1, FAR, unseen])["node2"] == []
    assert problems(Cluster(), [NODE1, FAR, unseen]) == []


def test_host_gw_knows_each_other_node_and_the_gateway_nothing():
    assert routes(Cluster(pod_routing="host-gw"), [NODE1, NODE2, GATEWAY]) == {
        "node1": [{"to": "10.1.2.0/24", "via": "10.100.0.3"}],
        "node2": [{"to": "10.1.1.0/24", "via": "10.100.0.2"}],
        "gateway": [],
    }


def test_vxlan_goes_to_the_other_ends_address():
    cluster = Cluster(pod_routing="vxlan", vxlan_id=7)
    ways = routes(cluster, [NODE1, FAR, GATEWAY])
    assert ways == {
        "node1": [{"to": "10.1.2.0/24", "via": "10.1.2.0", "dev": "vxlan.7"}],
        "node2": [{"to": "10.1.1.0/24", "via": "10.1.1.0", "dev": "vxlan.7"}],
        "gateway": [],
    }
    row = pod_routing(cluster).overlay(cluster, NODE1, [NODE1, FAR], CIDRS)
    assert row is not None
    assert (row["address"], row["mtu"], row["local"], row["link"]) == ("10.1.1.0/32", 1450, "10.100.0.2", "eth0")
    assert row["peers"] == [{"address": "10.1.2.0", "mac": "0a:58:0a:01:02:00", "node": "10.200.0.3"}]
    assert pod_routing(cluster).overlay(cluster, GATEWAY, [NODE1, FAR], CIDRS) is None
    straight = replace(cluster, pod_routing="host-gw")
    assert pod_routing(straight).overlay(straight, NODE1, [NODE1], CIDRS) is None


@pytest.mark.parametrize(
    ("way", "hosts", "problem"),
    [
        pytest.param(
            "host-gw",
            [NODE1, FAR],
            'podlab_pod_routing: Invalid value: "host-gw": node2 (10.200.0.3) is not in 10.100.0.0/24, '
            "the subnet of node1, and a next hop is one hop away; choose vxlan",
            id="host-gw beyond a router",
        ),
        pytest.param(
            "gateway",
            [NODE1, FAR, host("gateway", "10.100.0.1/24", role="gateway")],
            'podlab_pod_routing: Invalid value: "gateway": no gateway has an address in 10.200.0.0/24, '
            "the subnet of node2; add an interface to one, or choose vxlan",
            id="gateway without an interface there",
        ),
        pytest.param("vxlan", [NODE1, FAR], None, id="vxlan goes everywhere"),
        pytest.param("host-gw", [NODE1, NODE2], None, id="host-gw in one subnet"),
        pytest.param("host-gw", [NODE1], None, id="one node has nobody to reach"),
        pytest.param("host-gw", [NODE1, host("node2", "10.100.0.3/24", seen=False)], None, id="a node that is off"),
    ],
)
def test_what_an_inventory_allows(way, hosts, problem):
    assert problems(Cluster(pod_routing=way), hosts) == ([problem] if problem else [])


# --- a fourth way


class Tunnel(PodRouting):
    """None of the three: all that a new way has to say for itself."""

    name = "tunnel"

    def lacking(self, roles: Mapping[str, int]) -> list[str]:
        return [self.invalid("it is for two nodes")] if roles["node"] > 2 else []

    def validate(self, cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
        return [self.invalid("it has no number 9")] if cluster.vxlan_id == 9 else []

    def routes(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteConfig]]:
        return {host.name: [{"to": cluster.cidr, "via": "192.0.2.1"}] if host.role == "node" else [] for host in hosts}

    def mtu(self, host: Host) -> int:
        return 1400

    def source_address(self, node: Host, cidr: str) -> str:
        return self.overlay_address(cidr)

    def overlay_device(self, cluster: Cluster) -> str:
        return "tun7"

    def overlay_address(self, cidr: str) -> str:
        return "192.0.2." + cidr.split(".")[2]

    def overlay_port(self, cluster: Cluster) -> int:
        return 51820

    def links_in_the_way(self, cluster: Cluster, host: Host) -> dict[str, str]:
        return {name: "cluster.tunnel" for name in (host.observation or {})["links"] if name == "tun7"}


@pytest.fixture
def tunnels(monkeypatch) -> Lab:
    monkeypatch.setitem(POD_ROUTING, "tunnel", Tunnel())
    lab = Lab()
    lab.cluster = cluster_of({"podlab_pod_routing": "tunnel"})
    return lab


def test_a_fourth_way_is_a_class_and_a_line_in_the_registry(tunnels):
    result = tunnels.plan(wanting(web=2))
    node1 = result["hosts"]["node1"]
    assert node1["routes"]["routes"] == [{"to": "10.1.0.0/16", "via": "192.0.2.1"}]
    assert result["hosts"]["gateway"]["routes"]["routes"] == []
    assert node1["bridge"]["mtu"] == node1["pods"]["pods"][0]["mtu"] == 1400
    accepted = "-s 10.100.0.3/32 -p udp -m udp --dport 51820 -j ACCEPT"
    assert accepted in node1["egress"]["filter"]["chains"]["PODLAB-INPUT"]
    assert node1["egress"]["filter"]["links"] == ["cbr0", "eth0", "tun7"]
    assert node1["services"]["addresses"] == ["10.100.0.2", "10.1.1.1", "192.0.2.1"]
    assert result["verify"]["expect"]["node1"]["default/web-1"] == "192.0.2.1"


def test_a_fourth_way_says_itself_what_keeps_it_from_a_host(tunnels):
    tunnels.hosts["node2"].root.links["tun7"] = tunnels.hosts["node2"].root.links["eth0"] | {"addresses": []}
    assert tunnels.problems() == [
        "node2: link tun7 is in the way: podlab has not made it and does not touch it; remove it, or set cluster.tunnel"
    ]


def test_a_fourth_way_says_itself_which_clusters_it_suits(tunnels):
    tunnels.add(3)
    assert tunnels.problems() == ['podlab_pod_routing: Invalid value: "tunnel": it is for two nodes']
    tunnels.drop("node3")
    tunnels.cluster = cluster_of({"podlab_pod_routing": "tunnel", "podlab_vxlan_id": 9})
    assert tunnels.problems() == ['podlab_pod_routing: Invalid value: "tunnel": it has no number 9']


def test_nothing_but_the_registry_names_the_ways():
    spec = yaml.safe_load((Path(registry.__file__).parents[4] / "roles/plan/meta/argument_specs.yml").read_text())
    assert "choices" not in spec["argument_specs"]["main"]["options"]["podlab_pod_routing"], "the planner knows them"
    code = Path(registry.__file__).parents[2]
    asking = {
        str(file.relative_to(code))
        for file in code.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "pod_routing"
    }
    assert asking == {"planner/inputs/cluster.py", "planner/routing/registry.py"}

"""The three ways between nodes, and which of them an inventory allows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from podlab.planner.inputs.cluster import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.routing import pod_routing

CIDRS = {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}


def host(name: str, *addresses: str, role: str = "node", seen: bool = True) -> Host:
    links = {f"eth{index}": {"addresses": [text], "mtu": 1500} for index, text in enumerate(addresses)}
    return Host(name, role, addresses[0].split("/")[0], observation={"links": links} if seen else None)


NODE1, NODE2 = host("node1", "10.100.0.2/24"), host("node2", "10.100.0.3/24")
FAR = host("node2", "10.200.0.3/24")
GATEWAY = host("gateway", "10.100.0.1/24", "10.200.0.1/24", role="gateway")


def test_gateway_knows_every_node_and_nodes_know_the_gateway():
    assert pod_routing.routes_of(Cluster(), [NODE1, NODE2, GATEWAY], CIDRS) == {
        "node1": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}],
        "node2": [{"to": "10.1.0.0/16", "via": "10.100.0.1"}],
        "gateway": [{"to": "10.1.1.0/24", "via": "10.100.0.2"}, {"to": "10.1.2.0/24", "via": "10.100.0.3"}],
    }


def test_a_node_of_another_subnet_goes_by_the_gateways_leg_there():
    ways = pod_routing.routes_of(Cluster(), [NODE1, FAR, GATEWAY], CIDRS)
    assert ways["node2"] == [{"to": "10.1.0.0/16", "via": "10.200.0.1"}]
    assert pod_routing.impossible_ways(Cluster(), [NODE1, FAR, GATEWAY]) == []


def test_a_gateway_that_is_not_seen_keeps_its_leg_in_every_subnet():
    unseen = replace(GATEWAY, observation=None)
    route = {"to": "10.1.0.0/16", "via": "10.200.0.1", "dev": "eth0", "protocol": "117"}
    known = replace(FAR, observation={**(FAR.observation or {}), "routes": [route]})
    ways = pod_routing.routes_of(Cluster(), [NODE1, known, unseen], CIDRS)
    assert ways["node1"] == [{"to": "10.1.0.0/16", "via": "10.100.0.1"}]
    assert ways["node2"] == [{"to": "10.1.0.0/16", "via": "10.200.0.1"}]
    assert pod_routing.impossible_ways(Cluster(), [NODE1, known, unseen]) == []
    # Nobody can say that it has no leg there.
    assert pod_routing.routes_of(Cluster(), [NODE1, FAR, unseen], CIDRS)["node2"] == []
    assert pod_routing.impossible_ways(Cluster(), [NODE1, FAR, unseen]) == []


def test_host_gw_knows_each_other_node_and_the_gateway_nothing():
    assert pod_routing.routes_of(Cluster(pod_routing="host-gw"), [NODE1, NODE2, GATEWAY], CIDRS) == {
        "node1": [{"to": "10.1.2.0/24", "via": "10.100.0.3"}],
        "node2": [{"to": "10.1.1.0/24", "via": "10.100.0.2"}],
        "gateway": [],
    }


def test_vxlan_goes_to_the_other_ends_address():
    cluster = Cluster(pod_routing="vxlan", vxlan_id=7)
    ways = pod_routing.routes_of(cluster, [NODE1, FAR, GATEWAY], CIDRS)
    assert ways == {
        "node1": [{"to": "10.1.2.0/24", "via": "10.1.2.0", "dev": "vxlan.7"}],
        "node2": [{"to": "10.1.1.0/24", "via": "10.1.1.0", "dev": "vxlan.7"}],
        "gateway": [],
    }
    row = pod_routing.vxlan_row(cluster, NODE1, [NODE1, FAR], CIDRS)
    assert row is not None
    assert (row["address"], row["mtu"], row["local"], row["link"]) == ("10.1.1.0/32", 1450, "10.100.0.2", "eth0")
    assert row["peers"] == [{"address": "10.1.2.0", "mac": "0a:58:0a:01:02:00", "node": "10.200.0.3"}]
    assert pod_routing.vxlan_row(cluster, GATEWAY, [NODE1, FAR], CIDRS) is None
    assert pod_routing.vxlan_row(replace(cluster, pod_routing="host-gw"), NODE1, [NODE1], CIDRS) is None


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
            "the subnet of node2; add a leg to one, or choose vxlan",
            id="gateway without a leg there",
        ),
        pytest.param("vxlan", [NODE1, FAR], None, id="vxlan goes everywhere"),
        pytest.param("host-gw", [NODE1, NODE2], None, id="host-gw in one subnet"),
        pytest.param("host-gw", [NODE1], None, id="one node has nobody to reach"),
        pytest.param("host-gw", [NODE1, host("node2", "10.100.0.3/24", seen=False)], None, id="a node that is off"),
    ],
)
def test_what_an_inventory_allows(way, hosts, problem):
    assert pod_routing.impossible_ways(Cluster(pod_routing=way), hosts) == ([problem] if problem else [])

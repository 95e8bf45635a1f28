"""Nodes that show each other the way, without a gateway."""

from __future__ import annotations

import pytest

NODES = {
    "node1": ("10.100.0.2", "10.1.1.0/24"),
    "node2": ("10.100.0.3", "10.1.2.0/24"),
    "node3": ("10.100.0.4", "10.1.3.0/24"),
}


@pytest.mark.parametrize("name", NODES)
def test_each_node_has_a_route_to_each_other_nodes_pods_by_its_address(node, name):
    routes = node(name).check_output("ip route show proto 117").split("\n")
    others = [f"{cidr} via {address} dev eth0" for other, (address, cidr) in NODES.items() if other != name]
    assert [route.strip() for route in routes] == others


@pytest.mark.parametrize("name", NODES)
def test_there_is_nothing_of_the_other_ways(node, name):
    assert node(name).check_output("ip -d link show type vxlan") == ""
    assert node(name).check_output("ip neigh show nud permanent") == ""
    assert node(name).check_output("bridge fdb show | grep -c ' dst ' || true") == "0"
    assert "10.1.0.0/16" not in node(name).check_output("ip route")


@pytest.mark.parametrize("name", NODES)
def test_pods_have_the_mtu_of_the_wire_between_nodes(node, name):
    host = node(name)
    links = host.check_output("cat /sys/class/net/eth0/mtu /sys/class/net/cbr0/mtu; cat /sys/class/net/veth*/mtu")
    inside = host.check_output("for pod in /run/netns/*; do ip netns exec ${pod##*/} cat /sys/class/net/eth0/mtu; done")
    assert links.split() + inside.split() == ["1500"] * 6


def test_a_packet_passes_two_routers(node, lab):
    """The two nodes; with a gateway it would be three."""
    netns, address = lab.pod("node1", "calm")["netns"], lab.pod("node3", "calm")["address"].split("/")[0]
    assert " ttl=62 " in node("node1").check_output(f"ip netns exec {netns} ping -c 1 -W 5 {address}")

"""Nodes of two subnets in one overlay, and the other ways beside it."""

from __future__ import annotations

import json

import pytest

from tests.picture import picture

NODES = {"node1": ("10.100.0.2", "10.1.1"), "node2": ("10.200.0.2", "10.1.2"), "node3": ("10.200.0.3", "10.1.3")}
HOSTS = ("gateway", *NODES)
DEVICE = "vxlan.4096"


def mac(number):
    return f"0a:58:0a:01:{number:02x}:00"


def others(name):
    """Number, node address and pod CIDR's first three numbers of every other node."""
    return [(number, *facts) for number, (other, facts) in enumerate(NODES.items(), 1) if other != name]


@pytest.mark.parametrize("name", NODES)
def test_the_overlays_end_is_as_the_settings_say(node, name):
    link = json.loads(node(name).check_output(f"ip -j -d addr show {DEVICE}"))[0]
    facts = link["linkinfo"]["info_data"]
    address, prefix = NODES[name]
    assert (facts["id"], facts["port"], facts["learning"]) == (4096, 4789, False)
    assert (facts["local"], facts["link"]) == (address, "eth0")
    assert (link["ifalias"], link["mtu"], "UP" in link["flags"]) == ("podlab", 1450, True)
    assert [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet"] == [f"{prefix}.0"]


@pytest.mark.parametrize("name", NODES)
def test_bridge_and_pods_leave_room_for_the_outer_headers(node, name):
    host = node(name)
    links = host.check_output("cat /sys/class/net/cbr0/mtu; cat /sys/class/net/veth*/mtu")
    inside = host.check_output("for pod in /run/netns/*; do ip netns exec ${pod##*/} cat /sys/class/net/eth0/mtu; done")
    assert links.split() + inside.split() == ["1450"] * 5
    assert host.check_output("cat /sys/class/net/eth0/mtu") == "1500"


@pytest.mark.parametrize("name", NODES)
def test_a_route_over_the_overlay_leads_to_each_other_node(node, name):
    routes = json.loads(node(name).check_output("ip -j route show proto 117"))
    assert [(route["dst"], route["gateway"], route["dev"], route["flags"]) for route in routes] == [
        (f"{prefix}.0/24", f"{prefix}.0", DEVICE, ["onlink"]) for _, _, prefix in others(name)
    ]


@pytest.mark.parametrize("name", NODES)
def test_who_is_where_is_written_and_not_learnt(node, name):
    neighbours = node(name).check_output(f"ip neigh show dev {DEVICE}").split("\n")
    assert sorted(line.strip() for line in neighbours) == [
        f"{prefix}.0 lladdr {mac(number)} PERMANENT" for number, _, prefix in others(name)
    ]
    entries = node(name).check_output(f"bridge fdb show dev {DEVICE}").split("\n")
    assert sorted(line.strip() for line in entries) == [
        f"{mac(number)} dst {address} self permanent" for number, address, _ in others(name)
    ]


def test_the_gateway_knows_nothing_of_pods(node):
    assert "10.1." not in node("gateway").check_output("ip route")
    assert node("gateway").check_output("ip -d link show type vxlan") == ""


@pytest.mark.parametrize("there", ["node2", "node3"])
def test_a_packet_passes_two_routers_whatever_lies_between_the_nodes(node, lab, there):
    netns, address = lab.pod("node1", "calm")["netns"], lab.pod(there, "calm")["address"].split("/")[0]
    assert " ttl=62 " in node("node1").check_output(f"ip netns exec {netns} ping -c 1 -W 5 {address}")


# --- the other ways between two subnets -----------------------------------------------------------------------


def choose(way):
    return "-e", json.dumps({"podlab_pod_routing": way, "podlab_vxlan_id": 4096, "podlab_vxlan_port": 4789})


def test_host_gw_is_refused_with_the_reason_before_anything_is_written(lab, overlay):
    done = lab.play(*choose("host-gw"))
    assert done.returncode != 0
    assert (
        'podlab_pod_routing: Invalid value: "host-gw": node2 (10.200.0.2) is not in 10.100.0.0/24, '
        "the subnet of node1, and a next hop is one hop away; choose vxlan"
    ) in done.stdout + done.stderr
    assert lab.typed(done.stdout) == {}
    assert {host: picture(lab, host) for host in HOSTS} == overlay


@pytest.fixture(scope="module")
def conversation(lab, talk):
    """Between two pods of one node; it begins in the overlay."""
    return talk(lab, ("node1", "calm"), ("node1", "worn"))


@pytest.fixture(scope="module")
def overlay(lab, conversation):
    """The hosts as they were built."""
    return {host: picture(lab, host) for host in HOSTS}


@pytest.fixture(scope="module")
def gateway(lab, overlay):
    """The cluster on its way over the gateway, after one run; and what that run said."""
    return lab.converge(*choose("gateway"))


def test_the_gateway_joins_the_subnets_too(gateway, conversation, node):
    assert "connections are as planned" in gateway
    routes = node("gateway").check_output("ip route show proto 117").split("\n")
    assert [route.strip() for route in routes] == [
        "10.1.1.0/24 via 10.100.0.2 dev eth0",
        "10.1.2.0/24 via 10.200.0.2 dev eth1",
        "10.1.3.0/24 via 10.200.0.3 dev eth1",
    ]
    for name, hop in (("node1", "10.100.0.1"), ("node2", "10.200.0.1"), ("node3", "10.200.0.1")):
        assert node(name).check_output("ip route show proto 117").strip() == f"10.1.0.0/16 via {hop} dev eth0"
    assert conversation.goes_on()


def test_nothing_of_the_overlay_is_left(gateway, node, lab):
    for name in NODES:
        assert node(name).check_output("ip -d link show type vxlan") == ""
        assert node(name).check_output("ip neigh show nud permanent") == ""
        assert node(name).check_output("cat /sys/class/net/cbr0/mtu") == "1500"
        row = lab.pod(name, "calm")
        assert node(name).check_output(f"ip netns exec {row['netns']} cat /sys/class/net/eth0/mtu") == "1500"


def test_nobody_is_told_of_a_shorter_way(gateway, node, lab):
    """Two nodes of one subnet: the gateway sends packets out where they came in, and says nothing."""
    address = lab.pod("node3", "calm")["address"].split("/")[0]
    assert node("node2").run(f"ping -c 2 -i 0.2 -W 5 {address}").rc == 0
    assert f"{address} via 10.200.0.1 dev eth0" in node("node2").check_output(f"ip route get {address}")


def test_a_run_that_is_limited_to_one_node_knows_the_gateways_leg_there(gateway, lab):
    assert lab.typed(lab.converge(*choose("gateway"), "--limit", "node3", "--skip-tags", "verify")) == {}


def test_one_run_brings_the_overlay_back_as_it_was_built(gateway, conversation, lab, overlay):
    assert "connections are as planned" in lab.converge()
    assert {host: picture(lab, host) for host in HOSTS} == overlay
    assert conversation.goes_on()


# --- the end --------------------------------------------------------------------------------------------------


def test_teardown_takes_all_of_it_away(lab, node):
    done = lab.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in HOSTS:
        assert "podlab" not in node(name).check_output("ip link").lower()
        assert node(name).check_output("ip route show proto 117") == ""
        assert "PODLAB" not in node(name).check_output("iptables-save")
        left = "ls /run/netns /run/podlab; cut -d' ' -f5 /proc/self/mountinfo | grep ^/run/"
        assert node(name).run(left).stdout == ""
    again = lab.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")
    assert lab.typed(again.stdout) == {}

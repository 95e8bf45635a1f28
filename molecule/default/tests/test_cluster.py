"""The sample cluster on the wire, seen from the hosts."""

from __future__ import annotations

import pytest

NODES = {"node1": "10.1.1", "node2": "10.1.2"}


@pytest.fixture(scope="session")
def web(pods):
    """The two replicas, the one of node1 first."""
    return sorted((name for name in pods if name.startswith("web-")), key=lambda name: pods[name]["node"])


@pytest.mark.parametrize(("name", "prefix"), NODES.items())
def test_bridge_bears_the_first_address_and_a_pinned_mac(node, name, prefix):
    bridge = node(name).interface("cbr0")
    assert f"{prefix}.1" in bridge.addresses
    digits = [int(part) for part in f"{prefix}.1".split(".")]
    mac = "0a:58:" + ":".join(f"{digit:02x}" for digit in digits)
    assert node(name).check_output("cat /sys/class/net/cbr0/address") == mac
    assert node(name).check_output("cat /sys/class/net/cbr0/addr_assign_type") == "3"  # set by somebody


def test_replicas_are_spread_over_both_nodes(pods, web):
    assert [pods[name]["node"] for name in web] == ["node1", "node2"]


def test_pause_holds_the_namespaces_of_every_pod(node, pods):
    for pod in pods.values():
        host = node(pod["node"])
        pid = host.check_output(f"pgrep -xf 'catatonit -P podlab-pod {pod['netns']}'")
        for kind, name in (("net", f"/run/netns/{pod['netns']}"), ("ipc", f"/run/podlab/pods/{pod['netns']}/ipc")):
            assert host.check_output(f"stat -L -c %i /proc/{pid}/ns/{kind}") == host.check_output(f"stat -c %i {name}")


def test_wire_has_hairpin_and_podlabs_mark(node, pods):
    for pod in pods.values():
        ports = node(pod["node"]).check_output("ip -d link show master cbr0")
        assert "hairpin on" in ports and "hairpin off" not in ports
        assert f"alias podlab {pod['netns'].replace('_', '/')}" in ports


def test_pods_of_both_nodes_see_each_other_with_their_own_address(in_pod, pods, web):
    for client in ("pair", "toolbox"):
        for server in web:
            seen = in_pod(client, f"curl -sm 5 http://{pods[server]['ip']}/clientip")
            assert seen.stdout.split(":")[0] == pods[client]["ip"]


def test_udp_reaches_the_other_node(in_pod, pods, web):
    ask = (
        'python3 -c "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5); '
        f"s.sendto(b'hostname', ('{pods[web[0]]['ip']}', 80)); print(s.recv(100).decode())\""
    )
    assert in_pod("toolbox", ask).stdout.strip() == web[0]


def twenty(url):
    """Twenty calls, an answer a line."""
    return f"sh -c 'for i in $(seq 20); do curl -sm 5 -w \"\\n\" {url}; done'"


def test_service_leads_to_both_replicas_and_leaves_a_pods_address(in_pod, pods, web):
    assert set(in_pod("toolbox", twenty("http://10.96.54.115/hostname")).stdout.split()) == set(web)
    seen = in_pod("toolbox", twenty("http://10.96.54.115/clientip")).stdout.split()
    assert {answer.split(":")[0] for answer in seen} == {pods["toolbox"]["ip"]}


@pytest.mark.parametrize(("name", "address"), [("node1", "10.100.0.2"), ("node2", "10.100.0.3")])
def test_who_calls_a_node_port_is_seen_as_the_node(node, name, address):
    seen = node("outside").check_output(twenty(f"http://{address}:30080/clientip")).split()
    # The bridge's address in the node's own pod, that of its wire in the other one.
    assert {answer.split(":")[0] for answer in seen} == {f"{NODES[name]}.1", address}


def test_only_the_gateway_knows_which_node_holds_which_pod_cidr(node):
    routes = node("gateway").check_output("ip route show proto 117").split("\n")
    assert [route.strip() for route in routes] == [
        "10.1.1.0/24 via 10.100.0.2 dev eth0",
        "10.1.2.0/24 via 10.100.0.3 dev eth0",
    ]
    for name in NODES:
        assert node(name).check_output("ip route show proto 117").strip() == "10.1.0.0/16 via 10.100.0.1 dev eth0"


def test_egress_leaves_the_service_layers_mark_and_the_clusters_own_traffic_alone(node):
    rules = node("node1").check_output("iptables-save -t nat").split("\n")
    chain = [rule for rule in rules if rule.startswith("-A PODLAB-EGRESS")]
    assert chain[0] == "-A PODLAB-EGRESS -m mark --mark 0x4000/0x4000 -j RETURN"
    assert chain[1] == "-A PODLAB-EGRESS -d 10.1.0.0/16 -j RETURN"
    assert chain[-1] == "-A PODLAB-EGRESS -j MASQUERADE --random-fully"


def test_containers_of_a_pod_share_host_name_and_localhost(node, pods):
    log = node(pods["pair"]["node"]).file(f"/var/log/pods/{pods['pair']['netns']}/client/0/current")
    # The client asks its neighbour for the host name every few seconds; the first answer may still be under way.
    assert node(pods["pair"]["node"]).run(f"timeout 20 tail -F -n +1 {log.path} | grep -qm1 '^pair$'").rc == 0


def test_forwarding_is_on_and_the_old_value_is_on_record(node):
    assert node("node1").sysctl("net.ipv4.ip_forward") == 1
    assert '"net.ipv4.ip_forward": "0"' in node("node1").check_output("cat /var/lib/podlab/record.json")
    assert node("gateway").sysctl("net.ipv4.conf.all.send_redirects") == 0

"""Who reaches whom in each mode, and what is there for it."""

from __future__ import annotations

import pytest

MARK = "podlab-namespace"
ADDRESSES = {
    "alone": "192.168.222.10",
    "near": "192.168.202.11",
    "out": "192.168.212.11",
    "too": "192.168.212.12",
    "host, near": "192.168.202.1",
    "host, out": "192.168.212.1",
    "host": "10.100.0.2",
    "world": "10.100.0.1",
}
REACHES = {
    "alone": {"alone"},
    "near": {"near", "host, near"},
    # All that the host reaches: what leaves by it bears its address.
    "out": ADDRESSES.keys() - {"alone"},
    "too": ADDRESSES.keys() - {"alone"},
    "host": ADDRESSES.keys() - {"alone"},
    "world": {"world", "host"},
}


@pytest.mark.parametrize("caller", REACHES)
def test_who_reaches_whom(node, caller):
    host = node("gateway" if caller == "world" else "node1")
    inside = f"ip netns exec {caller} " if caller in ("alone", "near", "out", "too") else ""
    calls = [f"({inside}ping -c1 -W1 {address} >&2 && echo {address}) &" for address in ADDRESSES.values()]
    reached = host.run(" ".join([*calls, "wait"])).stdout.split()
    assert {name for name, address in ADDRESSES.items() if address in reached} == REACHES[caller]


def test_what_leaves_a_bridged_one_bears_the_hosts_address(node):
    world, host = node("gateway"), node("node1")
    serve = (
        "import socket; s = socket.create_server(('', 4000)); open('/run/ready', 'w').close(); "
        "c, peer = s.accept(); c.sendall(peer[0].encode())"
    )
    world.run_expect([0], f'rm -f /run/ready; setsid python3 -c "{serve}" </dev/null >/dev/null 2>&1 &')
    world.run_expect([0], "timeout 20 sh -c 'until [ -e /run/ready ]; do sleep 0.05; done'")
    ask = "import socket; print(socket.create_connection(('10.100.0.1', 4000), 5).recv(99).decode())"
    assert host.check_output(f'ip netns exec out python3 -c "{ask}"') == "10.100.0.2"


def test_all_of_it_is_marked(node):
    host = node("node1")
    for name in ("veth-near", "veth-out", "veth-too", "br-out"):
        assert host.file(f"/sys/class/net/{name}/ifalias").content_string.strip() == MARK
    for name in ("alone", "near", "out", "too"):
        assert f"alias {MARK}" in host.check_output(f"ip -n {name} link show lo")
    rules = host.check_output("iptables-save")
    assert rules.count(f"--comment {MARK} ") == 3


def test_an_isolated_one_has_a_link_without_a_neighbour(node):
    kind = node("node1").check_output("ip -n alone -d link show eth0")
    assert "dummy" in kind or "bridge" in kind
    assert "192.168.222.10/24" in node("node1").check_output("ip -n alone addr show eth0")
    assert node("node1").check_output("ip -n alone link show up").count("<") == 2


def test_forwarding_is_on_and_what_it_was_is_remembered(node):
    assert node("node1").sysctl("net.ipv4.ip_forward") == 1
    assert '"net.ipv4.ip_forward": "0"' in node("node1").check_output("cat /var/lib/podlab/namespaces.json")
    assert not node("node1").file("/var/lib/podlab/record.json").exists

"""Several things are broken at once; one run names and mends each of them, and what was sound is not touched.

``tests/lab/test_repair.py`` breaks one thing after the other. Here is what meets: drift of several components and
hosts, and of the overlay.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from podlab.changes.pods.pods import veth_name
from tests.picture import picture

NODES = ("node1", "node2", "node3")
HOSTS = ("gateway", *NODES)


@dataclass(frozen=True)
class Drift:
    """Damage on a host, as a script; and lines that the run which mends it types there, or parts of them.

    ``{veth}``, ``{netns}`` and ``{address}`` are those of the host's pod ``worn``, ``{calm}`` and ``{calm_veth}`` are
    of its neighbour; ``{mac1}`` is that of node1 in the overlay.
    """

    host: str
    damage: str
    mending: tuple[str, ...]


ROUNDS = {
    "the overlay, bridges and wires": [
        Drift("node1", "ip link del vxlan.1", ("ip link add vxlan.1 address {mac1} ", "ip route replace 10.1.2.0/24 ")),
        Drift(
            "node2",
            "bridge fdb del {mac1} dev vxlan.1 dst 10.100.0.2",
            ("bridge fdb append {mac1} dev vxlan.1 dst 10.100.0.2 self permanent",),
        ),
        Drift(
            "node2",
            "bridge fdb replace {mac3} dev vxlan.1 dst 10.100.0.99",
            ("bridge fdb del {mac3} dev vxlan.1 dst 10.100.0.99 self", "bridge fdb append {mac3} "),
        ),
        Drift(
            "node2",
            "bridge fdb append 00:00:00:00:00:00 dev vxlan.1 dst 10.100.0.4 port 4789",
            ("bridge fdb del 00:00:00:00:00:00 dev vxlan.1 dst 10.100.0.4 port 4789 self",),
        ),
        Drift(
            "node2",
            "ip neigh replace 10.1.1.0 lladdr 02:00:00:00:00:01 dev vxlan.1 nud permanent",
            ("ip neigh replace 10.1.1.0 lladdr {mac1} dev vxlan.1 nud permanent",),
        ),
        Drift(
            "node2",
            "ip neigh replace 10.1.9.0 lladdr 02:00:00:00:00:01 dev vxlan.1 nud permanent",
            ("ip neigh del 10.1.9.0 dev vxlan.1",),
        ),
        Drift("node2", "ip link set vxlan.1 alias lost", ("ip link set vxlan.1 alias podlab",)),
        Drift("node2", "ip neigh del 10.1.3.0 dev vxlan.1", ("ip neigh replace 10.1.3.0 lladdr {mac3} ",)),
        Drift("node2", "ip route del 10.1.3.0/24", ("ip route replace 10.1.3.0/24 via 10.1.3.0 dev vxlan.1 onlink ",)),
        Drift("node2", "ip route add 10.1.77.0/24 via 10.100.0.4", ("ip route del 10.1.77.0/24 via 10.100.0.4 ",)),
        Drift("gateway", "ip route add 10.1.2.0/24 via 10.100.0.2", ("ip route del 10.1.2.0/24 via 10.100.0.2 ",)),
        Drift("node1", "ip link del cbr0", ("ip link add cbr0 ", "ip link set {calm_veth} master cbr0")),
        Drift(
            "node1",
            "ip link set {veth} down name lost1; ip link set lost1 up",
            ("ip link set lost1 name {veth}", "ip link set {veth} master cbr0 up"),
        ),
        Drift(
            "node1",
            "ip -n {netns} addr flush dev eth0; ip -n {netns} addr add 10.1.1.99/24 dev eth0",
            ("ip -n {netns} addr del 10.1.1.99/24 dev eth0", "ip -n {netns} addr replace {address} "),
        ),
        Drift("node1", "ip -n {calm} route flush table main", ("ip -n {calm} route replace 10.1.1.0/24 ",)),
        Drift(
            "node1",
            "ip -n {calm} neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
            ("ip -n {calm} neigh del 10.1.1.1 dev eth0",),
        ),
        Drift(
            "node2",
            "ip netns add faraway; ip link set {veth} netns faraway",
            ("ip link add {veth} ", "ip -n {netns} link set podlab0 name eth0"),
        ),
        Drift(
            "node2",
            "ip -n {calm} link set eth0 down; ip -n {calm} link set eth0 name lost3; ip -n {calm} link set lost3 up",
            ("ip link del {calm_veth}", "ip link add {calm_veth} "),
        ),
        Drift("node2", "ip route del 10.1.2.0/24 dev cbr0", ("ip route replace 10.1.2.0/24 dev cbr0 proto kernel ",)),
        Drift(
            "node2",
            "ip neigh replace 10.1.2.2 lladdr 02:00:00:00:00:01 dev cbr0 nud permanent",
            ("ip neigh del 10.1.2.2 dev cbr0",),
        ),
        Drift(
            "node2",
            "bridge fdb replace 02:00:00:00:00:02 dev cbr0 self local",
            ("bridge fdb del 02:00:00:00:00:02 dev cbr0 self",),
        ),
    ],
    "the overlay's device, and rules": [
        Drift(
            "node1",
            "ip netns add elsewhere; ip link set vxlan.1 netns elsewhere",
            ("ip -n elsewhere link del vxlan.1", "ip link add vxlan.1 "),
        ),
        Drift("node2", "ip addr add 10.7.0.1/24 dev vxlan.1", ("ip addr del 10.7.0.1/24 dev vxlan.1",)),
        Drift("node2", "ip addr del 10.1.2.0/32 dev vxlan.1", ("ip addr add 10.1.2.0/32 dev vxlan.1",)),
        Drift(
            "node2",
            "ip link set vxlan.1 address 02:00:00:00:00:02 mtu 1400 master cbr0 down",
            ("ip link set vxlan.1 nomaster address {mac2} mtu 1450 up",),
        ),
        Drift(
            "node2", "sysctl -qw net.ipv4.conf.vxlan/1.rp_filter=1", ("sysctl -w net.ipv4.conf.vxlan/1.rp_filter=2",)
        ),
        Drift(
            "node1",
            "iptables -t nat -F; iptables -F",
            (
                *("iptables -t nat -A PODLAB-EGRESS -j MASQUERADE", "iptables -t nat -A POSTROUTING -s 10.1.0.0/16 "),
                *("iptables -t filter -A PODLAB-FORWARD -s 10.1.0.0/16 ", "iptables -t filter -A FORWARD "),
            ),
        ),
        Drift(
            "node2",
            "iptables -P FORWARD DROP; iptables -D FORWARD -j PODLAB-FORWARD; iptables -F PODLAB-FORWARD; "
            "iptables -X PODLAB-FORWARD; iptables -t nat -D POSTROUTING -s 10.1.0.0/16 -j PODLAB-EGRESS",
            ("iptables -t filter -A FORWARD -j PODLAB-FORWARD", "iptables -t nat -A POSTROUTING -s 10.1.0.0/16 "),
        ),
        Drift("gateway", "sysctl -qw net.ipv4.ip_forward=0", ("sysctl -w net.ipv4.ip_forward=1",)),
        Drift(
            "gateway",
            "sysctl -qw net.ipv4.conf.eth0.send_redirects=1",
            ("sysctl -w net.ipv4.conf.eth0.send_redirects=0",),
        ),
        Drift(
            "node1",
            "sysctl -qw net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0",
            ("sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.bridge.bridge-nf-call-iptables=1"),
        ),
    ],
    "processes, and the overlay's device under another name": [
        Drift("node1", "pkill -KILL -xf 'catatonit -P podlab-pod {netns}'", ("unshare --net=/run/netns/{netns} ",)),
        Drift("node1", "pkill -KILL s6-svscan", ("s6-svscanctl -a ",)),
        # All of them: containers, their supervisors, and pause.
        Drift("node2", "kill -KILL -1", ("unshare --net=/run/netns/{netns} ", "unshare --net=/run/netns/{calm} ")),
        Drift("node2", "ip link set eth0 down", ("ip link add vxlan.1 ",)),
        Drift("node1", "ip link set vxlan.1 down; ip link set vxlan.1 name lost2 up", ("ip link del lost2",)),
    ],
}


def alive(lab, host):
    """What runs on a host: pause and the supervised containers, by their process ids and how often they began."""
    script = "pgrep -ax catatonit; cd /run/podlab/services; grep -s . */status */restarts"
    return lab.sh(host, script).splitlines()


def sandboxes_of_calm(lines):
    """A supervisor that has lost s6-svscan cannot be given to another one: containers begin anew, pause stays."""
    return [line for line in lines if "podlab-pod default_calm" in line]


def words(lab, host):
    """What the words in braces stand for on a host."""
    if host == "gateway":
        return {}
    worn, calm = lab.pod(host, "worn"), lab.pod(host, "calm")
    return {
        **{"netns": worn["netns"], "veth": veth_name(worn["netns"]), "address": worn["address"]},
        **{"calm": calm["netns"], "calm_veth": veth_name(calm["netns"])},
        **{f"mac{number}": f"0a:58:0a:01:{number:02x}:00" for number in (1, 2, 3)},
    }


@pytest.fixture(scope="session")
def sound(lab):
    """The hosts as they were built."""
    return {host: picture(lab, host) for host in HOSTS}


@pytest.fixture(scope="session")
def conversations(lab, talk, sound):
    """On a node that nobody breaks, and from there to a pod of one whose surroundings are broken."""
    near, far = (("node3", "calm"), ("node3", "worn")), (("node3", "calm"), ("node1", "calm"))
    return [talk(lab, *near), talk(lab, *far, pause=0)]


@pytest.mark.parametrize("what", ROUNDS)
def test_one_run_names_and_mends_all_of_it(lab, sound, conversations, what):
    drifts = ROUNDS[what]
    named = {host: words(lab, host) for host in HOSTS}
    before = {host: alive(lab, host) for host in NODES}
    for drift in drifts:
        lab.sh(drift.host, drift.damage.format(**named[drift.host]), check=False)

    output = lab.converge()

    typed = {host: lines for host, lines in lab.typed(output).items() if lines}
    unnamed = [
        (drift.host, line)
        for drift in drifts
        for line in (part.format(**named[drift.host]) for part in drift.mending)
        if not any(line in found for found in typed.get(drift.host, []))
    ]
    assert unnamed == [], typed
    assert typed.keys() == {drift.host for drift in drifts}
    assert "connections are as planned" in output
    assert {host: picture(lab, host) for host in HOSTS} == sound
    after = {host: alive(lab, host) for host in NODES}
    if what.startswith("processes"):  # then it is only these that were none of it
        before, after = ([*facts["node3"], *sandboxes_of_calm(facts["node1"])] for facts in (before, after))
    assert after == before
    assert [conversation.goes_on() for conversation in conversations] == [True, True]
    assert lab.typed(lab.converge("--skip-tags", "verify")) == {}

"""One run mends what a person has broken, names it, and leaves alone what is sound."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from podlab.embedded import ENVIRONMENT, Lab, enter

from .conftest import ROOT

WEB = "default_web-"


def veth(lab, host, name):
    links = lab.sh(host, f"ip -o link | grep 'alias podlab default/{name}'")
    return links.split(": ")[1].split("@")[0]


def netns(lab, host, name):
    return lab.pod(host, name)["netns"]


BREAKS: dict[str, list[tuple[str, str, str, str | tuple[str, ...]]]] = {
    "wires, and what podlab keeps": [
        # a wire is deleted
        ("node1", "web", "ip link del {veth}", "ip link add {veth} "),
        # a wire is down
        ("node2", "web", "ip link set {veth} down", "ip link set {veth} up"),
        # a wire is renamed
        ("node2", "toolbox", "ip link set {veth} down name broken", "ip link set broken name {veth}"),
        # what podlab keeps is open to everybody, and closed for programs
        (
            "node1",
            "web",
            "chmod 755 /run/podlab /var/log/pods/{netns}; chmod 644 /run/podlab/pods/{netns}/pod.json;"
            "chmod 777 /run/podlab/services/{netns}.agnhost/timeout-finish;"
            "mount -o remount,bind,noexec /run/podlab",
            (
                "chmod 600 /run/podlab/pods/{netns}/pod.json",
                "chmod 600 /run/podlab/services/{netns}.agnhost/timeout-finish",
                "mount -o remount,bind,exec /run/podlab",
            ),
        ),
        # a container's s6 directory lacks files
        (
            "node2",
            "web",
            "rm /run/podlab/services/{netns}.agnhost/env",
            "s6-svscanctl -a /run/podlab/services  # {netns}.agnhost:",
        ),
        (
            "node1",
            "web",
            "rm /run/podlab/services/{netns}.agnhost/identity",
            "s6-svscanctl -a /run/podlab/services  # {netns}.agnhost:",
        ),
        # forwarding is off
        ("node1", "web", "sysctl -qw net.ipv4.ip_forward=0", "sysctl -w net.ipv4.ip_forward=1"),
        # the record is gone
        ("node2", "web", "rm /var/lib/podlab/record.json", "# /var/lib/podlab/record.json"),
    ],
    "bridges, addresses of pods, supervisors": [
        # the bridge is deleted
        ("node1", "web", "ip link del cbr0", "ip link add cbr0 "),
        # the bridge has another address
        (
            "node2",
            "web",
            "ip addr del 10.1.2.1/24 dev cbr0; ip addr add 10.1.2.200/24 dev cbr0",
            "ip addr del 10.1.2.200/24 dev cbr0",
        ),
        # the gateway has a route elsewhere
        (
            "gateway",
            "",
            "ip route replace 10.1.2.0/24 via 10.100.0.2",
            "ip route replace 10.1.2.0/24 via 10.100.0.3",
        ),
        # a pod has lost its address
        ("node1", "web", "ip -n {netns} addr flush dev eth0", "addr replace 10.1.1."),
        # a pod has another address
        (
            "node2",
            "web",
            "ip -n {netns} addr flush dev eth0; ip -n {netns} addr add 10.1.2.99/24 dev eth0",
            "addr del 10.1.2.99/24 dev eth0",
        ),
        # a pod has no default route
        ("node2", "toolbox", "ip -n {netns} route del default", "route replace default via 10.1.2.1"),
        # the supervisor is killed
        ("node1", "web", "pkill -KILL s6-svscan; pkill -KILL s6-supervise", "s6-svscanctl -a"),
        # only s6-svscan is killed
        ("node2", "web", "pkill -KILL s6-svscan", "s6-svscanctl -a"),
    ],
    "namespaces, and chains": [
        # a pod's eth0 is down
        ("node1", "web", "ip -n {netns} link set eth0 down", "link set eth0 up"),
        # pause is killed
        ("node2", "web", "pkill -KILL -xf 'catatonit -P podlab-pod {netns}'", "unshare --net=/run/netns/{netns}"),
        # the namespace has lost its name
        ("node2", "toolbox", "ip netns del {netns}", "unshare --net=/run/netns/{netns}"),
        # chains of podlab's and of kube-proxy's have another name
        (
            "node1",
            "web",
            "iptables -t nat -E PODLAB-EGRESS LOST-EGRESS; iptables -t nat -E KUBE-SERVICES LOST-SERVICES",
            ("iptables -t nat -X LOST-EGRESS", "iptables -t nat -X LOST-SERVICES"),
        ),
        # a gateway's leg does not forward, and its firewall refuses
        (
            "gateway",
            "",
            "sysctl -qw net.ipv4.conf.eth1.forwarding=0; iptables -A FORWARD -j REJECT",
            ("sysctl -w net.ipv4.conf.eth1.forwarding=1", "-I FORWARD 1 -j PODLAB-FORWARD"),
        ),
    ],
    "ports of the bridge, and rules": [
        # a wire leaves the bridge
        ("node1", "web", "ip link set {veth} nomaster", "ip link set {veth} master cbr0"),
        # hairpin is off
        ("node2", "web", "ip link set {veth} type bridge_slave hairpin off", "hairpin on"),
        # the gateway has lost a route
        ("gateway", "", "ip route del 10.1.1.0/24", "ip route replace 10.1.1.0/24 via 10.100.0.2"),
        # rules are flushed
        ("node1", "web", "iptables -t nat -F", "iptables -t nat -A PODLAB-EGRESS -j MASQUERADE"),
        # a chain is changed
        ("node2", "web", "iptables -t nat -I PODLAB-EGRESS -j RETURN", "PODLAB-EGRESS"),
        # and has the policy DROP
        (
            "gateway",
            "",
            "iptables -D FORWARD -j REJECT; iptables -D FORWARD -j PODLAB-FORWARD; iptables -P FORWARD DROP",
            "-A FORWARD -j PODLAB-FORWARD",
        ),
    ],
    "links, rules, routes and queues": [
        (
            "node1",
            "web",
            "sysctl -qw net.ipv4.conf.eth0.forwarding=0 net.ipv4.conf.cbr0.forwarding=0 net.ipv4.conf.cbr0.arp_ignore=8 net.ipv4.conf.default.forwarding=0;"
            "ip link set lo down; ip link set cbr0 type bridge stp_state 1 ageing_time 0; ip link set cbr0 arp off;"
            "for flag in 'isolated on' 'learning off' 'flood off' 'bcast_flood off' 'locked on' 'neigh_suppress on'; do"
            " ip link set {veth} type bridge_slave $flag; done;"
            "tc qdisc add dev {veth} root tbf rate 8kbit burst 2k latency 1ms; tc qdisc add dev {veth} clsact;"
            "tc filter add dev {veth} ingress matchall action drop;"
            "iptables -I FORWARD 1 -j REJECT; iptables -I INPUT 1 -j DROP;"
            "ip route add blackhole 10.1.2.2; ip route add prohibit 10.1.2.3 table local;"
            "ip neigh replace 10.1.1.3 lladdr 02:00:00:00:00:09 dev cbr0 nud noarp;"
            "ip -n {netns} link set eth0 arp off; ip -n {netns} link set lo down;"
            "ip -n {netns} route replace default via 10.1.1.1 dev eth0 mtu 400;"
            "ip -n {netns} route add blackhole 10.1.2.0/24",
            (
                "sysctl -w net.ipv4.conf.eth0.forwarding=1",
                "sysctl -w net.ipv4.conf.cbr0.forwarding=1",
                "sysctl -w net.ipv4.conf.cbr0.arp_ignore=0",
                "sysctl -w net.ipv4.conf.default.forwarding=1",
                "ip link set lo up",
                "ip link set cbr0 arp on",
                "ip link set cbr0 type bridge stp_state 0 ageing_time 30000",
                "ip link set {veth} type bridge_slave isolated off learning on flood on bcast_flood on locked off "
                "neigh_suppress off",
                "tc qdisc del dev {veth} root",
                "tc qdisc del dev {veth} clsact",
                "-I FORWARD 1 -j PODLAB-FORWARD",
                "-I INPUT 1 -j PODLAB-INPUT",
                "ip route del 10.1.2.2/32 ",
                "ip route del 10.1.2.3/32 table 255",
                "ip neigh del 10.1.1.3 dev cbr0",
                "ip -n {netns} link set eth0 arp on",
                "ip -n {netns} link set lo up",
                "ip -n {netns} route del default via 10.1.1.1 dev eth0 mtu 400",
                "ip -n {netns} route del blackhole 10.1.2.0/24",
            ),
        ),
    ],
}
"""What is broken at once and mended by one run: where, of which pod, and what mends it. No damage hides another one."""
VICTIMS = (("node1", "web"), ("node2", "web"), ("node2", "toolbox"))


@pytest.mark.parametrize("what", BREAKS)
def test_one_run_mends_it_and_says_how(sample, what):
    names = {pod: {"veth": veth(sample, *pod), "netns": netns(sample, *pod)} for pod in VICTIMS}
    addresses = {pod: sample.pod(*pod)["address"] for pod in VICTIMS}
    other = sample.sh("node1", "pgrep -xf 'catatonit -P podlab-pod default_pair'")
    breaks = [(host, names.get((host, pod), {}), *words) for host, pod, *words in BREAKS[what]]

    for host, own, damage, _ in breaks:
        sample.sh(host, damage.format(**own), check=False)
    typed = sample.typed(sample.converge())

    for host, own, _, mending in breaks:
        for words in (mending,) if isinstance(mending, str) else mending:
            assert any(words.format(**own) in line for line in typed[host]), (host, words.format(**own), typed)
    assert {pod: sample.pod(*pod)["address"] for pod in VICTIMS} == addresses
    assert sample.sh("node1", "pgrep -xf 'catatonit -P podlab-pod default_pair'") == other
    again = sample.converge("--skip-tags", "verify")
    assert sample.lines(again) == []


def test_an_open_connection_of_a_sound_pod_survives_the_mending_of_another(sample):
    pair = netns(sample, "node1", "pair")
    address = sample.pod("node1", "pair")["address"].split("/")[0]
    ask = (
        "import socket, sys, time\n"
        f"s = socket.create_connection(('{address}', 80))\n"
        "open('/run/open', 'w').close()\n"
        "import os\n"
        "while not os.path.exists('/run/mended'): time.sleep(0.05)\n"
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "answer = b''\n"
        "while part := s.recv(4096): answer += part\n"
        "open('/run/answer', 'wb').write(answer)\n"
    )
    assert pair == "default_pair"
    sample.sh(
        "node2",
        f'ip netns exec default_toolbox python3 -c "{ask}" >/dev/null 2>&1 & '
        "for i in $(seq 200); do [ -e /run/open ] && exit 0; sleep 0.05; done; exit 1",
    )
    sample.sh("node1", f"ip link del {veth(sample, 'node1', 'web')}")
    sample.converge("--skip-tags", "verify")
    sample.sh(
        "node2", "touch /run/mended; for i in $(seq 200); do [ -s /run/answer ] && exit 0; sleep 0.05; done; exit 1"
    )
    assert sample.sh("node2", "tail -n 1 /run/answer") == "pair"


@pytest.fixture(params=["stopped", "ended"])
def lost(request, sample):
    """A run that mends a wire on both nodes, and loses node2 meanwhile: its processes are stopped, or have ended."""
    for host, name in (("node1", "pair"), ("node2", "toolbox")):
        sample.sh(host, f"ip link del {veth(sample, host, name)}")
    hosts = Lab(str(ROOT), sample.name).hosts()
    # A module waits for one that is at work already.
    at_work = [*enter(hosts["node2"]), "flock", "/run", "sleep", "4711"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(at_work, env=ENVIRONMENT) as holder:
        sample.sh("node2", "until pgrep -f '^sleep 4711$' >/dev/null; do :; done")
        run = subprocess.Popen(
            sample.argv("site.yml", "-e", "podlab_silence=1"), cwd=ROOT, env=sample.environment(), **streams
        )
        sample.sh("node2", "until grep -q -- '-> FLOCK' /proc/locks; do :; done")
        if request.param == "stopped":
            sample.sh("node2", "kill -STOP -1")
        else:
            os.kill(hosts["node2"], signal.SIGKILL)
        output, _ = run.communicate(timeout=120)
        if request.param == "stopped":
            sample.sh("node2", "kill -CONT -1; pkill -f '^sleep 4711$'")
            holder.send_signal(signal.SIGCONT)  # nsenter has stopped itself, too
        holder.wait(30)
    return run.returncode, output, request.param


def test_a_host_that_is_lost_under_way_is_given_up_and_the_other_is_mended(sample, lost):
    code, output, how = lost
    assert code == 4, output
    lines = output.partition("PLAY RECAP")[2].splitlines()
    why = {
        "stopped": "does not answer: its processes are stopped.",
        "ended": "has ended while something ran there. ./lab up starts it anew.",
    }[how]
    assert "node1: mended (pods)" in lines
    assert f"node2: lost in this run (The embedded host 10.100.0.3 {why})" in lines
    assert output.count("node2 was lost in this run") == 1
    assert "no answer" not in output
    assert "10 of 10 connections are as planned" in output
    assert "36 of 36 connections are as planned" in sample.converge()

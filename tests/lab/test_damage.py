"""What a student does as root to a host's files, and to what is not podlab's: one run mends, or says why it does not;
and ``down`` leaves nothing, with or without a record."""

from __future__ import annotations

import json

import pytest

from tests.picture import picture

HOSTS = ("node1", "node2", "gateway")
STATE = """
ip -4 -o addr | sed 's/ valid_lft.*//'; ip -4 route show table all; ip rule; ip netns
iptables-save | sed -e '/^#/d' -e '/^:[A-Z]* [A-Z]* /d' -e '/^\\*/d' -e /COMMIT/d
sysctl -a 2>/dev/null | grep -E 'net.ipv4.(ip_forward |conf.*(forwarding|rp_filter|send_redirects|route_localnet))'
findmnt -rno TARGET | grep podlab; ls -A /run/podlab /var/lib/podlab /var/log/pods /run/netns 2>&1
pgrep -l 'catatonit|s6|bwrap|kube|nginx|agnhost'
"""
MESS = '{"node": 7, "sysctls": ["everything"], "cluster": "gone'


def state(lab, host):
    return lab.sh(host, STATE, check=False).splitlines()


@pytest.fixture(scope="module")
def bare(lab):
    """The hosts before podlab has been there."""
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    return {host: state(lab, host) for host in HOSTS}


@pytest.fixture(scope="module")
def sound(lab, bare):
    lab.converge()
    return {host: picture(lab, host) for host in HOSTS}


def tear_down(lab):
    return lab.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")


LOST = "rm -rf /var/lib/podlab /run/podlab /var/log/pods 2>/dev/null"
SPOILT = f"cd /var/lib/podlab && echo '{MESS}' | tee record.json >services.json"
ASTRAY = "ip route del 10.1.1.0/24; ip route add blackhole 10.1.1.2; sysctl -qw net.ipv4.ip_forward=0"


def damage(lab):
    """Of all kinds at once: no host is like the other."""
    lab.sh("node1", LOST, check=False)
    lab.sh("node2", SPOILT)
    lab.sh("gateway", LOST, check=False)


def differing(lab, bare, hosts=HOSTS):
    """What is there and was not, and the other way round."""
    pairs = [(host, {*bare[host]}, {*state(lab, host)}) for host in hosts]
    return {host: (sorted(now - before), sorted(before - now)) for host, before, now in pairs if before != now}


def test_one_run_mends_it_and_says_so(lab, sound):
    damage(lab)
    lab.sh("gateway", ASTRAY)
    output = lab.converge()
    assert "note: node1: the record (/var/lib/podlab/record.json) is lost; " in output
    assert "note: node2: the record (/var/lib/podlab/record.json) is damaged: " in output
    assert "note: gateway: the record (/var/lib/podlab/record.json) is lost; " in output
    assert {host: picture(lab, host) for host in HOSTS} == sound
    assert lab.sh("node1", "pgrep -fc '^s6-svscan '") == "1", "nothing runs beside what has taken its place"
    assert lab.typed(lab.converge("--skip-tags", "verify")) == {}


def test_down_removes_what_bears_a_mark_and_names_what_it_has_to_leave(lab, bare):
    damage(lab)
    lab.sh("node1", "iptables -t nat -N MINE; iptables -t nat -A MINE -j KUBE-MARK-MASQ")
    done = tear_down(lab)
    assert done.returncode == 2
    words = "chain KUBE-MARK-MASQ of table nat, since a rule leads there that podlab has not made: "
    assert f"{words}-A MINE -j KUBE-MARK-MASQ" in done.stdout
    assert differing(lab, bare, HOSTS[1:]) == {}
    lab.sh("node1", "iptables -t nat -F MINE; iptables -t nat -X MINE")
    done = tear_down(lab)
    assert done.returncode == 0, done.stdout
    assert differing(lab, bare) == {}


def test_a_host_that_cannot_be_changed_stops_no_other(lab, bare):
    """A link in the way, and a kubelet of a real cluster."""
    fake = "bash -c 'exec -a /usr/bin/kubelet sleep 1000' </dev/null >/dev/null 2>&1 &"
    lab.sh("node2", f"ip link add cbr0 type bridge; {fake}")
    lab.sh("gateway", fake)
    done = lab.play("--skip-tags", "verify")
    assert done.returncode == 2
    assert "node2: link cbr0 is in the way: podlab has not made it and does not touch it" in done.stdout
    assert "node2: kubelet runs here (process " in done.stdout
    assert lab.sh("node2", "ls -d /var/lib/podlab /run/podlab", check=False) == ""
    assert json.loads(lab.sh("node1", "cat /var/lib/podlab/record.json"))["node"] == "node1"
    assert "proto 117" in lab.sh("gateway", "ip route"), "it writes no rules of such names there"
    lab.sh("node2", "pkill -f '^/usr/bin/kubelet'; ip link del cbr0")
    lab.converge()


def test_reset_begins_anew_with_one_host_and_leaves_the_others_alone(lab, bare):
    pauses = {host: lab.sh(host, "pgrep catatonit") for host in HOSTS[:2]}
    before = {host: picture(lab, host) for host in HOSTS}
    done = lab.play("--skip-tags", "verify", "-e", "reset_host=node2", playbook="playbooks/reset.yml")
    assert done.returncode == 0, done.stdout
    assert lab.sh("node1", "pgrep catatonit") == pauses["node1"]
    assert not {*lab.sh("node2", "pgrep catatonit").split()} & {*pauses["node2"].split()} - {"1"}
    assert {host: picture(lab, host) for host in HOSTS} == before

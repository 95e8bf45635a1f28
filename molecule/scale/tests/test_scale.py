"""Nodes and pods come and go. The tests are one story; each is one run, or two, over what the one before has left.

Whoever stays keeps address, MAC, pod CIDR and processes. Who is gone is forgotten by everybody in the same run.
"""

from __future__ import annotations

import json
import os
import signal
from ipaddress import IPv4Network

import pytest
import yaml

from podlab.embedded import Lab
from tests.lab.conftest import ROOT, TestLab

DEVICE = "vxlan.1"


class Cluster:
    """A cluster whose inventory and manifests a test writes."""

    def __init__(self, lab, home):
        self.lab = TestLab(lab.name, home / "hosts.yml", home / "manifests")
        self.begin = yaml.safe_load(lab.inventory.read_text())
        self.manifest = (lab.manifests / "web.yml").read_text()
        self.lab.manifests.mkdir()
        self.nodes = ()

    def run(self, *numbers, replicas, unreachable=(), options=()):
        """One run over these nodes; a node that is not reachable is on all the same."""
        inventory = json.loads(json.dumps(self.begin))
        hosts = inventory["all"]["children"]["embedded"]["children"]["nodes"]["hosts"]
        hosts.clear()
        for number in numbers:
            hosts[f"node{number}"] = {"ansible_host": f"10.100.0.{number + 1}"}
            if number in unreachable:
                hosts[f"node{number}"]["podlab_lab"] = "nowhere"  # where the connection looks for it, and in vain
        self.lab.inventory.write_text(yaml.safe_dump(inventory))
        (self.lab.manifests / "web.yml").write_text(self.manifest.replace("replicas: 2", f"replicas: {replicas}"))
        self.nodes = tuple(f"node{number}" for number in numbers)
        done = self.lab.play(*options)
        assert done.returncode == (4 if unreachable else 0), done.stdout + done.stderr
        return done.stdout

    def identities(self):
        """What nobody may lose: for every node its bridge's address, for every pod its place, address, MAC and
        processes."""
        found = {}
        for node in self.nodes:
            found[node] = self.lab.sh(node, "ip -o -4 addr show dev cbr0 | tr -s ' ' | cut -d' ' -f4")
            for netns in self.lab.sh(node, "ls /run/podlab/pods").split():
                script = (
                    f"ip -n {netns} -o addr show dev eth0 | grep -o 'inet [^ ]*'; "
                    f"ip netns exec {netns} cat /sys/class/net/eth0/address; "
                    f"pgrep -xf 'catatonit -P podlab-pod {netns}'; cat /run/podlab/services/{netns}.*/status"
                )
                found[netns] = f"{node} {self.lab.sh(node, script)}"
        return found

    def peers(self, node):
        """Whom a node knows: pod CIDR -> the node's address, by routes, ARP and FDB entries, which have to agree."""
        routes = json.loads(self.lab.sh(node, "ip -j route show proto 117"))
        neighbours = json.loads(self.lab.sh(node, f"ip -j neigh show dev {DEVICE}"))
        entries = json.loads(self.lab.sh(node, f"bridge -j fdb show dev {DEVICE}"))
        at = {entry["mac"]: entry["dst"] for entry in entries if "dst" in entry}
        macs = {entry["dst"]: entry["lladdr"] for entry in neighbours}
        assert len(routes) == len(macs) == len(at), (routes, neighbours, entries)
        return {route["dst"]: at[macs[route["gateway"]]] for route in routes}

    def cidrs(self):
        """Node -> pod CIDR, as its bridge has it."""
        addresses = {node: found for node, found in self.identities().items() if node in self.nodes}
        return {node: str(IPv4Network(address, strict=False)) for node, address in addresses.items()}

    def address(self, node):
        return f"10.100.0.{int(node.removeprefix('node')) + 1}"

    def everybody_knows_everybody(self, *but):
        """All nodes but these know just each other one."""
        cidrs = self.cidrs()
        networks = [IPv4Network(cidr) for cidr in cidrs.values()]
        assert not any(one.overlaps(other) for one in networks for other in networks if one is not other)
        for node in self.nodes:
            if node not in but:
                others = {cidr: self.address(other) for other, cidr in cidrs.items() if other != node}
                assert self.peers(node) == others, node
        return True


@pytest.fixture(scope="module")
def cluster(lab, tmp_path_factory):
    return Cluster(lab, tmp_path_factory.mktemp("scale"))


def webs(identities):
    return sorted(name for name in identities if name.startswith("default_web-"))


def stayed(before, after, *but):
    """Whoever is on a node that is still there is as he was, but for the pods of these nodes."""
    left = {name: facts for name, facts in before.items() if name in after and place(name, facts) in after}
    mine = {name: facts for name, facts in left.items() if place(name, facts) not in but}
    assert {name: after[name] for name in mine} == mine
    return True


def place(name, facts):
    """The node of a pod, or the node itself."""
    return facts.split()[0] if name.startswith("default_") else name


def test_two_nodes_become_four_and_two_replicas_six(cluster):
    cluster.run(1, 2, replicas=2, options=["--skip-tags", "verify"])
    before = cluster.identities()
    assert "connections are as planned" in cluster.run(1, 2, 3, 4, replicas=6)
    after = cluster.identities()
    assert before.keys() < after.keys() and stayed(before, after)
    assert len(webs(after)) == 6
    assert {after[name].split()[0] for name in webs(after)} == {"node1", "node2", "node3", "node4"}
    assert cluster.everybody_knows_everybody()


def test_a_node_from_the_middle_goes_and_everybody_forgets_it(cluster):
    before = cluster.identities()
    said = cluster.run(1, 3, 4, replicas=6)
    assert "halt node2" in said and "connections are as planned" in said
    after = cluster.identities()
    assert stayed(before, after)
    assert len(webs(after)) == 6  # those of node2 have a place elsewhere
    assert cluster.everybody_knows_everybody()


def test_a_new_node_takes_its_place_and_it_returns_to_another(cluster):
    before = cluster.identities()
    cluster.run(1, 3, 4, 5, replicas=6, options=["--skip-tags", "verify"])
    assert cluster.cidrs()["node5"] == "10.1.2.0/24"
    assert "connections are as planned" in cluster.run(1, 2, 3, 4, replicas=6)
    assert stayed(before, cluster.identities())
    assert cluster.everybody_knows_everybody()


def test_a_host_that_was_off_gets_back_what_it_had_and_nobody_else_hears_of_it(cluster):
    before = cluster.identities()
    os.kill(Lab(str(ROOT), cluster.lab.name).hosts()["node3"], signal.SIGKILL)
    said = cluster.run(1, 2, 3, 4, replicas=6)
    assert "power on node3" in said and "connections are as planned" in said
    assert {host for host, lines in cluster.lab.typed(said).items() if lines} == {"node3"}
    after = cluster.identities()
    assert before.keys() == after.keys() and stayed(before, after, "node3")
    assert {name: addresses_of(facts) for name, facts in after.items()} == {
        name: addresses_of(facts) for name, facts in before.items()
    }


def addresses_of(facts):
    """Place, address and MAC, without processes."""
    return facts.split()[:4]


def test_six_replicas_become_one_while_a_node_does_not_answer(cluster):
    before, known = cluster.identities(), cluster.peers("node3")
    said = cluster.run(1, 2, 3, replicas=1, unreachable=[3])
    assert "halt node4" in said
    after = cluster.identities()
    assert stayed(before, after)
    assert len([name for name in webs(after) if not after[name].startswith("node3 ")]) <= 1
    of_node3 = [name for name in before if before[name].startswith("node3 ")]
    assert [after[name] for name in of_node3] == [before[name] for name in of_node3]  # it has heard of nothing
    assert cluster.peers("node3") == known
    assert cluster.everybody_knows_everybody("node3")


def test_the_next_run_tells_it_what_it_has_missed(cluster):
    before = cluster.identities()
    assert "connections are as planned" in cluster.run(1, 2, 3, replicas=1)
    after = cluster.identities()
    assert stayed(before, after)
    assert len(webs(after)) == 1
    assert cluster.everybody_knows_everybody()
    assert cluster.lab.typed(cluster.run(1, 2, 3, replicas=1, options=["--skip-tags", "verify"])) == {}


def test_a_run_that_is_limited_to_one_node_scales_there_and_renumbers_nobody(cluster):
    before = cluster.identities()
    said = cluster.run(1, 2, 3, 4, replicas=5, options=["--limit", "node4,node1", "--skip-tags", "verify"])
    assert {host for host, lines in cluster.lab.typed(said).items() if lines} == {"node1", "node4"}
    between = cluster.identities()
    assert stayed(before, between)
    assert len(webs(between)) == 5
    new = cluster.cidrs()["node4"]
    assert [node for node in cluster.nodes if new in cluster.peers(node)] == ["node1"]  # the others have not heard
    assert "connections are as planned" in cluster.run(1, 2, 3, 4, replicas=5)
    assert stayed(between, cluster.identities())
    assert cluster.everybody_knows_everybody()

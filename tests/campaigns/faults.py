"""Faults of a network, as commands that make them and undo them, and what verify has to say of each.

One more fault is one more function with ``@fault``: it picks its place by chance and returns what to type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

NAT = "iptables -w -t nat"


@dataclass(frozen=True)
class Fault:
    """``says``: a regular expression for what a failed verify says of it."""

    name: str
    host: str
    do: list[str]
    undo: list[str]
    says: str


@dataclass
class Scene:
    """A cluster that stands, and chance. ``sh`` runs a line on a host and returns what it prints."""

    random: Random
    sh: Callable[[str, str], str]
    pods: list[dict[str, Any]]
    nodes: tuple[str, ...] = ("node1", "node2")

    def node(self) -> str:
        return self.random.choice(self.nodes)

    def pod(self, app: str = "") -> tuple[str, str, str, str]:
        """Key, address, node and network namespace."""
        some = [pod for pod in self.pods if not app or pod["metadata"]["labels"].get("app") == app]
        found = self.random.choice(sorted(some, key=lambda pod: str(pod["metadata"]["name"])))
        meta = found["metadata"]
        key, netns = f"default/{meta['name']}", f"default_{meta['name']}"
        return key, found["status"]["podIP"], found["spec"]["nodeName"], netns

    def veth(self, node: str, netns: str) -> str:
        index = re.search(r"@if(\d+)", self.sh(node, f"ip -n {netns} -o link show eth0"))
        assert index
        return self.sh(node, f"ip -o link | sed -n 's/^{index[1]}: \\([^@:]*\\).*/\\1/p'").strip()

    def rules(self, host: str, pattern: str, table: str = "nat") -> list[str]:
        """Rules as iptables-save has them, without -A."""
        lines = self.sh(host, f"iptables-save -t {table}").splitlines()
        return [line[3:] for line in lines if line.startswith("-A ") and re.search(pattern, line)]

    def rule(self, host: str, pattern: str) -> tuple[str, int]:
        """One rule that fits, by chance, and its place in its chain."""
        found = self.random.choice(self.rules(host, pattern))
        chain = found.split()[0]
        return found, self.rules(host, f"^-A {chain} ").index(found) + 1


FAULTS: dict[str, Callable[[Scene], Fault]] = {}


def fault(make: Callable[[Scene], tuple[str, list[str], list[str], str]]) -> Callable[[Scene], Fault]:
    name = make.__name__.replace("_", " ")
    FAULTS[name] = lambda scene: Fault(name, *make(scene))
    return FAULTS[name]


def _deleted(scene: Scene, host: str, pattern: str, says: str) -> tuple[str, list[str], list[str], str]:
    """A rule of the nat table is gone."""
    rule, place = scene.rule(host, pattern)
    chain, rest = rule.split(" ", 1)
    return host, [f"{NAT} -D {chain} {rest}"], [f"{NAT} -I {chain} {place} {rest}"], says


def _replaced(
    scene: Scene, host: str, pattern: str, change: Callable[[str], str], says: str
) -> tuple[str, list[str], list[str], str]:
    rule, place = scene.rule(host, pattern)
    chain, rest = rule.split(" ", 1)
    return host, [f"{NAT} -R {chain} {place} {change(rest)}"], [f"{NAT} -R {chain} {place} {rest}"], says


def _added(host: str, rule: str, says: str, table: str = "filter") -> tuple[str, list[str], list[str], str]:
    chain, rest = rule.split(" ", 1)
    words = f"iptables -w -t {table}"
    return host, [f"{words} -I {chain} 1 {rest}"], [f"{words} -D {chain} {rest}"], says


def _sysctl(host: str, key: str, bad: str, good: str, says: str) -> tuple[str, list[str], list[str], str]:
    return host, [f"sysctl -qw {key}={bad}"], [f"sysctl -qw {key}={good}"], says


# --- routes, links, neighbours ------------------------------------------------------------------------------


@fault
def route_leads_nowhere(scene):
    node = scene.node()  # which has a default route as well: without its own it would find the way
    route = scene.sh(node, "ip route show proto 117").splitlines()[0]
    do, undo = f"ip route replace blackhole {route.split()[0]}", f"ip route del blackhole {route.split()[0]}"
    return node, [f"ip route del {route}", do], [undo, f"ip route add {route} proto 117"], f"on {node}.*expected source"


@fault
def route_of_the_gateway_deleted(scene):
    route = scene.random.choice(scene.sh("gateway", "ip route show proto 117").splitlines())
    return "gateway", [f"ip route del {route}"], [f"ip route add {route} proto 117"], "pod .* -> .*expected source"


@fault
def route_of_the_gateway_to_the_wrong_node(scene):
    route = scene.random.choice(scene.sh("gateway", "ip route show proto 117").splitlines())
    wrong = re.sub(r"via \S+", lambda old: "via 10.100.0.3" if old[0].endswith(".2") else "via 10.100.0.2", route)
    back = [f"ip route replace {route} proto 117"]
    return "gateway", [f"ip route replace {wrong} proto 117"], back, "expected source"


@fault
def forwarding_off(scene):
    node = scene.random.choice([*scene.nodes, "gateway"])
    says = f"on {node}" if node in scene.nodes else "pod .* -> .*expected source"
    return _sysctl(node, "net.ipv4.ip_forward", "0", "1", says)


@fault
def veth_down(scene):
    key, _, node, netns = scene.pod()
    veth = scene.veth(node, netns)
    return node, [f"ip link set {veth} down"], [f"ip link set {veth} up"], re.escape(key)


@fault
def hairpin_off(scene):
    app = scene.random.choice(("frontend", "catalog"))  # a client that sticks may never meet itself
    key, _, node, netns = scene.pod(app)
    veth = scene.veth(node, netns)
    line = f"ip link set {veth} type bridge_slave hairpin"
    return node, [f"{line} off"], [f"{line} on"], f"pod {re.escape(key)} -> default/{app}"


@fault
def ports_isolated(scene):
    node = scene.node()
    veths = scene.sh(node, "ip -o link show master cbr0 | sed 's/^[0-9]*: \\([^@:]*\\).*/\\1/'").split()[:2]
    lines = [[f"ip link set {veth} type bridge_slave isolated {word}" for veth in veths] for word in ("on", "off")]
    return node, lines[0], lines[1], f"on {node}.* -> .*on {node}.*expected source"


@fault
def default_route_of_a_pod_is_wrong(scene):
    key, address, node, netns = scene.pod()
    net = address.rpartition(".")[0]
    line = f"ip -n {netns} route replace default via {net}"
    return node, [f"{line}.250 dev eth0"], [f"{line}.1 dev eth0"], re.escape(key)


@fault
def address_of_a_pod_gone(scene):
    key, address, node, netns = scene.pod()
    back = [f"ip -n {netns} addr add {address}/24 dev eth0"]
    back += [f"ip -n {netns} route replace default via {address.rpartition('.')[0]}.1 dev eth0"]
    return node, [f"ip -n {netns} addr del {address}/24 dev eth0"], back, re.escape(key)


@fault
def neighbour_is_wrong(scene):
    key, address, node, _ = scene.pod()
    entry = f"{address} dev cbr0"
    do = [f"ip neigh replace {entry} lladdr 02:00:00:00:00:01 nud permanent"]
    return node, do, [f"ip neigh del {entry}"], re.escape(key)


@fault
def second_pod_with_the_same_address(scene):
    key, address, node, _ = scene.pod()
    do = [
        "ip netns add rogue",
        "ip link add rogue type veth peer name eth0 netns rogue",
        "ip link set rogue master cbr0 up",
        "ip -n rogue link set eth0 address 02:00:00:00:00:02 up",
        f"ip -n rogue addr add {address}/24 dev eth0",
        # As if it had been the quicker one to answer who has this address.
        f"ip neigh replace {address} dev cbr0 lladdr 02:00:00:00:00:02 nud permanent",
    ]
    undo = ["ip link del rogue", "ip netns del rogue", f"ip neigh del {address} dev cbr0"]
    return node, do, undo, re.escape(key)


@fault
def link_of_a_node_loses_everything(scene):
    node = scene.node()
    says = f"on {node}.*expected source"
    return _added(node, "PREROUTING -i eth0 -j DROP", says, table="raw")


# --- filters --------------------------------------------------------------------------------------------------


@fault
def dropped_in_forward(scene):
    key, address, node, _ = scene.pod()
    return _added(node, f"FORWARD -d {address} -j DROP", re.escape(key))


@fault
def port_dropped_in_forward(scene):
    _, address, node, _ = scene.pod("catalog")
    rule = f"FORWARD -p tcp -d {address} --dport 8000 -j DROP"
    return _added(node, rule, f"default/catalog.*{address}:8000.*(silence|none of them)")


@fault
def reset_in_forward(scene):
    _, address, node, _ = scene.pod("catalog")
    rule = f"FORWARD -p tcp -d {address} --dport 8000 -j REJECT --reject-with tcp-reset"
    return _added(node, rule, f"default/catalog.*{address}:8000.*refused")


@fault
def reset_before_a_pod_that_does_not_listen(scene):
    app, port = scene.random.choice((("load", 80), ("admin", 9000)))
    _, address, node, _ = scene.pod(app)
    rule = f"FORWARD -p tcp -d {address} --dport {port} -j REJECT --reject-with tcp-reset"
    return _added(node, rule, f"default/{app} .*{address}:{port}.*refused")


@fault
def refused_on_the_client_side(scene):
    node = scene.node()
    return _added(node, "FORWARD -p tcp --dport 7070 -j REJECT", f"default/cart|{node}")


@fault
def dropped_on_the_gateway(scene):
    return _added("gateway", "FORWARD -d 10.1.0.0/16 -j DROP", "expected source")


@fault
def reset_inside_of_a_pod(scene):
    _, address, node, netns = scene.pod("catalog")  # a pod with a probe would get unready, and be no endpoint
    rule = "INPUT -p tcp --dport 8000 -j REJECT --reject-with tcp-reset"
    run = f"ip netns exec {netns} iptables -w"
    says = f"{address}:8000: expected an answer, got refused, though a program listens"
    return node, [f"{run} -A {rule}"], [f"{run} -D {rule}"], says


@fault
def dropped_inside_of_a_pod(scene):
    _, address, node, netns = scene.pod("catalog")
    rule = "INPUT -p tcp --dport 8000 -j DROP"
    run = f"ip netns exec {netns} iptables -w"
    says = f"{address}:8000: expected an answer, got silence"
    return node, [f"{run} -A {rule}"], [f"{run} -D {rule}"], says


# --- translation ----------------------------------------------------------------------------------------------


@fault
def source_rewritten(scene):
    key, address, node, _ = scene.pod()
    rule = f"POSTROUTING -s {address} -j SNAT --to-source 10.100.0.77"
    return _added(node, rule, re.escape(key), table="nat")


@fault
def egress_not_masqueraded(scene):
    node = scene.node()
    says = f"on {node}.*-> outside.*got source"
    return _deleted(scene, node, "POSTROUTING .*-j PODLAB-EGRESS", says)


@fault
def services_not_masqueraded(scene):
    says = "expected (source|an answer|one of)"
    return _deleted(scene, scene.node(), "KUBE-POSTROUTING .*-j MASQUERADE", says)


@fault
def hairpin_not_masqueraded(scene):
    _, address, node, _ = scene.pod("catalog")
    says = f"default/catalog.*{address}:8000: expected (source|an answer)"
    return _deleted(scene, node, f"KUBE-SEP-.*-s {address}/32.*catalog.*-j KUBE-MARK-MASQ", says)


@fault
def node_port_not_masqueraded(scene):
    says = "default/frontend at .*:31080.*expected (source|an answer)"
    return _deleted(scene, scene.node(), "KUBE-EXT-.*frontend.*-j KUBE-MARK-MASQ", says)


@fault
def dnat_to_the_wrong_port(scene):
    def change(rest: str) -> str:
        return re.sub(r"(--to-destination \S+):\d+", r"\1:4711", rest)

    return _replaced(scene, scene.node(), "KUBE-SEP-.*--to-destination", change, "got to [0-9.]+:4711")


@fault
def dnat_to_another_pod(scene):
    _, address, *_ = scene.pod("load")

    def change(rest: str) -> str:
        return re.sub(r"--to-destination [^:]+", f"--to-destination {address}", rest)

    pattern = "KUBE-SEP-.*(catalog|frontend|cart).*--to-destination"
    return _replaced(scene, scene.node(), pattern, change, f"got to {address}:")


@fault
def endpoint_never_met(scene):
    return _deleted(scene, scene.node(), "KUBE-SVC-.*(catalog|frontend).*--probability", "nobody has met")


@fault
def probability_is_wrong(scene):
    def change(rest: str) -> str:
        return re.sub(r"--probability \S+", "--probability 1.0", rest)

    says = "nobody has met"
    return _replaced(scene, scene.node(), "KUBE-SVC-.*(catalog|frontend).*--probability", change, says)


@fault
def affinity_lost(scene):
    node = scene.node()
    rules = [rule.split(" ", 1) for rule in scene.rules(node, "KUBE-SVC-.*cart.*--rcheck")]
    do = [f"{NAT} -D {chain} {rest}" for chain, rest in rules]
    undo = [f"{NAT} -I {chain} 2 {rest}" for chain, rest in reversed(rules)]
    return node, do, undo, "default/cart.*expected one endpoint for one client"


@fault
def cluster_ip_rule_missing(scene):
    app = scene.random.choice(("catalog", "cart", "frontend", "load"))
    return _deleted(scene, scene.node(), f"KUBE-SERVICES .*default/{app} cluster IP", f"default/{app}.*none of them")


@fault
def node_port_rule_missing(scene):
    node = scene.node()
    return _deleted(scene, node, "KUBE-NODEPORTS .*frontend", "default/frontend at .*:31080.*none of them")


@fault
def jump_of_pods_missing(scene):
    return _deleted(scene, scene.node(), "PREROUTING .*-j KUBE-SERVICES", "none of them")


@fault
def jump_of_the_node_missing(scene):
    node = scene.node()
    return _deleted(scene, node, "OUTPUT .*-j KUBE-SERVICES", f"node {node} -> .*none of them")


@fault
def refused_though_there_are_endpoints(scene):
    node = scene.node()
    rule = "KUBE-SERVICES -d 10.96.10.2/32 -p tcp --dport 8000 -j REJECT"
    _, do, undo, _ = _added(node, rule, "")
    # As kube-proxy writes it where there are none, and without the way that there is.
    _, also, back, _ = _deleted(scene, node, "KUBE-SERVICES .*default/catalog cluster IP", "")
    return node, [*do, *also], [*back, *undo], "default/catalog.*refused and to none of them"


@fault
def localhost_is_not_routed(scene):
    node = scene.node()
    says = f"node {node} -> default/frontend at 127.0.0.1:31080"
    return _sysctl(node, "net.ipv4.conf.all.route_localnet", "0", "1", says)


@fault
def bridge_hides_packets_from_iptables(scene):
    return _sysctl(scene.node(), "net.bridge.bridge-nf-call-iptables", "0", "1", "expected (an answer|one of|source)")

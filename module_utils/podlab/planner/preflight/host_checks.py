"""Whether a host can carry podlab: what it lacks, and what stands on it that is somebody else's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network
from itertools import pairwise

from ...changes import MAC_PREFIX, MARK
from ...changes.kube_proxy.names import service_chains, service_port_name
from ...changes.system.node_sysctls import BRIDGE_NETFILTER
from ...configs import RouteConfig
from ...records.observation import Observation
from ..inputs.host import Host
from ..inputs.host_links import is_own, own_bridge, uplink
from ..inputs.settings import Cluster
from ..routing.registry import pod_routing
from ..services.model import Service

NOT_OURS = "podlab has not made it and does not touch it; remove it"

_OF_SERVICE = re.compile(" KUBE-(SVC|SVL|EXT|FW)-")

Refusals = dict[str, list[str]]
"""Host -> why this run does not change it. The others go on without it."""


def unfit_hosts(hosts: Sequence[Host], cluster: Cluster, services: Sequence[Service] = ()) -> Refusals:
    own = {
        chain
        for service in services
        for port in service.ports
        for chain in service_chains(
            service_port_name(f"{service.namespace}/{service.name}", port.name), port.protocol.lower()
        ).values()
    }
    found = {host.name: [*_unfit(host, cluster), *_of_kubernetes(host, own)] for host in hosts if host.is_managed}
    return {name: words for name, words in found.items() if words}


def told(refused: Refusals) -> list[str]:
    """What is true of several hosts is said once, for all of them."""
    hosts: dict[str, list[str]] = {}
    for name, found in refused.items():
        for words in found:
            hosts.setdefault(words, []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in hosts.items()]


def said_once(refused: Refusals) -> tuple[list[str], Refusals]:
    """Notes of what is true of several hosts, and the rest: each of these hosts is refused with the gist of it."""
    every = [words for found in refused.values() for words in found]
    shared = {words for words in every if every.count(words) > 1}
    notes = told({name: [words for words in found if words in shared] for name, found in refused.items()})
    gist = {words: f"{re.split('[,:;(]', words, maxsplit=1)[0].strip()} (see the note)" for words in shared}
    return notes, {name: [gist.get(words, words) for words in found] for name, found in refused.items()}


def _unfit(host: Host, cluster: Cluster) -> list[str]:
    """What a host lacks, and what stands in podlab's way on a host that it has not marked yet."""
    seen = host.seen
    missing = sorted(set(seen["missing"].values()))
    problems = []
    if missing:
        line = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        why = f", and apt-get does not bring them ({host.unavailable})" if host.unavailable else ""
        carried = "; without a network, carry the packages there (docs/settings.md, Real hosts)" if why else ""
        problems.append(f"programs are missing{why}: {line}{carried}")
    if host.role == "node":
        problems += _missing_features(seen)
    if uplink(host) is None:
        problems.append(
            f"no link of this host has the address {host.address}; set node_ip to the address that "
            "the other nodes reach it at"
        )
    elif not seen["links"][str(uplink(host))]["up"]:
        problems.append(f"link {uplink(host)} is down: sudo ip link set {uplink(host)} up")
    return problems + _in_the_way(host, cluster)


def _missing_features(seen: Observation) -> list[str]:
    """What the kernel cannot do, or could if somebody with the right to it loaded a module."""
    kernel = seen["kernel"]
    loadable = [] if kernel["may_load"] else list(kernel["loadable"])
    problems = list(kernel["missing"])
    if loadable:
        problems.append(f"kernel modules are not loaded: sudo modprobe -a {' '.join(loadable)}")
    elif BRIDGE_NETFILTER not in seen["sysctls"] and "br_netfilter" not in kernel["loadable"]:
        problems.append(f"the kernel has no {BRIDGE_NETFILTER}, which the module br_netfilter brings")
    return problems


def _in_the_way(host: Host, cluster: Cluster) -> list[str]:
    """A link of the bridge's name without mark is podlab's all the same if it has a MAC of podlab's."""
    seen = host.seen
    problems = []
    link = seen["links"].get(cluster.bridge)
    ours = own_bridge(host, cluster) or (host.is_marked and link and link["mac"].startswith(MAC_PREFIX))
    if host.role == "node" and link and not ours:
        problems.append(f"link {cluster.bridge} is in the way: {NOT_OURS}, or choose another name (podlab_bridge)")
    if host.role == "node":
        problems += [
            f"link {name} is in the way: {NOT_OURS}, or set {setting}"
            for name, setting in pod_routing(cluster).links_in_the_way(cluster, host).items()
        ]
    return problems


def _of_kubernetes(host: Host, own: Collection[str]) -> list[str]:
    """A real cluster's node, or what kube-proxy has left there. Its rules have the names of podlab's, and no mark.

    :param own: chains of this plan's Services. Their names are made of the Services', and each real cluster has one
        more, ``default/kubernetes``: where all are known, an earlier run has written them.
    """
    seen = host.seen
    others = seen.get("services", {}).get("others", ())
    if words := seen.get("kubernetes"):
        return [f"{words}, and podlab writes the rules of the same names; take another host"]
    of_services = {place.partition(" ")[2] for place in others if _OF_SERVICE.search(place)}
    if not others or host.is_marked or (of_services and of_services <= set(own)):
        return []
    table, _, chain = others[0].partition(" ")  # there will be hundreds
    return [
        f"chain {chain} of table {table} is in the way: is this a node of a Kubernetes cluster? "
        "If that has gone, kube-proxy --cleanup removes what it left behind"
    ]


def namespaces_in_the_way(hosts: Sequence[Host], pods: Mapping[str, str], nodes: Mapping[str, str]) -> Refusals:
    """Namespaces of others that bear the name of a pod: ``pods`` is key -> name, ``nodes`` is key -> node.

    A host that was marked once has none of these: there the name belongs to a pod that lost its directory.
    """
    bare = [host for host in hosts if host.is_managed and not host.is_marked]
    others = {host.name: set(host.seen.get("namespaces", [])) for host in bare}
    found: Refusals = {}
    for key, name in pods.items():
        if name in others.get(nodes.get(key, ""), ()):
            words = f"network namespace {name} is in the way: {NOT_OURS}, or give pod {key} another name"
            found.setdefault(nodes[key], []).append(words)
    return found


def routes_in_the_way(cluster: Cluster, hosts: Sequence[Host], ways: Mapping[str, Sequence[RouteConfig]]) -> Refusals:
    """Routes older than podlab that lead to the very networks that the host needs a way to."""
    foreign = {host.name: foreign_routes(host, cluster) for host in hosts if host.is_managed and ways}
    found = {name: [way["to"] for way in ways[name] if way["to"] in known] for name, known in foreign.items()}
    return {name: [f"route {to} is in the way: {NOT_OURS}" for to in there] for name, there in found.items() if there}


def rules_in_the_way(hosts: Sequence[Host], cluster: Cluster) -> list[str]:
    """Notes of rules of others by which pods' packets may never come to podlab's routes. They may be meant so."""
    words = "may lead pods' packets past podlab's routes; podlab has not made it and leaves it"
    return [
        f"{host.name}: ip rule {rule!r} {words}"
        for host in hosts
        for rule in host.seen.get("policy_rules", [])
        if host.is_managed and _concerns_pods(rule, host, cluster)
    ]


def _concerns_pods(rule: str, host: Host, cluster: Cluster) -> bool:
    """Whether it names pods' addresses, or a link of podlab's; one for everybody is mostly a VPN's, and no news."""
    words = rule.split()
    named = {key: word for key, word in pairwise(words) if key in ("from", "to", "iif", "oif")}
    networks = [_network(word) for key, word in named.items() if key in ("from", "to")]
    within = IPv4Network(cluster.cidr)
    links = host.seen["links"]
    ours = any(links[word]["alias"].startswith(MARK) for word in named.values() if word in links)
    return ours or any(network.overlaps(within) for network in networks if network)


def _network(word: str) -> IPv4Network | None:
    """Of a rule. ``ip rule`` prints a selector as it was given, with host bits too; "all" and IPv6 are none."""
    try:
        return IPv4Network(word, strict=False)
    except ValueError:
        return None


def foreign_routes(host: Host, cluster: Cluster) -> list[str]:
    """Routes inside the cluster CIDR that were there before podlab. They are left alone for good."""
    if "foreign" in host.record or host.is_marked:  # ``recovered`` has put it there, if any host remembers
        return list(host.record.get("foreign", ()))
    return [
        route["to"]
        for route in host.seen.get("routes", [])
        if not is_own(route, host, cluster) and _is_within(route["to"], cluster.cidr)
    ]


@lru_cache(1024)
def _is_within(cidr: str, whole: str) -> bool:
    """Asked of the same few networks on every host."""
    return IPv4Network(cidr).subnet_of(IPv4Network(whole))

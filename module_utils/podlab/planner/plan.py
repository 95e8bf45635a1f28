"""The plan: from inventory, manifests and observations to the rows of every host.

Pure and deterministic: the same input gives the same rows. Everything that is wrong is raised together,
before anything was written anywhere.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from ..changes import CHAIN_PREFIX, MARK, ROUTE_PROTOCOL, bridge, routes, rules, sysctls
from ..changes import pods as pod_changes
from . import egress, expectations
from .addresses import capacity, gateway, pod_addresses, pod_cidrs, pod_mac
from .cluster import Cluster, Host, check_hosts
from .model import Desired, Invalid, Pod
from .names import file_name, pod_hostname
from .schedule import Placement, place

T = TypeVar("T")

CHAPTERS = ("node", "bridge", "pods", "routes", "egress")

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Debian's, as in most images

MAC_PREFIX = "0a:58:"

NOT_OURS = "podlab has not made it and does not touch it; remove it"

BRIDGE_NETFILTER = "net.bridge.bridge-nf-call-iptables"


def plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    programs: Mapping[str, str],
    now: str,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """Work out every address, route and rule.

    :param programs: podlab's own programs that containers run: file name -> text.
    :param now: time of the run, RFC 3339; it becomes the creation time of what is new.
    :param problems: what was found wrong on the way here; it is raised together with what is found now.
    :return: ``hosts`` (host -> chapter -> row, with ``pending``: chapters that have anything to do),
        ``verify`` (what the probes have to find), ``notes`` (what the user should know).
    :raises Invalid: with every problem found.
    """
    nodes = [host for host in hosts if host.role == "node"]
    past = _past(hosts)
    inventory = check_hosts(hosts, cluster)
    with _collecting([*problems, *inventory, *_unfit_hosts(hosts, cluster)]) as found:
        cidrs: dict[str, str] = {}
        if not inventory:  # what is wrong there would only be said twice
            cidrs = found.unless_invalid(lambda: _allocate_cidrs(cluster, hosts, nodes), cidrs)
            found.problems += _routes_in_the_way(cluster, hosts, cidrs)
        room = {node.name: capacity(cidrs[node.name]) if cidrs else sys.maxsize for node in nodes}
        placed = {key: node for key, (node, _) in past.items()}
        placement = Placement({})
        if nodes:
            placement = found.unless_invalid(lambda: place(desired.pods, nodes, room, placed), placement)
    addresses, cursors = _allocate_addresses(nodes, cidrs, placement, past)

    shared = _shared_record(cluster, hosts, desired, cidrs, placement, addresses, now)
    ways = _ways(cluster, hosts, cidrs)
    result: dict[str, Any] = {"hosts": {}, "notes": _notes(desired, placement)}
    pods_by_node: dict[str, list[Pod]] = {node.name: [] for node in nodes}
    for pod in desired.pods:
        if pod.key in placement.nodes:
            pods_by_node[placement.nodes[pod.key]].append(pod)
    for host in hosts:
        if not host.in_run:
            continue
        rows: dict[str, Any] = {}
        seen = host.observation or {}
        if seen:
            rows["node"] = {
                "modules": seen["kernel"]["loadable"] if host.role == "node" else [],
                "sysctls": _sysctls(host, cluster),
                "record": {
                    "node": host.name,
                    "cursor": cursors.get(host.name),
                    "foreign": _foreign_routes(host, cluster),
                    "cluster": shared,
                },
            }
            rows["routes"] = {
                "within": cluster.cidr,
                "foreign": _foreign_routes(host, cluster),
                "routes": ways[host.role],
            }
        if seen and host.role == "node":
            frame = _bridge(host, cluster, cidrs[host.name])
            rows["bridge"] = frame
            rows["pods"] = {
                "programs": dict(programs),
                "pods": [
                    _pod_row(pod, host.name, cluster, frame, addresses[pod.key], shared)
                    for pod in pods_by_node[host.name]
                ],
            }
            rows["egress"] = egress.rows(cluster)
        result["hosts"][host.name] = {
            **rows,
            "pending": [name for name in CHAPTERS if name in rows and _PENDING[name](seen, rows[name])],
        }
    result["verify"] = expectations.matrix(cluster, hosts, cidrs, desired.pods, placement.nodes, addresses)
    for name, row in expectations.probes(result["verify"], result["hosts"]).items():
        result["hosts"][name]["verify"] = row
    return result


class _Collector:
    """Goes on after a mistake, to find the others as well."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)

    def unless_invalid(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except Invalid as error:
            self.problems += error.problems
            return otherwise


@contextmanager
def _collecting(problems: Sequence[str]) -> Iterator[_Collector]:
    """Raise at the end of the block everything that was found wrong before and in it."""
    collector = _Collector(problems)
    yield collector
    _raise(collector.problems)


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise Invalid(problems)


# --- what is there already ------------------------------------------------------------------------


def _unfit_hosts(hosts: Sequence[Host], cluster: Cluster) -> list[str]:
    return [problem for host in hosts if host.is_managed for problem in _unfit(host, cluster)]


def _unfit(host: Host, cluster: Cluster) -> list[str]:
    """What a host lacks, and what stands in podlab's way on a host that it has not marked yet."""
    seen = host.observation or {}
    missing = sorted(set(seen["missing"].values()))
    problems = []
    if missing:
        line = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        problems.append(f"{host.name}: programs are missing: {line}")
    if host.role == "node":
        problems += [f"{host.name}: {words}" for words in _missing_features(seen)]
    if _device(host) is None:
        problems.append(
            f"{host.name}: no link of this host has the address {host.address}; set node_ip to the address that "
            "the other nodes reach it at"
        )
    return problems + _in_the_way(host, cluster)


def _missing_features(seen: Mapping[str, Any]) -> list[str]:
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
    seen = host.observation or {}
    problems = []
    link = seen["links"].get(cluster.bridge)
    ours = _own_bridge(host, cluster) or (host.is_marked and link and link["mac"].startswith(MAC_PREFIX))
    if host.role == "node" and link and not ours:
        problems.append(
            f"{host.name}: link {cluster.bridge} is in the way: {NOT_OURS}, or choose another name (cluster.bridge)"
        )
    if host.is_marked or ours:  # where only the record was lost, the bridge tells whose the rest is
        return problems
    for table, chains in seen["rules"].items():
        for chain in chains:
            if chain.startswith(CHAIN_PREFIX):
                problems.append(f"{host.name}: chain {chain} of table {table} is in the way: {NOT_OURS}")
    return problems


def _routes_in_the_way(cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> list[str]:
    """Routes older than podlab that lead to the very networks that the host needs a way to."""
    ways = _ways(cluster, hosts, cidrs) if cidrs else {}
    return [
        f"{host.name}: route {way['to']} is in the way: {NOT_OURS}"
        for host in hosts
        if host.is_managed and ways
        for way in ways[host.role]
        if way["to"] in _foreign_routes(host, cluster)
    ]


def _device(host: Host) -> str | None:
    """The link that bears the host's address."""
    links = (host.observation or {}).get("links", {})
    for name, link in links.items():
        if any(address.split("/")[0] == host.address for address in link["addresses"]):
            return str(name)
    return None


def _foreign_routes(host: Host, cluster: Cluster) -> list[str]:
    """Routes inside the cluster CIDR that were there before podlab. They are left alone for good."""
    if host.is_marked:
        return list(host.record.get("foreign", []))
    within = IPv4Network(cluster.cidr)
    return [
        route["to"]
        for route in (host.observation or {}).get("routes", [])
        if IPv4Network(route["to"]).subnet_of(within) and not _is_own(route, host, cluster)
    ]


def _is_own(route: Mapping[str, Any], host: Host, cluster: Cluster) -> bool:
    on_bridge = route.get("dev") == cluster.bridge and _own_bridge(host, cluster) is not None
    return route["protocol"] == str(ROUTE_PROTOCOL) or on_bridge


def _own_bridge(host: Host, cluster: Cluster) -> bridge.Link | None:
    """The bridge, if it bears podlab's mark."""
    link: bridge.Link | None = (host.observation or {}).get("links", {}).get(cluster.bridge)
    return link if link and link["alias"] == MARK else None


def _allocate_cidrs(cluster: Cluster, hosts: Sequence[Host], nodes: Sequence[Host]) -> dict[str, str]:
    """Pod CIDRs. What a node says of itself goes before what the others were told of it."""
    names = [node.name for node in nodes]
    newest = _newest_record(hosts).get("podCIDRs", {})
    present: dict[str, str] = {**newest}
    for node in nodes:
        own = node.record.get("cluster", {}).get("podCIDRs", {}).get(node.name) or _cidr_of_bridge(node, cluster)
        if own:
            present[node.name] = own
    # A node that was out of the cluster has no claim any more to what another one got meanwhile.
    given = {newest[name] for name in names if name in newest}
    present = {name: cidr for name, cidr in present.items() if name in newest or cidr not in given}
    reserved = {cluster.service_cidr, *(f"{host.address}/32" for host in hosts)}
    for host in hosts:
        for route in (host.observation or {}).get("routes", []):
            if not _is_own(route, host, cluster):
                reserved.add(route["to"])
    return pod_cidrs(names, cluster.cidr, cluster.node_prefix, sorted(reserved), present)


def _cidr_of_bridge(node: Host, cluster: Cluster) -> str | None:
    """The pod CIDR by the bridge's address, where the record was lost."""
    link = _own_bridge(node, cluster)
    if link and link["addresses"]:
        return str(IPv4Network(link["addresses"][0], strict=False))
    return None


def _newest_record(hosts: Sequence[Host]) -> Mapping[str, Any]:
    """What was written last about the cluster. An older record may tell of pods that are gone since."""
    return max((host.record.get("cluster", {}) for host in hosts), key=lambda record: record.get("generation", 0))


Past = dict[str, tuple[str, "str | None"]]
"""Pod key -> node and address, as far as anything remembers it."""


def _past(hosts: Sequence[Host]) -> Past:
    """Where pods are. The newest record tells of hosts that are off or were rebooted; then what runs."""
    past: Past = {key: (node, address) for key, (node, address) in _newest_record(hosts).get("pods", {}).items()}
    names = {host.name for host in hosts}
    for host in hosts:
        for pod in (host.observation or {}).get("pods", {}).values():
            if pod["row"] is None:
                continue
            meta = pod["row"]["object"]["metadata"]
            key = f"{meta['namespace']}/{meta['name']}"
            if key not in past or past[key][0] not in names:
                past[key] = (host.name, pod["row"]["address"].split("/")[0])
    return past


def _allocate_addresses(
    nodes: Sequence[Host], cidrs: Mapping[str, str], placement: Placement, past: Past
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Pod key -> address, and node -> cursor. On a node that this run does not write to, all stays as it was."""
    keys: dict[str, list[str]] = {node.name: [] for node in nodes}
    for key, home in placement.nodes.items():
        keys[home].append(key)
    held: dict[str, dict[str, str]] = {node.name: {} for node in nodes}
    networks = {node.name: IPv4Network(cidrs[node.name]) for node in nodes}
    for key, (home, address) in past.items():
        if address and home in held and IPv4Address(address) in networks[home]:
            held[home][key] = address
    addresses: dict[str, str | None] = {}
    cursors: dict[str, str | None] = {}
    problems: list[str] = []
    for node in nodes:
        if not node.is_managed:
            addresses.update({key: held[node.name].get(key) for key in keys[node.name]})
            continue
        try:
            given, cursor = pod_addresses(keys[node.name], cidrs[node.name], held[node.name], node.record.get("cursor"))
        except Invalid as error:
            problems += [f"{node.name}: {problem}" for problem in error.problems]
            continue
        addresses.update(given)
        cursors[node.name] = cursor
    _raise(problems)
    return addresses, cursors


# --- rows -------------------------------------------------------------------------------------------


def _shared_record(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    cidrs: Mapping[str, str],
    placement: Placement,
    addresses: Mapping[str, str | None],
    now: str,
) -> dict[str, Any]:
    """What every host is told about the cluster, so that a run that sees only some of them renumbers nobody."""
    newest = _newest_record(hosts)
    created = newest.get("created", {})
    keys = [f"pod/{pod.key}" for pod in desired.pods]
    keys += [f"deployment/{item.namespace}/{item.name}" for item in desired.deployments]
    keys += [f"node/{node}" for node in cidrs]
    record: dict[str, Any] = {
        "cidr": cluster.cidr,
        "podCIDRs": dict(cidrs),
        "pods": {key: [node, addresses.get(key)] for key, node in placement.nodes.items()},
        "nodes": {
            host.name: {"address": host.address, "labels": host.all_labels()} for host in hosts if host.role == "node"
        },
        "namespaces": list(desired.namespaces),
        "deployments": [
            {
                "namespace": item.namespace,
                "name": item.name,
                "replicas": item.replicas,
                "templateHash": item.template_hash,
                "labels": dict(item.labels),
                "selector": dict(item.selector),
                "containers": list(item.containers),
                "images": list(item.images),
            }
            for item in desired.deployments
        ],
        "created": {key: created.get(key, now) for key in keys},
        "waiting": list(placement.waiting),
    }
    same = {key: value for key, value in newest.items() if key != "generation"} == record
    record["generation"] = newest.get("generation", 0) + (not same)
    return record


def _sysctls(host: Host, cluster: Cluster) -> dict[str, str]:
    """Kernel settings that a host needs to carry packets that are not its own."""
    device = _device(host)
    wanted = {"net.ipv4.ip_forward": "1"}
    if host.role == "node":
        # Without it a pod's answer to a pod of the same node passes the bridge unseen by iptables,
        # and a service address is never turned back.
        wanted[BRIDGE_NETFILTER] = "1"
    if host.role == "gateway":
        # It sends packets out where they came in; told so, nodes would go past it.
        wanted["net.ipv4.conf.all.send_redirects"] = "0"
        wanted[f"net.ipv4.conf.{_slashed(device)}.send_redirects"] = "0"
    loose = f"net.ipv4.conf.{_slashed(device)}.rp_filter"
    seen, recorded = (host.observation or {})["sysctls"], host.record.get("sysctls", {})
    strict = "1" in (seen.get("net.ipv4.conf.all.rp_filter"), seen.get(loose)) and seen.get(loose) != "2"
    if strict or loose in recorded:
        # Packets of the outside come through the gateway, whatever way this host would send them itself.
        wanted[loose] = "2"
    return wanted


def _slashed(device: str | None) -> str:
    return str(device).replace(".", "/")


def _bridge(host: Host, cluster: Cluster, cidr: str) -> bridge.BridgeRow:
    address, length = gateway(cidr), cidr.partition("/")[2]
    mtu: int = (host.observation or {})["links"][_device(host)]["mtu"]
    return {"name": cluster.bridge, "address": f"{address}/{length}", "mac": pod_mac(address), "mtu": mtu}


def _ways(cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[routes.RouteRow]]:
    """Role -> routes. Nodes send what is not theirs to the gateway, which alone knows whose it is."""
    gateways = [host for host in hosts if host.role == "gateway"]
    return {
        "node": [{"to": cluster.cidr, "via": way.address} for way in gateways[:1]],
        "gateway": [{"to": cidrs[node.name], "via": node.address} for node in hosts if node.role == "node"],
    }


def _pod_row(
    pod: Pod,
    node: str,
    cluster: Cluster,
    frame: bridge.BridgeRow,
    address: str | None,
    shared: Mapping[str, Any],
) -> pod_changes.PodRow:
    assert address is not None  # pods of a node that is seen all have one
    netns = file_name(pod.namespace, pod.name)
    hostname = pod.template.hostname or pod_hostname(pod.name)
    way, length = frame["address"].split("/")
    containers: dict[str, Any] = {}
    for container in pod.template.containers:
        own = container.path + ":" if container.path else ""
        containers[container.name] = {
            "image": container.image,
            "argv": list(container.argv),
            "env": {"PATH": own + PATH, **container.env},
            "working_dir": container.working_dir,
        }
    return {
        "netns": netns,
        "address": f"{address}/{length}",
        "gateway": way,
        "mac": pod_mac(address),
        "mtu": frame["mtu"],
        "bridge": frame["name"],
        "hostname": hostname,
        "restart_policy": pod.template.restart_policy,
        "etc": {
            "hostname": f"{hostname}\n",
            "hosts": f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{hostname}\n",
            "resolv.conf": _resolv_conf(pod.namespace, cluster),
        },
        "containers": containers,
        "object": _object(pod, node, shared["created"][f"pod/{pod.key}"]),
    }


def _resolv_conf(namespace: str, cluster: Cluster) -> str:
    """What the kubelet writes for dnsPolicy ClusterFirst, as far as the cluster has a name server."""
    server = f"nameserver {cluster.dns}\n" if cluster.dns else "# no name server: cluster.dns is not set\n"
    domain = cluster.domain
    return f"{server}search {namespace}.svc.{domain} svc.{domain} {domain}\noptions ndots:5\n"


def _object(pod: Pod, node: str, created: str) -> dict[str, Any]:
    """The pod as ``kubectl get -o yaml`` would show it, without its status."""
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{pod.name}.{pod.namespace}.{created}")),
        "creationTimestamp": created,
    }
    if pod.template.labels:
        metadata["labels"] = dict(pod.template.labels)
    if pod.template.annotations:
        metadata["annotations"] = dict(pod.template.annotations)
    if pod.owner:
        _, kind, name = pod.owner.split("/", 2)
        metadata["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**pod.template.spec, "nodeName": node, "restartPolicy": pod.template.restart_policy},
    }


# --- is there anything to do ------------------------------------------------------------------------


def _node_pending(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    record = seen["record"] or {}
    recorded = record.get("sysctls", {})
    remembered = {**row["record"], "sysctls": sysctls.originals(seen["sysctls"], row["sysctls"], recorded)}
    changes = sysctls.changes(seen["sysctls"], row["sysctls"], recorded)
    return bool(row["modules"] or changes) or record != remembered


def _pods_pending(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    differing = pod_changes.changes(seen["links"], seen["pods"], row["pods"])
    return bool(differing) or seen["programs"] != row["programs"]


_PENDING: dict[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "node": _node_pending,
    "bridge": lambda seen, row: bool(bridge.changes(seen["links"], row)),
    "pods": _pods_pending,
    "routes": lambda seen, row: bool(routes.changes(seen["routes"], row)),
    "egress": lambda seen, row: any(rules.changes(seen["rules"][table], row[table]) for table in row),
}


def _notes(desired: Desired, placement: Placement) -> list[str]:
    notes = [f"ignored, it has no meaning here: {path}" for path in desired.ignored]
    notes += [f"pod {key} waits: the nodes that it may run on are not part of this run" for key in placement.waiting]
    return notes

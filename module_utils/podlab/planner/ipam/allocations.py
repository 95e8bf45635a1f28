"""Who has which address: what is there keeps it, what is new gets one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from ..inputs.host import ARCH_LABELS, Host
from ..inputs.host_links import is_own, own_bridge
from ..inputs.settings import Cluster
from ..model import Invalid
from ..record.newest import newest_pods, newest_record
from ..scheduler.schedule import Placement
from .parsing import addresses_of, parsed_address
from .pod_addresses import pod_addresses
from .pod_cidrs import pod_cidrs


def allocate_cidrs(cluster: Cluster, hosts: Sequence[Host], nodes: Sequence[Host]) -> dict[str, str]:
    """Pod CIDRs. What a node says of itself goes before what the others were told of it, but takes nobody's."""
    names = [node.name for node in nodes]
    newest = newest_record(hosts).get("podCIDRs", {})
    present: dict[str, str] = {**newest}
    owners = {newest[name]: name for name in names if name in newest}
    for node in nodes:
        own = node.record.get("network", {}).get("podCIDRs", {}).get(node.name)
        own = own or _cidr_of_bridge(node, cluster) or _cidr_of_pods(node, cluster)
        if own and owners.get(own, node.name) == node.name:
            present[node.name] = own
    # A node that was out of the cluster has no claim any more to what another one got meanwhile.
    present = {name: cidr for name, cidr in present.items() if name in newest or cidr not in owners}
    reserved = {cluster.service_cidr, *(f"{host.address}/32" for host in hosts)}
    for host in hosts:
        for route in host.seen.get("routes", []):
            if not is_own(route, host, cluster):
                reserved.add(route["to"])
    return pod_cidrs(names, cluster.cidr, cluster.node_prefix, sorted(reserved), present)


def _cidr_of_bridge(node: Host, cluster: Cluster) -> str | None:
    """The pod CIDR by the bridge's address, where the record was lost."""
    link = own_bridge(node, cluster)
    if link and link["addresses"]:
        return str(IPv4Network(link["addresses"][0], strict=False))
    return None


def _cidr_of_pods(node: Host, cluster: Cluster) -> str | None:
    """The pod CIDR by what its pods were told, where the bridge has gone as well. Of several none is believed."""
    addresses = [row["address"] for _, pod in node.told_pods if (row := pod["row"]) and row["address"]]
    networks = {IPv4Network(address, strict=False) for address in addresses}
    inside = [network for network in networks if network.subnet_of(IPv4Network(cluster.cidr))]
    return str(inside[0]) if len(inside) == 1 else None


def with_remembered_labels(hosts: Sequence[Host]) -> list[Host]:
    """A node that this run does not see is still of the architecture that it was of: its pods stay there."""
    nodes = newest_record(hosts).get("nodes", {}) if hosts else {}
    found = []
    for host in hosts:
        known = nodes.get(host.name, {}).get("labels", {}) if host.observation is None else {}
        remembered = {name: known[name] for name in ARCH_LABELS if name in known}
        found.append(replace(host, labels={**remembered, **host.labels}) if remembered else host)
    return found


def finished_of(hosts: Sequence[Host]) -> Mapping[str, str]:
    """Jobs that have finished and are not there any more: the workload's key -> what it was."""
    finished: Mapping[str, str] = newest_record(hosts).get("finished", {})
    return finished


Past = dict[str, tuple[str, "str | None"]]
"""Pod key -> node and address, as far as anything remembers it."""


def past_of(hosts: Sequence[Host]) -> Past:
    """Where pods are. Records tell of hosts that are off or were rebooted; then what runs. Where two nodes claim a pod,
    it is the one's that a later run has written down."""
    past: Past = {
        key: (node, address)
        for node, section in newest_pods(hosts).items()
        for key, (address, _) in section.get("pods", {}).items()
    }
    names = {host.name for host in hosts}
    for host in hosts:
        for key, pod in host.told_pods:
            if (key not in past or past[key][0] not in names) and (row := pod["row"]):
                past[key] = (host.name, row["address"].split("/")[0])
    return past


def allocate_addresses(
    nodes: Sequence[Host], cidrs: Mapping[str, str], placement: Placement, past: Past
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Pod key -> address, and node -> cursor. On a node that this run does not write to, all stays as it was."""
    keys: dict[str, list[str]] = {node.name: [] for node in nodes}
    for key, home in placement.nodes.items():
        keys[home].append(key)
    held: dict[str, dict[str, str]] = {node.name: {} for node in nodes}
    homes = {home for home, _ in past.values()}
    ranges = {node.name: addresses_of(cidrs[node.name]) for node in nodes if node.name in homes}
    for key, (home, address) in past.items():
        if address and home in held and parsed_address(key, address, []) in ranges[home]:
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
    if problems:
        raise Invalid(problems)
    return addresses, cursors

"""The networks of a cluster: each node's pod CIDR, and whether what hosts tell of theirs leaves room for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..ipam.allocations import allocate_cidrs
from ..model import Invalid
from ..routing.registry import pod_routing
from ..services.addresses import pool_problems
from .host_checks import Refusals


@dataclass(frozen=True)
class Networks:
    """``cidrs`` is node -> pod CIDR; empty where they cannot be had."""

    cidrs: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def likely_networks(hosts: Sequence[Host], cluster: Cluster) -> tuple[list[Host], Networks, Refusals]:
    """The hosts, their networks, and the hosts whose links and routes keep the cluster from having its own: without
    what such a host tells of them less is wrong. That is left aside, and its record counts on.

    Where this leaves no node it is the inventory that is wrong, or a setting, and the plan says so.
    """
    found, refused = list(hosts), Refusals()
    networks = everything = _networks(hosts, cluster)
    for at, host in reversed([*enumerate(hosts)]):  # of two that claim the same, the first one keeps it
        if networks.problems and host.is_managed:
            without_it = [*found[:at], _without_networks(host), *found[at + 1 :]]
            left = _networks(without_it, cluster)
            if len(left.problems) < len(networks.problems):
                refused[host.name] = [words for words in networks.problems if words not in left.problems]
                found, networks = without_it, left
    if all(host.name in refused for host in hosts if host.role == "node" and host.is_managed):
        return list(hosts), everything, Refusals()
    return found, networks, refused


def _networks(hosts: Sequence[Host], cluster: Cluster) -> Networks:
    problems = [*pod_routing(cluster).validate(cluster, hosts), *pool_problems(cluster, hosts)]
    try:
        cidrs = allocate_cidrs(cluster, hosts, [host for host in hosts if host.role == "node"])
    except Invalid as error:
        return Networks(problems=(*problems, *error.problems))
    return Networks(cidrs, tuple(problems))


def _without_networks(host: Host) -> Host:
    return replace(host, observation={**(host.observation or {}), "links": {}, "routes": []})

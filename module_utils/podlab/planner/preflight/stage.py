"""Before a pod is looked at: which hosts can take part, and the networks that they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...configs import RouteConfig
from ..inputs.cluster import check_hosts
from ..inputs.host import Host
from ..inputs.observed import recovered, sound_hosts, without
from ..inputs.request import Request
from ..ipam.allocations import Past, past_of, with_remembered_labels
from ..model import Invalid
from ..record.newest import out_of_reach
from ..routing.registry import pod_routing
from .host_checks import Refusals, routes_in_the_way, told, unfit_hosts
from .networks import Networks, likely_networks
from .problems import Problems


@dataclass(frozen=True)
class Fleet:
    """The hosts with what can be used of their observations. ``refused`` is host -> why this run does not change it: it
    is like a host that the run is not for.

    ``cidrs``: node -> pod CIDR; ``routes``: host -> its routes to the pods of other nodes. Neither depends on which
    hosts are refused later.
    """

    hosts: Sequence[Host]
    cidrs: Mapping[str, str]
    routes: Mapping[str, list[RouteConfig]]
    past: Past
    refused: Refusals
    notes: tuple[str, ...]

    @cached_property
    def nodes(self) -> list[Host]:
        return [host for host in self.hosts if host.role == "node"]

    @cached_property
    def nodes_by_name(self) -> dict[str, Host]:
        return {node.name: node for node in self.nodes}

    def without(self, refused: Refusals) -> Fleet:
        both = merged(self.refused, refused)
        return replace(self, hosts=without(self.hosts, both), refused=both) if refused else self

    def check(self, found: Problems) -> None:
        """:raises Invalid: if anything was found that is not about single hosts, or no host is left."""
        if found:
            raise Invalid([*found.given, *told(self.refused), *found])
        if self.refused and not any(host.is_managed for host in self.hosts):
            raise Invalid(told(self.refused))


def preflight(request: Request, hosts: Sequence[Host], found: Problems) -> Fleet:
    cluster = request.cluster
    hosts, notes, unreadable = sound_hosts(hosts)
    unfit = unfit_hosts(hosts, cluster, request.desired.services)
    inventory = check_hosts(hosts, cluster)
    networks, unlikely = Networks(), Refusals()
    if not inventory:  # what is wrong there would only be said twice
        hosts, networks, unlikely = likely_networks(hosts, cluster)
    refused = merged(unreadable, unlikely, unfit)
    hosts = with_remembered_labels(recovered(without(hosts, refused)))
    found += [*inventory, *networks.problems, *out_of_reach(hosts)]
    routes = pod_routing(cluster).routes(cluster, hosts, networks.cidrs) if networks.cidrs else {}
    fleet = Fleet(hosts, networks.cidrs, routes, past_of(hosts), refused, tuple(notes))
    return fleet.without(routes_in_the_way(cluster, hosts, routes))


def merged(*refusals: Refusals) -> Refusals:
    """What keeps a host from several things is said together."""
    every: Refusals = {}
    for refused in refusals:
        for name, words in refused.items():
            every[name] = [*every.get(name, ()), *words]
    return every

"""Who has which address and which port: Services first, whose variables pods get, then pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..controllers.stage import Reconciled
from ..inputs.request import Request
from ..preflight.problems import Problems
from ..preflight.stage import Fleet
from ..scheduler.schedule import Placement
from ..scheduler.stage import Scheduled
from ..services.addresses import allocate as allocate_services
from ..services.links import Links
from ..services.model import ServiceAllocation
from .allocations import allocate_addresses


@dataclass(frozen=True)
class Allocated:
    """``services``: Service -> its addresses and ports. ``addresses``: pod key -> address; ``cursors``: node -> where
    the next run goes on."""

    services: Mapping[str, ServiceAllocation]
    links: Links
    addresses: Mapping[str, str | None]
    cursors: Mapping[str, str | None]


def allocate(
    request: Request, fleet: Fleet, reconciled: Reconciled, scheduled: Scheduled, found: Problems
) -> Allocated:
    """Pods get no address where anything is wrong: there may be no pod CIDRs."""
    wanted, nodes = request.desired.services, scheduled.nodes
    services = found.unless_invalid(
        lambda: allocate_services(request.cluster, fleet.hosts, wanted), dict[str, ServiceAllocation]()
    )
    links = Links.of(wanted, services, reconciled.pods)
    found += links.too_many(reconciled.pods)
    if found:
        return Allocated(services, links, {}, {})
    with_own = Placement({key: node for key, node in nodes.items() if key not in scheduled.on_nodes})
    nothing: tuple[dict[str, str | None], dict[str, str | None]] = {}, {}
    addresses, cursors = found.unless_invalid(
        lambda: allocate_addresses(fleet.nodes, fleet.cidrs, with_own, fleet.past), nothing
    )
    on_nodes = {key: fleet.nodes_by_name[nodes[key]].address for key in scheduled.on_nodes if key in nodes}
    return Allocated(services, links, {**addresses, **on_nodes}, cursors)

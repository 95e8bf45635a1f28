"""What the hosts of this run shall remember of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..controllers.stage import Reconciled
from ..inputs.request import Request
from ..ipam.stage import Allocated
from ..preflight.stage import Fleet
from ..scheduler.stage import Scheduled
from ..services.stage import ServicesPlan
from .sections import Sections, created_at, sections


@dataclass(frozen=True)
class Remembered:
    """``created``: pod key -> when it was made."""

    sections: Sections
    created: Mapping[str, str]


def remember(
    request: Request,
    fleet: Fleet,
    reconciled: Reconciled,
    scheduled: Scheduled,
    allocated: Allocated,
    services: ServicesPlan,
) -> Remembered:
    created = created_at(fleet.hosts, reconciled.pods, request.now)
    found = sections(
        request.cluster,
        fleet.hosts,
        request.desired,
        reconciled.wanted,
        fleet.cidrs,
        scheduled.placement,
        allocated.addresses,
        created,
        request.now,
        services.record,
    )
    return Remembered(found, created)

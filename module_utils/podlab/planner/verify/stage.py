"""What verify has to find, and what each host does for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...configs import VerifyExtras
from ..configs.hosts import has_systemd
from ..controllers.stage import Reconciled
from ..inputs.request import Request
from ..ipam.stage import Allocated
from ..preflight.firewalls import Finding
from ..preflight.stage import Fleet
from ..scheduler.stage import Scheduled
from ..services.endpoint_pods import PodPlaces
from ..services.stage import ServicesPlan
from . import expectations, service_expectations, service_probes


@dataclass(frozen=True)
class Verify:
    """``matrix`` is for the report; the others are host -> what it has to do."""

    matrix: Mapping[str, Any]
    of_pods: Mapping[str, Mapping[str, Any]]
    of_services: Mapping[str, Mapping[str, Any]]

    def of_host(self, name: str) -> VerifyExtras:
        found: VerifyExtras = {"verify": self.of_pods[name]}
        if name in self.of_services:
            found["verify_services"] = self.of_services[name]
        return found


def verify(
    request: Request,
    fleet: Fleet,
    reconciled: Reconciled,
    scheduled: Scheduled,
    allocated: Allocated,
    services: ServicesPlan,
    firewalls: Sequence[Finding],
    names: Collection[str],
) -> Verify:
    """:param names: the hosts of this run."""
    cluster, hosts, cidrs, addresses = request.cluster, fleet.hosts, fleet.cidrs, allocated.addresses
    with_own = [pod for pod in reconciled.pods if pod.key not in scheduled.on_nodes]
    matrix = expectations.matrix(cluster, hosts, cidrs, with_own, scheduled.nodes, addresses)
    ends = matrix["ends"]
    places = PodPlaces(reconciled.pods, scheduled.nodes, addresses, scheduled.on_nodes, services.slices)
    of_services = service_expectations.service_matrix(cluster, hosts, cidrs, ends, services.rows.ports, places.of)
    return Verify(
        matrix={**matrix, "services": of_services, **({"firewalls": firewalls} if firewalls else {})},
        of_pods=expectations.probes(matrix, names, far=any(map(has_systemd, hosts))),
        of_services=service_probes.probes(of_services, ends, names),
    )

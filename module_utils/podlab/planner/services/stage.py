"""The chapter of services, from what is wanted and what is there to what each node is told and all remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...changes.kube_proxy import services
from ...changes.system import sysctls
from ...configs import ServicePortRow, ServicesRow
from ...records.host_record import ClusterRecord
from ...records.observation import Observation
from ..configs.services import Rows, port_rows
from ..controllers.stage import Reconciled
from ..inputs.host import Host
from ..inputs.request import Request
from ..inputs.settings import Cluster
from ..ipam.stage import Allocated
from ..model import Desired, Pod, Present
from ..preflight.stage import Fleet
from ..record.newest import newest_record
from ..scheduler.stage import Scheduled
from .addresses import waiting
from .backends import Backend, Stage, backends
from .endpoints import slices_in_force, slices_of_pods
from .model import Given, Slice
from .record import remembered


@dataclass(frozen=True)
class Chapter:
    """``record`` is what every host shall remember of services.

    ``leaves_pods``: whether nodes lead packets to a pod that this run may be about to take away. Then they have to know
    before that happens; everything else may wait until the new pods are ready. ``parting`` is what they are told then,
    and ``rows`` what holds once those pods have gone, with the ``slices`` behind them. It is another thing only where
    a pod that is about to go serves until it does, because there is nobody else.
    """

    rows: Rows
    parting: Rows
    slices: Mapping[str, Sequence[Slice]]
    record: ClusterRecord
    notes: tuple[str, ...]
    sysctls: Mapping[str, str]
    leaves_pods: bool

    def row(self, node: Host, cidr: str) -> ServicesRow:
        return self.rows.row(node, cidr)

    def is_pending(self, seen: Observation, row: ServicesRow) -> bool:
        """Whether a node was told something else last, or its rules are not what was made of it, or what they guard is
        not open yet."""
        known = seen.get("services") or {"row": "", "sound": False}
        is_told = known["sound"] and known["row"] == self.rows.digest(row)
        return not is_told or bool(sysctls.opening(seen["sysctls"], self.sysctls))


def services_stage(
    request: Request, fleet: Fleet, reconciled: Reconciled, scheduled: Scheduled, allocated: Allocated
) -> Chapter:
    return services_chapter(
        request.cluster,
        fleet.hosts,
        request.desired,
        allocated.services,
        reconciled.pods,
        scheduled.nodes,
        allocated.addresses,
        reconciled.present,
        request.now,
        settled=request.settled,
        touches_pods="pods" in request.chapters,
    )


def services_chapter(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    given: Mapping[str, Given],
    pods: Sequence[Pod],
    placed: Mapping[str, str],
    addresses: Mapping[str, str | None],
    present: Mapping[str, Present],
    now: str,
    *,
    settled: bool = False,
    touches_pods: bool = True,
) -> Chapter:
    """:param given: Service -> its addresses and ports. :param pods: those of this run, with node and address.
    :param settled: whether to look ahead, to when pods that are yet to be made are ready.
    :param touches_pods: as ``endpoints.backends`` has it."""
    nodes = {host.name: host for host in hosts if host.role == "node"}

    def at(stage: Stage) -> list[Backend]:
        if not desired.services:
            return []  # nobody leads to any of them
        return backends(pods, placed, addresses, present, nodes, stage, touches_pods=touches_pods)

    def behind(found: Sequence[Backend]) -> tuple[dict[str, list[Slice]], list[str]]:
        made = slices_of_pods(desired.services, found)
        return slices_in_force(desired.services, made, desired.slices, desired.endpoints)

    everybody = at(Stage.SETTLED if settled else Stage.NOW)
    slices, notes = behind(everybody)
    next_slices = behind(at(Stage.NEXT))[0] if any(one.is_leaving for one in everybody) else slices
    everything = [slice_ for key in sorted(slices) for slice_ in slices[key]]
    past = newest_record(hosts) if hosts else {}
    record = remembered(desired.services, given, everything, desired.endpoints, past, now)
    parting = rows = Rows(cluster, port_rows(desired.services, given, next_slices))
    if next_slices is not slices:
        ports = port_rows(desired.services, given, slices)
        parting = Rows(cluster, ports) if any(map(_needs_who_leaves, ports)) else rows
    return Chapter(
        rows=rows,
        parting=parting,
        slices=next_slices,
        record=record,
        notes=(*notes, *waiting(desired.services, given), *_warnings(hosts)),
        sysctls=services.sysctls(cluster.localhost_node_ports, cluster.node_port_addresses, rows.ports),
        leaves_pods=_leaves_pods(
            past.get("slices", {}), record["slices"] if next_slices is slices else {}, next_slices
        ),
    )


def _needs_who_leaves(port: ServicePortRow) -> bool:
    """Whether a node may lead to an endpoint on its way out: there is no other one, or none on a node that asks for its
    own."""
    by_node = port["internal_local"] or port["external_local"]
    endpoints = [(end["node"] if by_node else "", end) for end in port["endpoints"]]
    held = {place for place, end in endpoints if end["ready"] and not end["terminating"]}
    return any(
        end["terminating"] and (end["ready"] or (end["serving"] and place not in held)) for place, end in endpoints
    )


def _leaves_pods(before: Mapping[str, Any], now: Mapping[str, Any], slices: Mapping[str, Sequence[Slice]]) -> bool:
    """:param before: what was remembered. :param now: the same of ``slices``, where that is known.
    :param slices: those of pods that stay, or come."""
    return before is not now and not _led_to(before) <= _ready_addresses(slices)


def _led_to(slices: Mapping[str, Any]) -> set[str]:
    """Addresses of pods that packets may be led to, by what is remembered."""
    found: set[str] = set()
    seen: set[int] = set()
    for entry in slices.values():
        endpoints = entry.get("endpoints", ())
        if id(endpoints) not in seen:  # thousands of slices may share them
            seen.add(id(endpoints))
            found.update(one["address"] for one in endpoints if one.get("ready") or one.get("terminating"))
    return found


def _ready_addresses(slices: Mapping[str, Sequence[Slice]]) -> set[str]:
    tuples = {id(slice_.endpoints): slice_.endpoints for some in slices.values() for slice_ in some}
    return {one.address for endpoints in tuples.values() for one in endpoints if one.ready}


def _warnings(hosts: Sequence[Host]) -> list[str]:
    """What a host has to say about its iptables, where this run has anything to do with it."""
    return [
        f"{host.name}: {words}"
        for host in hosts
        if host.is_managed
        for words in host.seen.get("services", {}).get("warnings", ())
    ]

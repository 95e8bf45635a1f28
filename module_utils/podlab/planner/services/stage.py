"""The component of services, from what is wanted and what is there to what each node is told and all remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...changes.kube_proxy import services
from ...changes.system import sysctls
from ...configs import ServicePortConfig, ServicesConfig
from ...records.host_record import ClusterRecord
from ...records.observation import Observation
from ..configs.services import ServicesConfigs, port_configs
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
from .model import ServiceAllocation, Slice
from .record import remembered


@dataclass(frozen=True)
class ServicesPlan:
    """``record`` is what every host shall remember of services.

    ``removes_endpoints``: whether nodes lead packets to a pod that this run may be about to take away. Then they have
    to know before that happens; everything else may wait until the new pods are ready. ``draining`` is what they are
    told then, and ``rows`` what holds once those pods have gone, with the ``slices`` behind them. It is another thing
    only where a pod that is about to go serves until it does, because there is nobody else.
    """

    rows: ServicesConfigs
    draining: ServicesConfigs
    slices: Mapping[str, Sequence[Slice]]
    record: ClusterRecord
    notes: tuple[str, ...]
    sysctls: Mapping[str, str]
    removes_endpoints: bool

    def row(self, node: Host, cidr: str) -> ServicesConfig:
        return self.rows.row(node, cidr)

    def is_pending(self, seen: Observation, row: ServicesConfig) -> bool:
        """Whether a node was told something else last, or its rules are not what was made of it, or what they guard is
        not open yet."""
        known = seen.get("services") or {"row": "", "sound": False}
        is_told = known["sound"] and known["row"] == self.rows.digest(row)
        return not is_told or bool(sysctls.opening(seen["sysctls"], self.sysctls))


def services_stage(
    request: Request, fleet: Fleet, reconciled: Reconciled, scheduled: Scheduled, allocated: Allocated
) -> ServicesPlan:
    return plan_services(
        request.cluster,
        fleet.hosts,
        request.desired,
        allocated.services,
        reconciled.pods,
        scheduled.nodes,
        allocated.addresses,
        reconciled.present,
        request.now,
        assume_ready=request.assume_ready,
        touches_pods="pods" in request.components,
    )


def plan_services(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    allocations: Mapping[str, ServiceAllocation],
    pods: Sequence[Pod],
    placed: Mapping[str, str],
    addresses: Mapping[str, str | None],
    present: Mapping[str, Present],
    now: str,
    *,
    assume_ready: bool = False,
    touches_pods: bool = True,
) -> ServicesPlan:
    """:param allocations: Service -> its addresses and ports. :param pods: those of this run, with node and address.
    :param assume_ready: whether to look ahead, to when pods that are yet to be made are ready.
    :param touches_pods: as ``endpoints.backends`` has it."""
    nodes = {host.name: host for host in hosts if host.role == "node"}

    def at(stage: Stage) -> list[Backend]:
        if not desired.services:
            return []  # nobody leads to any of them
        return backends(pods, placed, addresses, present, nodes, stage, touches_pods=touches_pods)

    def behind(found: Sequence[Backend]) -> tuple[dict[str, list[Slice]], list[str]]:
        made = slices_of_pods(desired.services, found)
        return slices_in_force(desired.services, made, desired.slices, desired.endpoints)

    everybody = at(Stage.ALL_READY if assume_ready else Stage.NOW)
    slices, notes = behind(everybody)
    next_slices = behind(at(Stage.NEXT))[0] if any(one.is_terminating for one in everybody) else slices
    everything = [slice_ for key in sorted(slices) for slice_ in slices[key]]
    past = newest_record(hosts) if hosts else {}
    record = remembered(desired.services, allocations, everything, desired.endpoints, past, now)
    draining = rows = ServicesConfigs(cluster, port_configs(desired.services, allocations, next_slices))
    if next_slices is not slices:
        ports = port_configs(desired.services, allocations, slices)
        draining = ServicesConfigs(cluster, ports) if any(map(_needs_who_leaves, ports)) else rows
    return ServicesPlan(
        rows=rows,
        draining=draining,
        slices=next_slices,
        record=record,
        notes=(*notes, *waiting(desired.services, allocations), *_warnings(hosts)),
        sysctls=services.sysctls(cluster.localhost_node_ports, cluster.node_port_addresses, rows.ports),
        removes_endpoints=_removes_endpoints(
            past.get("slices", {}), record["slices"] if next_slices is slices else {}, next_slices
        ),
    )


def _needs_who_leaves(port: ServicePortConfig) -> bool:
    """Whether a node may lead to an endpoint on its way out: there is no other one, or none on a node that asks for its
    own."""
    by_node = port["internal_local"] or port["external_local"]
    endpoints = [(end["node"] if by_node else "", end) for end in port["endpoints"]]
    held = {place for place, end in endpoints if end["ready"] and not end["terminating"]}
    return any(
        end["terminating"] and (end["ready"] or (end["serving"] and place not in held)) for place, end in endpoints
    )


def _removes_endpoints(
    before: Mapping[str, Any], now: Mapping[str, Any], slices: Mapping[str, Sequence[Slice]]
) -> bool:
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

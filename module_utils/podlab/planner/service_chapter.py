"""The chapter of services, from what is wanted and what is there to what each node is told and all remember."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..changes import services, sysctls
from ..changes.services import ServicesRow
from .allocations import newest_record
from .cluster import Cluster, Host
from .endpoints import backends, slices_in_force, slices_of_pods
from .model import Desired, Pod, Present
from .service_addresses import waiting
from .service_model import Given, Slice
from .service_record import remembered
from .service_rows import Rows, port_rows


@dataclass(frozen=True)
class Chapter:
    """``record`` is what every host shall remember of services; ``slices`` are those of each of them.

    ``leaves_pods``: whether nodes lead packets to a pod that this run may be about to take away. Then they have to know
    before that happens; everything else may wait until the new pods are ready.
    """

    rows: Rows
    record: Mapping[str, Any]
    notes: tuple[str, ...]
    slices: Mapping[str, Sequence[Slice]]
    sysctls: Mapping[str, str]
    leaves_pods: bool

    def row(self, node: Host, cidr: str) -> ServicesRow:
        return self.rows.row(node, cidr)

    def is_pending(self, seen: Mapping[str, Any], row: ServicesRow) -> bool:
        """Whether a node was told something else last, or its rules are not what was made of it, or what they guard is
        not open yet."""
        known = seen.get("services") or {"row": "", "sound": False}
        is_told = known["sound"] and known["row"] == self.rows.digest(row)
        return not is_told or bool(sysctls.opening(seen["sysctls"], self.sysctls))


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
) -> Chapter:
    """:param given: Service -> its addresses and ports. :param pods: those of this run, with node and address.
    :param settled: as ``endpoints.backends`` has it."""
    nodes = {host.name: host for host in hosts if host.role == "node"}
    made = slices_of_pods(desired.services, backends(pods, placed, addresses, present, nodes, settled=settled))
    slices, notes = slices_in_force(desired.services, made, desired.slices, desired.endpoints)
    everything = [slice_ for key in sorted(slices) for slice_ in slices[key]]
    past = newest_record(hosts) if hosts else {}
    record = remembered(desired.services, given, everything, desired.endpoints, past, now)
    rows = Rows(cluster, port_rows(desired.services, given, slices))
    return Chapter(
        rows=rows,
        record=record,
        notes=(*notes, *waiting(desired.services, given), *_warnings(hosts)),
        slices=slices,
        sysctls=services.sysctls(cluster.localhost_node_ports, cluster.node_port_addresses, rows.ports),
        leaves_pods=_leaves_pods(past.get("slices", {}), record["slices"]),
    )


def _leaves_pods(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return before is not now and not _ready(before) <= _ready(now)


def _ready(slices: Mapping[str, Any]) -> set[str]:
    """Addresses of pods that packets may be led to, by what is remembered."""
    found: set[str] = set()
    seen: set[int] = set()
    for entry in slices.values():
        endpoints = entry.get("endpoints", ())
        if id(endpoints) not in seen:  # thousands of slices may share them
            seen.add(id(endpoints))
            found.update(one["address"] for one in endpoints if one.get("ready"))
    return found


def strangers(hosts: Sequence[Host]) -> list[str]:
    """kube-proxy's chains on hosts that podlab has never been to."""
    found = []
    for host in hosts:
        for place in (host.observation or {}).get("services", {}).get("others", ()) if host.is_managed else ():
            table, _, chain = place.partition(" ")
            found.append(
                f"{host.name}: chain {chain} of table {table} is in the way: is this a node of a Kubernetes cluster? "
                "If that has gone, kube-proxy --cleanup removes what it left behind"
            )
            break  # there will be hundreds
    return found


def _warnings(hosts: Sequence[Host]) -> list[str]:
    """What a host has to say about its iptables, where this run has anything to do with it."""
    return [
        f"{host.name}: {words}"
        for host in hosts
        if host.is_managed
        for words in (host.observation or {}).get("services", {}).get("warnings", ())
    ]

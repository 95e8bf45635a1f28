"""What a run would make of manifests on bare hosts: what comes up, stands in, waits, is ignored and is refused.

No host is asked, so nothing is said of what runs already, and of addresses that hosts give out. The phases that need no
observation are those of the plan itself.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from ..claims.stage import claims_stage
from ..controllers.reconcile import Wanted, pods_of
from ..inputs.cluster import check_hosts
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..manifests import kinds
from ..manifests.model import Wait
from ..manifests.objects import NAMESPACES
from ..manifests.stand_ins import StoodInFor, stand_ins
from ..model import Desired, Pod, Workload
from ..preflight.problems import Problems
from ..scheduler.schedule import Placement, place
from ..scheduler.volume_binding import VolumeBinding
from ..services.addresses import allocate
from ..services.model import Service, ServiceAllocation


class Outcome(Enum):
    """In the order of the table: what asks for something is told last, next to the prompt."""

    UP = "comes up"
    STANDS_IN = "stands in"
    KEPT = "kept"
    IGNORED = "ignored"
    WAITS = "waits"
    REFUSED = "refused"


class Row(NamedTuple):
    """What becomes of an object; of several that are alike ``name`` has the names."""

    outcome: Outcome
    kind: str
    namespace: str
    name: str
    why: str


@dataclass(frozen=True)
class Outline:
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def outline(cluster: Cluster, hosts: Sequence[Host], desired: Desired, problems: Sequence[str]) -> Outline:
    """:param hosts: those of the inventory; nodes are taken for bare ones that can be changed.
    :param problems: what was found wrong on the way here.
    """
    found = Problems(problems)
    found += check_hosts(hosts, cluster)
    nodes = [host for host in hosts if host.role == "node"]
    whole = replace(desired, workloads=tuple(_at_once(item) for item in desired.workloads))
    wanted = found.unless_invalid(lambda: pods_of(whole, nodes, {}), Wanted([]))
    capacity = 2 ** (32 - cluster.node_prefix) - 3 if 0 < cluster.node_prefix < 31 else sys.maxsize
    room = {node.name: capacity for node in nodes}
    claims = claims_stage(hosts, desired, wanted.pods)
    volumes = VolumeBinding(claims.homes, claims.wanted)
    placement = place(wanted.pods, nodes, room, {}, volumes) if nodes else Placement({})
    found.unless_invalid(lambda: allocate(cluster, hosts, desired.services), dict[str, ServiceAllocation]())
    known = _objects(desired)
    refused = [_refused(problem, known) for problem in dict.fromkeys([*found.given, *found])]
    without = {row[1:4] for row in refused}
    others = [
        *_owners(desired, wanted.pods, placement),
        *(_service(one, wanted.pods) for one in desired.services),
        *_kept(desired),
        *_ignored(desired),
    ]
    rows = [*(row for row in others if row[1:4] not in without), *refused]
    order = list(Outcome)
    rows.sort(key=lambda row: order.index(row.outcome))
    return Outline(tuple(rows), (*desired.notes, *wanted.notes))


def _at_once(item: Workload) -> Workload:
    """A StatefulSet's pods come one after the other; here all of them count."""
    return replace(item, strategy="Parallel") if item.kind == "StatefulSet" else item


# --- pods -----------------------------------------------------------------------------------------------


def _owners(desired: Desired, pods: Sequence[Pod], placement: Placement) -> Iterator[Row]:
    """A row for each bare pod and workload, and one more where some of its pods wait."""
    by_owner: dict[str, list[Pod]] = {}
    for pod in pods:
        by_owner.setdefault(pod.owner or f"Pod/{pod.key}", []).append(pod)
    instead: dict[str, list[StoodInFor]] = {}
    for one in stand_ins(desired):
        instead.setdefault(one.owner, []).append(one)
    for key in (*(f"Pod/{pod.key}" for pod in desired.pods), *(item.key for item in desired.workloads)):
        kind, namespace, name = key.split("/")
        own = by_owner.get(key, [])
        waiting = [pod for pod in own if pod.key in placement.pending]
        running = [placement.nodes[pod.key] for pod in own if pod.key in placement.nodes]
        if running or not own:
            mine = dict.fromkeys(map(_stand_in, instead.get(key, ()))) if running else {}
            outcome = Outcome.STANDS_IN if mine else Outcome.UP
            yield Row(outcome, kind, namespace, name, "; ".join((_placed(running), *mine)))
        if waiting:
            some = f"{len(waiting)} of {len(own)} pods: " if len(own) > 1 else ""
            yield Row(Outcome.WAITS, kind, namespace, name, some + _words(placement.pending[waiting[0].key].waits))


def _stand_in(one: StoodInFor) -> str:
    at = f" at {', '.join(one.ports)}" if one.ports else ""
    unless = f", unless its node has {one.unless}" if one.unless else ""
    return f"a stand-in for {one.image}{at}{unless}"


def _placed(nodes: Iterable[str]) -> str:
    counts = Counter(nodes)
    total = sum(counts.values())
    where = ", ".join(f"{count} on {node}" if total > 1 else f"on {node}" for node, count in counts.items())
    return f"{total} pod{'' if total == 1 else 's'}{': ' if total > 1 else ' '}{where}" if total else "no pods"


def _words(waits: Sequence[Wait]) -> str:
    return "; ".join(dict.fromkeys(f"{one.message}{f' ({one.advice})' if one.advice else ''}" for one in waits))


# --- the rest -------------------------------------------------------------------------------------------


def _service(service: Service, pods: Sequence[Pod]) -> Row:
    ports = ", ".join(f"{port.port}/{port.protocol}" for port in service.ports) or "no ports"
    behind = sum(
        pod.namespace == service.namespace and service.selector.items() <= pod.template.labels.items() for pod in pods
    )
    to = f"to {behind} pod{'' if behind == 1 else 's'}" if service.selector else "to written endpoints"
    way = f"{service.type}, headless" if service.is_headless else service.type
    return Row(Outcome.UP, "Service", service.namespace, service.name, f"{way}, {ports} {to}")


def _kept(desired: Desired) -> Iterator[Row]:
    for name in desired.namespaces:
        if name not in NAMESPACES:
            yield Row(Outcome.KEPT, "Namespace", "", name, "holds what names it")
    for key in desired.objects:
        kind, namespace, name = key.split("/")
        yield Row(Outcome.KEPT, kind, namespace, name, "for environments and volumes of pods")
    for claim in desired.claims.values():
        why = "a directory on the node of its first pod"
        yield Row(Outcome.KEPT, "PersistentVolumeClaim", claim.namespace, claim.name, why)
    for one in desired.cron_jobs:
        why = f"./lab create job NAME --from=cronjob/{one.name} runs its Job once"
        yield Row(Outcome.KEPT, "CronJob", one.namespace, one.name, why)


def _ignored(desired: Desired) -> Iterator[Row]:
    for (kind, why), names in kinds.alike(desired.ignored_objects):
        yield Row(Outcome.IGNORED, kind, "", kinds.some(names), why)
    for path in desired.ignored:
        kind, _, field = path.partition(": ")
        yield Row(Outcome.IGNORED, kind, "", field, "it has no meaning here")


# --- what is refused ------------------------------------------------------------------------------------

_PLACED = re.compile(r"(?P<where>.*?:\d+): (?P<why>.*)", re.DOTALL)
_NAMED = re.compile(r'The (?P<kind>\w+) "(?P<name>[^"]*)" is invalid: (?P<why>.*)', re.DOTALL)

Identity = tuple[str, str, str]
"""Kind, namespace, name."""


def _objects(desired: Desired) -> dict[str, list[Identity]]:
    """Where objects stand; several of one line are items of a List."""
    found: dict[str, list[Identity]] = {}
    for pod in desired.pods:
        found.setdefault(pod.where, []).append(("Pod", pod.namespace, pod.name))
    for item in desired.workloads:
        found.setdefault(item.where, []).append((item.kind, item.namespace, item.name))
    for one in desired.services:
        found.setdefault(one.where, []).append(("Service", one.namespace, one.name))
    for key, where in desired.places.items():
        kind, namespace, name = key.split("/")
        found.setdefault(where, []).append((kind, namespace, name))
    return found


def _refused(problem: str, known: Mapping[str, Sequence[Identity]]) -> Row:
    """A problem is a text; most of them begin with where its object stands, and name it."""
    placed = _PLACED.fullmatch(problem)
    if placed is None:
        return Row(Outcome.REFUSED, "", "", "", problem)
    named = _NAMED.fullmatch(placed["why"])
    why = f"{placed['where']}: {named['why'] if named else placed['why']}"
    there = known.get(placed["where"], ())
    meant = [one for one in there if named is None or (one[0], one[2]) == (named["kind"], named["name"])]
    if len(meant) == 1:
        return Row(Outcome.REFUSED, *meant[0], why)
    return Row(Outcome.REFUSED, *((named["kind"], "", named["name"]) if named else ("", "", "")), why)


def as_objects(found: Outline) -> list[Mapping[str, str]]:
    """Rows as they are told to programs."""
    return [
        {
            "outcome": row.outcome.value,
            "kind": row.kind,
            "namespace": row.namespace,
            "name": row.name,
            "why": row.why,
        }
        for row in found.rows
    ]

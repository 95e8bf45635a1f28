"""The plan: from inventory, manifests and observations to the rows of every host.

Pure and deterministic: the same input gives the same rows. Everything that is wrong is raised together,
before anything was written anywhere.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..configs import HostConfigs, PendingPod, Plan
from .claims.stage import Claims, claims_stage
from .configs.pending import pending
from .configs.stage import host_configs
from .controllers.stage import Reconciled, reconcile
from .inputs.host import Host
from .inputs.observed import lost_records
from .inputs.request import COMPONENTS, Request
from .inputs.settings import Cluster
from .ipam.stage import allocate
from .manifests import cron_jobs, kinds, stand_ins
from .manifests.model import Wait
from .model import Desired
from .preflight import firewalls, id_mapping
from .preflight.host_checks import Refusals, rules_in_the_way, said_once
from .preflight.problems import Problems
from .preflight.stage import Fleet, preflight
from .record.stage import remember
from .scheduler.stage import Scheduled, schedule
from .services.stage import ServicesPlan, services_stage
from .verify.stage import verify


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: a plan has none, and a quarter of its time would be spent on the search."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    programs: Mapping[str, str],
    now: str,
    problems: Sequence[str] = (),
    *,
    assume_ready: bool = False,
    components: Collection[str] = COMPONENTS,
    code: str = "",
    planner_code: str = "",
) -> Plan:
    """Plan every address, route and rule, for the hosts that can be changed.

    :param programs: podlab's own programs that containers run: file name -> text.
    :param now: time of the run, RFC 3339; it becomes the creation time of what is new.
    :param problems: what was found wrong on the way here; it is raised together with what is found now.
    :param assume_ready: whether Services lead to pods that are yet to be made, as they will once those are ready.
    :param components: those that this run was asked for.
    :param code: the digest of podlab's own code, which hosts that put everything back after a reboot have.
    :param planner_code: the digest of all code here; without it no config is known again, and all are made.
    :raises Invalid: with every problem found, where there is one that is not about single hosts, or no host is left.
    """
    request = Request(cluster, desired, programs, now, assume_ready, components, code, planner_code)
    with _uncollected():
        return _plan(request, hosts, Problems(problems))


def _plan(request: Request, hosts: Sequence[Host], found: Problems) -> Plan:
    """The phases, one after the other. Each hands what it has decided to the next ones, and nothing of it changes."""
    fleet = preflight(request, hosts, found)
    while True:
        reconciled = reconcile(request, fleet, found)
        claims = claims_stage(fleet.hosts, request.desired, reconciled.pods)
        scheduled = schedule(fleet, reconciled, claims, found)
        fleet = fleet.without(scheduled.refused)
        if found or not scheduled.refused:
            break
        # What fell to a host that cannot have it goes elsewhere: once more, without that host.
    allocated = allocate(request, fleet, reconciled, scheduled, found)
    fleet.check(found)
    services = services_stage(request, fleet, reconciled, scheduled, allocated)
    remembered = remember(request, fleet, reconciled, claims, scheduled, allocated, services)
    configs = host_configs(request, fleet, claims, scheduled, allocated, services, remembered)
    todo = pending(request, fleet, reconciled, scheduled, services, configs)
    blocked = firewalls.findings(request.cluster, fleet.hosts)
    probes = verify(request, fleet, reconciled, scheduled, allocated, services, blocked, todo.groups)
    notes, refused = _notes(request, fleet, reconciled, claims, scheduled, services, blocked)
    return {
        "hosts": {
            name: {
                **configs.get(name, HostConfigs()),
                **todo.extras[name],
                "pending": groups,
                **probes.of_host(name),
            }
            for name, groups in todo.groups.items()
        },
        "notes": notes,
        "unfinished": reconciled.wanted.unfinished,
        "has_services": bool(request.desired.services),
        "pods_changed": todo.changes_pods,
        "verify": probes.matrix,
        "refused": refused,
        "pending_pods": pending_pods(reconciled, scheduled),
        "jobs_by_hand": dict(request.desired.jobs_by_hand),
    }


def pending_pods(reconciled: Reconciled, scheduled: Scheduled) -> list[PendingPod]:
    """Pods that this run does not start, each with its node, if it has one, and with the reasons in words."""
    pending = scheduled.placement.pending
    return [
        {
            "pod": pod.key,
            "owner": pod.owner or "",
            "node": pending[pod.key].node,
            "words": [_words(wait) for wait in pending[pod.key].waits],
        }
        for pod in reconciled.pods
        if pod.key in pending
    ]


def _words(wait: Wait) -> str:
    before = f"container {wait.container!r} waits: " if wait.container else ""
    advice = f"; {wait.advice}" if wait.advice else ""
    return f"{before}{wait.reason}: {wait.message}{advice}"


def _notes(
    request: Request,
    fleet: Fleet,
    reconciled: Reconciled,
    claims: Claims,
    scheduled: Scheduled,
    services: ServicesPlan,
    blocked: Sequence[firewalls.Finding],
) -> tuple[list[str], Refusals]:
    """What the user should know, and why hosts are refused: what is true of several of them is a note."""
    shared, refused = said_once(fleet.refused)
    waiting = scheduled.placement.waiting
    notes = [
        *fleet.notes,
        *lost_records(fleet.hosts),
        *shared,
        *request.desired.notes,
        *kinds.notes(request.desired.ignored_objects),
        *cron_jobs.note(request.desired.cron_jobs),
        *(f"ignored, it has no meaning here: {path}" for path in request.desired.ignored),
        *stand_ins.notes(request.desired),
        *(f"pod {key} waits: the nodes that it may run on are not part of this run" for key in waiting),
        *reconciled.notes,
        *claims.notes,
        *id_mapping.notes(reconciled.pods, scheduled.nodes, fleet.nodes_by_name),
        *services.notes,
        *rules_in_the_way(fleet.hosts, request.cluster),
        *firewalls.notes(blocked),
        *(
            f"pod {pod.key}: Pod was active on the node longer than the specified deadline"
            for pod in reconciled.pods
            if reconciled.is_over(pod)
        ),
    ]
    return notes, refused

"""Which pods there shall be when the controllers have taken their step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..inputs.observed_pods import present_pods
from ..inputs.request import Request
from ..ipam.allocations import finished_of
from ..manifests.updates import changed_pods, forbidden_updates, is_another
from ..model import Pod, Present
from ..preflight.problems import Problems
from ..preflight.stage import Fleet
from ..record.newest import newest_record
from .context import revision_of
from .reconcile import Wanted, pods_of


@dataclass(frozen=True)
class Reconciled:
    """``present``: pod key -> the pod as this run finds it."""

    wanted: Wanted
    present: Mapping[str, Present]
    notes: tuple[str, ...]

    @property
    def pods(self) -> list[Pod]:
        return self.wanted.pods

    def is_over(self, pod: Pod) -> bool:
        """Whether a pod was active for as long as it may be: its manifest has asked for this end."""
        there = self.present.get(pod.key)
        return there is not None and there.is_over and revision_of(there) == pod.revision


def reconcile(request: Request, fleet: Fleet, found: Problems) -> Reconciled:
    desired, hosts = request.desired, fleet.hosts
    found += forbidden_updates(desired, newest_record(hosts))
    present = present_pods(hosts, fleet.past)
    wanted = found.unless_invalid(lambda: pods_of(desired, fleet.nodes, present, finished_of(hosts)), Wanted([]))
    wanted.pods = [_as_it_runs(pod, present.get(pod.key)) if pod.template.waits else pod for pod in wanted.pods]
    return Reconciled(wanted, present, (*changed_pods(desired.pods, present), *wanted.notes))


def _as_it_runs(pod: Pod, there: Present | None) -> Pod:
    """What was started before its ConfigMap or Secret went goes on, as on a cluster."""
    if pod.pinned is not None or there is None or there.row is None:
        return pod
    is_same = revision_of(there) == pod.revision and not is_another(pod, there.row)
    return replace(pod, pinned=there.row) if is_same else pod

"""What Kubernetes' controllers do, as a pure function of what is wanted and of what is there.

Nothing watches between two runs: a run looks at the pods, takes one step of every rollout, waits until the pods of it
are ready, and looks again, until nothing is left to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..inputs.host import Host
from ..model import Desired, Pod, Present, Workload
from .adoption import adopt
from .context import POD_TEMPLATE_HASH, Names, ReconcileContext, ReconcileResult, label_of, revision_of
from .daemon_sets import daemon_set
from .deployments import deployment, replica_set
from .jobs import identity, job
from .stateful_sets import stateful_set

_CONTROLLERS: Mapping[str, Callable[[ReconcileContext], ReconcileResult]] = {
    "Deployment": deployment,
    "ReplicaSet": replica_set,
    "DaemonSet": daemon_set,
    "StatefulSet": stateful_set,
    "Job": job,
}


@dataclass
class Wanted:
    """The pods that shall be there now. ``unfinished`` has words for each workload that takes another step once they
    are available; ``notes`` for each that stands still, and why."""

    pods: list[Pod]
    unfinished: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    min_ready: dict[str, int] = field(default_factory=dict)  # of those: the workload's key -> minReadySeconds
    expired: dict[str, str] = field(default_factory=dict)  # Jobs that are over and gone -> what they were


def pods_of(
    desired: Desired, nodes: Sequence[Host], present: Mapping[str, Present], expired: Mapping[str, str] | None = None
) -> Wanted:
    """Which pods shall be there now: bare ones first, then those of each workload, in the order of the documents.

    :param nodes: the hosts that run pods.
    :param present: pod key -> the pod, as this run finds it. On a node that is not seen only the names of pods are
        known: one that a workload would make is that one, counted and not available; other pods are left alone.
    :param expired: what an earlier run has found of Jobs that are over and gone.
    :raises Invalid: names that two pods would have.
    """
    by_name = {node.name: node for node in nodes}
    there = {key: one for key, one in present.items() if one.node in by_name}
    mine = _owned(desired.workloads, there)
    names = Names(desired.pods)
    bare, adopted, notes = adopt(desired.pods, desired.workloads, there)
    wanted = Wanted(bare, notes=notes)
    for workload in desired.workloads:
        scene = ReconcileContext(workload, by_name, mine[workload.key], there, names, adopted[workload.key])
        step = _CONTROLLERS[workload.kind](scene)
        if workload.ttl is not None and (step.expired or (expired or {}).get(workload.key) == identity(workload)):
            # Were it not remembered, the same manifest would make it again, as it does on Kubernetes.
            wanted.expired[workload.key] = identity(workload)
            wanted.notes.append(scene.titled("it has finished, and is not there any more by ttlSecondsAfterFinished"))
            continue
        wanted.pods += step.pods
        if step.note:
            wanted.notes.append(step.note)
        if step.unfinished and _is_moving(scene, step):
            wanted.unfinished.append(step.unfinished)
            if workload.min_ready:
                wanted.min_ready[workload.key] = workload.min_ready
        elif step.unfinished:
            wanted.notes.append(f"{step.unfinished}; the rest waits for nodes that are not part of this run")
    names.check()
    wanted.pods = _each_once(wanted.pods)
    return wanted


def _owned(workloads: Sequence[Workload], present: Mapping[str, Present]) -> dict[str, list[Present]]:
    """Workload -> its pods: those whose controller, by ownerReferences, it is."""
    keys = {workload.key for workload in workloads}
    mine: dict[str, list[Present]] = defaultdict(list)
    known: dict[tuple[str, str, str], str] = {}  # what ownerReferences name -> workload: replicas have the same
    for one in present.values():
        if one.row is None:
            continue
        meta = one.row["object"]["metadata"]
        for owner in meta.get("ownerReferences") or ():
            parent = owner["kind"], meta["namespace"], owner["name"]
            if parent not in known:
                known[parent] = _workload_of(*parent, label_of(one, POD_TEMPLATE_HASH), keys)
            if known[parent] in keys:
                mine[known[parent]].append(one)
    return mine


def _workload_of(kind: str, namespace: str, name: str, template_hash: str | None, keys: Collection[str]) -> str:
    key = f"{kind}/{namespace}/{name}"
    if kind == "ReplicaSet" and key not in keys:
        # A Deployment's ReplicaSets are nowhere written down; their names tell whose they are.
        return f"Deployment/{namespace}/{name.removesuffix(f'-{template_hash}')}"
    return key


def _is_moving(scene: ReconcileContext, step: ReconcileResult) -> bool:
    """Whether anything of this step is yet to happen, so that the next one may find more to do.

    Else the rest of it is for nodes that this run does not write to, and no waiting helps.
    """
    wanted = {pod.key for pod in step.pods}
    if any(one.key not in wanted and scene.can_change(one) for one in scene.mine):
        return True
    return any(_is_awaited(scene, pod) for pod in step.pods)


def _is_awaited(scene: ReconcileContext, pod: Pod) -> bool:
    one = scene.find(pod.name)
    home = scene.nodes.get(one.node if one else pod.template.node_name or "")
    if home is not None and not home.is_managed:
        return False
    if one is None or (pod.pinned is None and revision_of(one) != pod.revision):
        return True
    return one.phase not in ("Succeeded", "Failed") if pod.until == "Ended" else not scene.is_available(one)


def _each_once(pods: list[Pod]) -> list[Pod]:
    """One that stays as it was makes way for a new one of the same name."""
    new = {pod.key for pod in pods if pod.pinned is None}
    return [pod for pod in pods if pod.pinned is None or pod.key not in new]

"""Bare pods that a controller's selector matches: a ReplicaSet, or a ReplicationController, takes them for its own.

pkg/controller/controller_ref_manager.go: who has no controller and matches is adopted, as long as it has not ended.
A Deployment's ReplicaSets ask for a hash besides, which no written pod has; a StatefulSet asks for a name of its own
pattern, which two cannot have; a Job for a label that is its alone. A DaemonSet adopts as well, and then replaces the
pod, which has no revision: here the pod that is written down stays, and a note says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..model import Pod, Present, Workload
from ..scheduler.model import Selector

_ENDED = ("Succeeded", "Failed")
_ADOPTING = ("ReplicaSet", "ReplicationController")


def adopt(
    pods: Sequence[Pod], workloads: Sequence[Workload], present: Mapping[str, Present]
) -> tuple[list[Pod], Counter[str], list[str]]:
    """The bare pods with their owners, how many of them each workload has, and what there is to be said.

    Of two that match the first in the manifests has it. What is more than ``replicas`` is not made: a ReplicaSet would
    take it away at once.
    """
    replica_sets = [item for item in workloads if item.kind in _ADOPTING]
    adopted: Counter[str] = Counter()
    kept: list[Pod] = []
    surplus: dict[str, list[str]] = {}
    for pod in pods:
        owner = next((item for item in replica_sets if _matches(item, pod)), None)
        if owner is None or _has_ended(pod, present):
            kept.append(pod)
        elif adopted[owner.key] < owner.replicas:
            adopted[owner.key] += 1
            kept.append(replace(pod, owner=owner.key, controller=f"{owner.kind}/{owner.name}"))
        else:
            surplus.setdefault(owner.key, []).append(pod.key)
    told = [*_told_surplus(replica_sets, surplus), *_told_daemons(workloads, pods)]
    return kept, adopted, [*told, *_told_deployments(workloads, replica_sets)]


def _matches(item: Workload, pod: Pod) -> bool:
    """An empty selector, which would match everything, is a mistake that is told elsewhere."""
    same_place = item.namespace == pod.namespace and item.selector != Selector()
    return same_place and item.selector.matches(pod.template.labels)


def _has_ended(pod: Pod, present: Mapping[str, Present]) -> bool:
    one = present.get(pod.key)
    return one is not None and one.phase in _ENDED


def _told_surplus(replica_sets: Sequence[Workload], surplus: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{item.kind} {item.namespace}/{item.name} adopts the pods that its selector matches and wants "
        f"{item.replicas}; deleted, as too many: {', '.join(surplus[item.key])}"
        for item in replica_sets
        if item.key in surplus
    ]


def _told_daemons(workloads: Sequence[Workload], pods: Sequence[Pod]) -> list[str]:
    return [
        f"DaemonSet {item.namespace}/{item.name}: its selector matches {', '.join(found)}, which on a cluster it would "
        "adopt and replace"
        for item in workloads
        if item.kind == "DaemonSet" and (found := [pod.key for pod in pods if _matches(item, pod)])
    ]


def _told_deployments(workloads: Sequence[Workload], replica_sets: Sequence[Workload]) -> list[str]:
    """A Deployment adopts ReplicaSets, by their own labels, and scales those of another template down."""
    return [
        f"Deployment {item.namespace}/{item.name}: its selector matches the ReplicaSet {', '.join(found)}, which on a "
        "cluster it would adopt and scale down"
        for item in workloads
        if item.kind == "Deployment"
        and item.selector != Selector()
        and (
            found := [
                one.name
                for one in replica_sets
                if one.kind == "ReplicaSet" and one.namespace == item.namespace and item.selector.matches(one.labels)
            ]
        )
    ]

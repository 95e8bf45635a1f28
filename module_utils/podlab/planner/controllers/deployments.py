"""Deployment and ReplicaSet: so many pods of one template.

A rollout is that of Kubernetes' deployment controller (pkg/controller/deployment: rolling.go, recreate.go and
NewRSNewReplicas in util; release 1.30), one step for each time that pods are looked at. Nothing is remembered between
two steps but the pods themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..manifests.names import replica_name
from ..model import Pod, Present, Workload
from .context import POD_TEMPLATE_HASH, ReconcileContext, ReconcileResult, generated, label_of, revision_of


def deployment(scene: ReconcileContext) -> ReconcileResult:
    item = scene.workload
    names = _names_of_replicas(scene)
    template = replace(item.template, labels={**item.template.labels, POD_TEMPLATE_HASH: item.template_hash})
    controller = f"ReplicaSet/{item.name}-{item.template_hash}"

    def made(names: Sequence[str]) -> list[Pod]:
        return [scene.pod(name, template, controller) for name in names]

    def is_old(one: Present) -> bool:
        return one.row is not None and label_of(one, POD_TEMPLATE_HASH) != item.template_hash

    old = [one for one in scene.mine if is_old(one) and scene.can_stay(one)]
    if not old:
        return ReconcileResult(made(names))
    there = {name: one for name in names if (one := scene.find(name)) and not is_old(one)}
    if item.strategy == "Recreate":
        # The old ones go first, all of them; those that come have to wait for it.
        return ReconcileResult(made(list(there)), _progress(scene, len(there)))
    ready = [one for one in old if scene.is_available(one)]
    unready = [one for one in old if not scene.is_available(one)]
    available = sum(map(scene.is_available, there.values()))
    count, stay_ready, stay_unready = rolling(item, len(there), available, len(ready), len(unready))
    chosen = set(there)
    for name in names:
        if len(chosen) >= count:
            break
        chosen.add(name)
    stay = {one.key for one in [*_last(scene, ready, stay_ready), *_last(scene, unready, stay_unready)]}
    kept = [scene.pinned(one) for one in sorted(old, key=lambda one: one.key) if one.key in stay]
    pods = [*made([name for name in names if name in chosen]), *kept]
    return ReconcileResult(pods, _progress(scene, count) if kept or count < item.replicas else "")


def rolling(item: Workload, new: int, available: int, ready: int, unready: int) -> tuple[int, int, int]:
    """How many new pods there shall be, and how many old ones stay: of those that are ready, and of the others.

    :param new: new pods that are there; ``available`` of them are ready.
    :param ready: old pods that are ready; ``unready`` are not.

    Never more than ``replicas + max_surge`` pods, never less than ``replicas - max_unavailable`` ready ones as far as
    it depends on this. Kubernetes looks again after each scaling without waiting; so does the loop.
    """
    wanted = item.replicas
    unavailable = min(item.max_unavailable or (0 if item.max_surge else 1), wanted)
    least, most = wanted - unavailable, wanted + item.max_surge
    while True:
        before = new, ready, unready
        # NewRSNewReplicas: as many as there is room for.
        new += max(min(wanted - new, most - new - ready - unready), 0)
        # reconcileOldReplicaSets: pods that are not ready go first. They serve no requests, and may never get ready.
        spare = max(new + ready + unready - least - (new - available), 0)
        unready -= min(unready, spare)
        if spare:
            ready -= min(ready, max(available + ready - least, 0))
        if (new, ready, unready) == before:
            return before


def _last(scene: ReconcileContext, old: Sequence[Present], count: int) -> list[Present]:
    """Who of the old ones stays longest: those that this run cannot send away, then the youngest revision."""
    created_at: dict[str | None, str] = {}
    for one in old:
        assert one.row is not None  # or its age would be unknown
        created = str(one.row["object"]["metadata"].get("creationTimestamp", ""))
        revision = label_of(one, POD_TEMPLATE_HASH)
        created_at[revision] = min(created_at.get(revision, created), created)
    by_name = sorted(old, key=lambda one: one.key)
    by_age = sorted(by_name, key=lambda one: created_at[label_of(one, POD_TEMPLATE_HASH)], reverse=True)
    return sorted(by_age, key=scene.can_change)[:count]


def _names_of_replicas(scene: ReconcileContext) -> list[str]:
    """Of all replicas, also of those that cannot come yet: a name must not depend on how far a rollout is."""
    item = scene.workload
    return [
        scene.names.make(
            item,
            lambda attempt, ordinal=ordinal: replica_name(  # type: ignore[misc]
                item.namespace, item.name, item.template_hash, ordinal, attempt
            ),
        )
        for ordinal in range(item.replicas)
    ]


def _progress(scene: ReconcileContext, count: int) -> str:
    return scene.titled(f"{count} of {scene.workload.replicas} replaced")


def replica_set(scene: ReconcileContext) -> ReconcileResult:
    """Without revisions: a changed template is for pods to come, those that are there stay as they are.

    Bare pods that it has adopted count, and come before its own: their names are written in a manifest.
    """
    item = scene.workload
    pods = []
    for ordinal in range(item.replicas - scene.adopted):
        name = scene.names.make(
            item,
            lambda attempt, ordinal=ordinal: generated(  # type: ignore[misc]
                item.name, item.kind, item.namespace, item.name, ordinal, attempt
            ),
        )
        there = scene.find(name)
        if there and there.row and revision_of(there) != item.template_hash and scene.can_stay(there):
            pods.append(scene.pinned(there))
        else:
            pods.append(scene.pod(name, item.template, revision=item.template_hash))
    return ReconcileResult(pods)

"""DaemonSet: a pod for each node that takes one.

Which nodes do, and the order of an update, are as in pkg/controller/daemon of Kubernetes 1.30 (NodeShouldRunDaemonPod
and rollingUpdate).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..inputs.host import Host
from ..model import PodTemplate, Present
from ..scheduler.filters import may_stay, objection
from ..scheduler.model import Toleration
from .context import REVISION_HASH, ReconcileContext, ReconcileResult, generated, label_of

_CONDITIONS = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


@dataclass
class NodePods:
    """One node that takes a pod: who is there with the template of now, and who with an older one."""

    node: Host
    name: str
    new: Present | None
    old: Present | None
    new_is_available: bool


def daemon_set(scene: ReconcileContext) -> ReconcileResult:
    item = scene.workload
    template = _tolerant(item.template)
    template = replace(template, labels={**template.labels, REVISION_HASH: item.template_hash})
    # Of two on one node the one that is ready counts.
    old = {
        one.node: one
        for one in sorted(scene.mine, key=lambda one: (scene.is_available(one), one.key))
        if label_of(one, REVISION_HASH) != item.template_hash and scene.can_stay(one)
    }
    spots = []
    for node in scene.nodes.values():
        name = scene.names.make(
            item,
            lambda attempt, node=node: generated(  # type: ignore[misc]
                item.name, item.namespace, item.name, item.template_hash, node.name, attempt
            ),
        )
        new = scene.find(name)
        if new and new.node != node.name:
            new = None
        # Who runs there stays when a taint NoSchedule comes.
        if objection(template, node) is None or (new and may_stay(template, node)):
            available = new is not None and scene.is_available(new)
            spots.append(NodePods(node, name, new, old.get(node.name), available))
    come = _coming(scene, spots)
    pods = []
    left = 0
    for spot in spots:
        if spot.new or spot.node.name in come:
            pods.append(scene.pod(spot.name, replace(template, node_name=spot.node.name)))
        if spot.old and not _goes(scene, spot, spot.node.name in come):
            pods.append(scene.pinned(spot.old))
            left += 1
    words = scene.titled(f"{len(spots) - left} of {len(spots)} replaced") if left else ""
    return ReconcileResult(pods, words)


def _coming(scene: ReconcileContext, spots: list[NodePods]) -> set[str]:
    """Nodes that get a new pod now: those without any, and as many others as may be updated at once."""
    surge, unavailable = _limits(scene, len(spots))
    empty = {spot.node.name for spot in spots if not spot.new and not spot.old}
    updatable = [spot for spot in spots if spot.old and not spot.new and spot.node.is_managed]
    # An old pod that is not ready can be replaced at once: it gets no traffic.
    broken = {spot.node.name for spot in updatable if spot.old and not scene.is_available(spot.old)}
    sound = [spot.node.name for spot in updatable if spot.node.name not in broken]
    if surge:
        under_way = sum(1 for spot in spots if spot.old and spot.new and not spot.new_is_available)
        room = surge - under_way
    else:
        missing = sum(1 for spot in spots if (spot.new or not spot.old) and not spot.new_is_available)
        room = unavailable - missing
    return empty | broken | set(sound[: max(room, 0)])


def _goes(scene: ReconcileContext, spot: NodePods, is_replaced: bool) -> bool:
    """Whether the old pod of a node goes now. Where there is a surge it waits until the new one is ready."""
    if spot.new:
        return spot.new_is_available
    return is_replaced and not _limits(scene, 1)[0]


def _limits(scene: ReconcileContext, nodes: int) -> tuple[int, int]:
    """maxSurge and maxUnavailable in pods: the one that is not 0 may be a part of the nodes, rounded up."""
    item = scene.workload
    some = max(-(-item.percent_of_nodes * nodes // 100), 1)
    if item.max_surge and not item.max_unavailable:
        return (some if item.percent_of_nodes else item.max_surge), 0
    return 0, (some if item.percent_of_nodes else max(item.max_unavailable, 1))


def _tolerant(template: PodTemplate) -> PodTemplate:
    """With the tolerations that the DaemonSet controller adds
    (https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations)."""
    conditions = [*_CONDITIONS, *([("network-unavailable", "NoSchedule")] if template.host_network else [])]
    added = [Toleration(f"node.kubernetes.io/{key}", "Exists", "", effect) for key, effect in conditions]
    shown = [{"key": one.key, "operator": one.operator, "effect": one.effect} for one in added]
    spec = {**template.spec, "tolerations": [*(template.spec.get("tolerations") or ()), *shown]}
    return replace(template, tolerations=(*template.tolerations, *added), spec=spec)

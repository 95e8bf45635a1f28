"""What speaks against a node for a pod, in kube-scheduler's words: what the node alone decides.

The order of asking is the scheduler's own (its default plugins: NodeName, TaintToleration, NodeAffinity); one reason a
node is told. What depends on the pods that are there is in ``interpod``.
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..inputs.host import Host
from ..model import PodTemplate
from .model import Toleration

Taint = tuple[str, str, str]
"""key, value, effect"""

OTHER_NODE = "node(s) didn't match the requested node name"
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
TAINT = "node(s) had untolerated taint "


def objection(template: PodTemplate, node: Host) -> str | None:
    """Why a node is not for a new pod, or None."""
    if template.node_name is not None:
        # Who names a node goes past the scheduler on Kubernetes too: nobody asks for its selector or for
        # NoSchedule. The kubelet itself sends away who does not tolerate NoExecute.
        if template.node_name != node.name:
            return OTHER_NODE
        return _taint(untolerated(template, node, ("NoExecute",)))
    taint = _taint(untolerated(template, node, ("NoSchedule", "NoExecute")))
    return taint or (None if matches_selector(template, node) else SELECTOR)


def may_stay(template: PodTemplate, node: Host) -> bool:
    """Whether a pod that runs there may go on: NoSchedule is for new ones.

    A nodeSelector or a required nodeAffinity that does not match any more is one thing that Kubernetes bears and podlab
    does not: there the template cannot be changed under a running pod, here the manifest is the truth.
    """
    if untolerated(template, node, ("NoExecute",)):
        return False
    if template.node_name is not None:
        return template.node_name == node.name
    return matches_selector(template, node)


def matches_selector(template: PodTemplate, node: Host) -> bool:
    """``nodeSelector`` and what ``nodeAffinity`` requires."""
    affinity = template.node_affinity
    if not template.node_selector and affinity.required is None:
        return True
    labels = node.all_labels()
    return template.node_selector.items() <= labels.items() and affinity.admits(node.name, labels)


def untolerated(template: PodTemplate, node: Host, effects: Collection[str]) -> list[Taint]:
    """The node's taints of these effects that the pod does not tolerate."""
    if not node.taints:
        return []
    return [taint for taint in node.taints if taint[2] in effects and not _is_tolerated(taint, template.tolerations)]


def _is_tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    key, value, effect = taint
    return any(
        wish.effect in ("", effect)
        and (wish.key == key or (not wish.key and wish.operator == "Exists"))
        and (wish.operator == "Exists" or wish.value == value)
        for wish in tolerations
    )


def _taint(taints: list[Taint]) -> str | None:
    if not taints:
        return None
    key, value, _ = taints[0]
    return f"{TAINT}{{{key}: {value}}}"

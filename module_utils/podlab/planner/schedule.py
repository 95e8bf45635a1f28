"""Which pod runs on which node."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from .cluster import Host
from .model import Invalid, Pod


@dataclass
class Placement:
    """Pod key -> node, and the pods that wait for a node that this run does not see."""

    nodes: dict[str, str]
    waiting: list[str] = field(default_factory=list)


def place(pods: Sequence[Pod], nodes: Sequence[Host], room: Mapping[str, int], present: Mapping[str, str]) -> Placement:
    """Give every pod a node.

    :param room: addresses that each node has for pods, those in use included.
    :param present: where pods run now. A pod stays as long as its node is in the inventory and still fits
        its ``nodeName`` and ``nodeSelector``, also while the node cannot be reached.
    :raises Invalid: an unknown ``nodeName``, and pods that no node can take, in the scheduler's words.

    New pods go where the fewest of their owner's replicas are, then to the node with the fewest pods,
    then to the first of the inventory: the default spreading of kube-scheduler without its weights
    (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints).
    """
    by_name = {node.name: node for node in nodes}
    problems: list[str] = []
    placement = Placement({})
    for pod in pods:
        home = by_name.get(present.get(pod.key, ""))
        if home and not _objection(pod, home):
            placement.nodes[pod.key] = home.name
    total = Counter(placement.nodes.values())
    for owner, group in groupby(pods, key=lambda pod: (pod.owner or pod.key, pod.template.node_name)):
        siblings = list(group)
        _place_group(siblings, owner[1], nodes, room, total, placement, problems)
    if problems:
        raise Invalid(problems)
    return placement


def _place_group(
    siblings: Sequence[Pod],
    node_name: str | None,
    nodes: Sequence[Host],
    room: Mapping[str, int],
    total: Counter[str],
    placement: Placement,
    problems: list[str],
) -> None:
    new = [pod for pod in siblings if pod.key not in placement.nodes]
    if not new:
        return
    if node_name and node_name not in {node.name for node in nodes}:
        names = ", ".join(node.name for node in nodes)
        problems += [
            f'{pod.where}: The Pod "{pod.name}" is invalid: spec.nodeName: Invalid value: "{node_name}": '
            f"no such node; the inventory has {names}"
            for pod in new[:1]
        ]
        return
    eligible = [node for node in nodes if not _objection(new[0], node)]
    seen = [node for node in eligible if node.observation is not None]
    mine = Counter(placement.nodes[pod.key] for pod in siblings if pod.key in placement.nodes)
    order = {node.name: index for index, node in enumerate(nodes)}
    # Only this owner's pods move while its heap is in use, so the counts in it stay true.
    heap = [(mine[node.name], total[node.name], order[node.name], node.name) for node in seen]
    heapq.heapify(heap)
    for pod in new:
        while heap and total[heap[0][3]] >= room[heap[0][3]]:
            heapq.heappop(heap)
        if heap:
            own, all_, index, name = heap[0]
            heapq.heapreplace(heap, (own + 1, all_ + 1, index, name))
            placement.nodes[pod.key] = name
            total[name] += 1
        elif len(seen) < len(eligible):
            placement.waiting.append(pod.key)
        else:
            problems.append(_unschedulable(pod, nodes))
            return  # its siblings have the same reason


def _objection(pod: Pod, node: Host) -> str | None:
    """Why a node is not for a pod, in kube-scheduler's words, or None."""
    if pod.template.node_name is not None:
        # Who names a node goes past the scheduler on Kubernetes too: its selector is not asked.
        return None if pod.template.node_name == node.name else "node(s) didn't match the requested node name"
    labels = node.all_labels()
    if any(labels.get(key) != value for key, value in pod.template.node_selector.items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def _unschedulable(pod: Pod, nodes: Iterable[Host]) -> str:
    nodes = list(nodes)
    reasons = Counter(_objection(pod, node) or "node(s) had no IP addresses available in range set" for node in nodes)
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    selector = ""
    if pod.template.node_selector:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(pod.template.node_selector.items()))
        selector = f" (spec.nodeSelector {wanted}; labels are set with node_labels in the inventory)"
    return f'{pod.where}: The Pod "{pod.name}" cannot be scheduled: 0/{len(nodes)} nodes are available: {words}.{selector}'

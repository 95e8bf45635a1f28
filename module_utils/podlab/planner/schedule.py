"""Which pod runs on which node."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
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
    placement = Placement({})
    for pod in pods:
        home = by_name.get(present.get(pod.key, ""))
        if home and not _objection(pod, home):
            placement.nodes[pod.key] = home.name
    board = _Board(nodes, room, Counter(placement.nodes.values()))
    problems: list[str] = []
    for _, group in groupby(pods, key=lambda pod: pod.owner or pod.key):
        siblings = list(group)
        new = [pod for pod in siblings if pod.key not in placement.nodes]
        if not new:
            continue
        name = new[0].template.node_name
        if name is not None and name not in by_name:
            problems.append(
                f'{new[0].where}: The Pod "{new[0].name}" is invalid: spec.nodeName: Invalid value: "{name}": '
                f"no such node; the inventory has {', '.join(by_name)}"
            )
            continue
        mine = Counter(placement.nodes[pod.key] for pod in siblings if pod.key in placement.nodes)
        chosen = board.spread(new, mine)
        placement.nodes.update(zip((pod.key for pod in new), chosen, strict=False))
        left = new[len(chosen) :]
        if left and board.may_wait(left[0]):
            placement.waiting += [pod.key for pod in left]
        elif left:
            problems.append(_unschedulable(left[0], nodes))  # its siblings have the same reason
    if problems:
        raise Invalid(problems)
    return placement


class _Board:
    """How many pods each node has. Pods with the same wishes share one queue of nodes, the emptiest in front.

    A node is looked at when a pod comes its way, not once for each owner: the work grows with the pods.
    """

    def __init__(self, nodes: Sequence[Host], room: Mapping[str, int], total: Counter[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.order = {node.name: index for index, node in enumerate(nodes)}
        self.room = room
        self.total = total
        self.queues: dict[object, list[tuple[int, int, str]]] = {}

    def may_wait(self, pod: Pod) -> bool:
        """Whether a node that this run does not write to could take the pod."""
        return any(not node.is_managed for node in self._eligible(pod))

    def spread(self, pods: Sequence[Pod], mine: Counter[str]) -> list[str]:
        """A node for each of these pods of one owner, as far as there is room; ``mine`` counts their siblings."""
        queue = self._queue(pods[0])
        used = [
            (own, self.total[name], self.order[name], name) for name, own in mine.items() if self.nodes[name].is_managed
        ]
        heapq.heapify(used)
        chosen: list[str] = []
        out: list[str] = []  # of the queue, as long as this owner's pods are placed
        for _ in pods:
            name = self._unused(queue, mine, out) or self._least_used(used)
            if name is None:
                break
            self.total[name] += 1
            mine[name] += 1
            chosen.append(name)
            heapq.heappush(used, (mine[name], self.total[name], self.order[name], name))
        for name in out:
            heapq.heappush(queue, (self.total[name], self.order[name], name))
        return chosen

    def _unused(self, queue: list[tuple[int, int, str]], mine: Mapping[str, int], out: list[str]) -> str | None:
        """The emptiest node without any of these pods."""
        while queue:
            count, index, name = queue[0]
            if self._is_full(name):
                heapq.heappop(queue)
            elif count != self.total[name]:  # others have come since
                heapq.heapreplace(queue, (self.total[name], index, name))
            else:
                heapq.heappop(queue)
                out.append(name)
                if name not in mine:
                    return name
        return None

    def _least_used(self, used: list[tuple[int, int, int, str]]) -> str | None:
        while used:
            name = heapq.heappop(used)[-1]
            if not self._is_full(name):
                return name
        return None

    def _is_full(self, name: str) -> bool:
        return self.total[name] >= self.room[name]

    def _queue(self, pod: Pod) -> list[tuple[int, int, str]]:
        wishes = (pod.template.node_name, *sorted(pod.template.node_selector.items()))
        if wishes not in self.queues:
            seen = [node.name for node in self._eligible(pod) if node.is_managed]
            self.queues[wishes] = [(self.total[name], self.order[name], name) for name in seen]
            heapq.heapify(self.queues[wishes])
        return self.queues[wishes]

    def _eligible(self, pod: Pod) -> list[Host]:
        if pod.template.node_name is not None:
            return [self.nodes[pod.template.node_name]]
        return [node for node in self.nodes.values() if not _objection(pod, node)]


def _objection(pod: Pod, node: Host) -> str | None:
    """Why a node is not for a pod, in kube-scheduler's words, or None."""
    if pod.template.node_name is not None:
        # Who names a node goes past the scheduler on Kubernetes too: its selector is not asked.
        return None if pod.template.node_name == node.name else "node(s) didn't match the requested node name"
    if pod.template.node_selector and not pod.template.node_selector.items() <= node.all_labels().items():
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def _unschedulable(pod: Pod, nodes: Sequence[Host]) -> str:
    reasons = Counter(_objection(pod, node) or "node(s) had no IP addresses available in range set" for node in nodes)
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    selector = ""
    if pod.template.node_selector:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(pod.template.node_selector.items()))
        selector = f" (spec.nodeSelector {wanted}; labels are set with node_labels in the inventory)"
    return (
        f'{pod.where}: The Pod "{pod.name}" cannot be scheduled: 0/{len(nodes)} nodes are available: {words}.{selector}'
    )

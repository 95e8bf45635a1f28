"""Which pod runs on which node."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ..inputs.host import Host
from ..manifests.model import FAILED_SCHEDULING, Wait
from ..model import Pod
from .advice import what_to_do
from .filters import may_stay, objection, untolerated
from .inter_pod_affinity import NO_PORTS, InterPodAffinity, Ports
from .volume_binding import CONFLICT, IN_USE, VolumeBinding

NO_ADDRESS = "node(s) had no IP addresses available in range set"


@dataclass(frozen=True)
class PendingPod:
    """A pod that is not started in this run, and why. ``node`` is empty where none can take it."""

    node: str
    waits: tuple[Wait, ...]


@dataclass
class Placement:
    """Pod key -> node, and the pods that have none: ``waiting`` are those for a node that this run does not see.

    ``claims``: claim key -> node.
    """

    nodes: dict[str, str]
    waiting: list[str] = field(default_factory=list)
    pending: dict[str, PendingPod] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)


def place(
    pods: Sequence[Pod],
    nodes: Sequence[Host],
    capacity: Mapping[str, int],
    present: Mapping[str, str],
    volumes: VolumeBinding | None = None,
) -> Placement:
    """Give every pod a node, as far as one can take it.

    :param capacity: addresses of each node for pods, those in use included; a pod on its node's network takes none.
    :param present: where pods run now. A pod stays while its node is in the inventory, fits its ``nodeName`` and
        ``nodeSelector`` and has no NoExecute taint against it, seen or not. The other constraints are for new pods
        only.
    :param volumes: where claims are; those of new pods are added.

    New pods go where the fewest of their owner's replicas are, then to the node with the fewest pods,
    then to the first of the inventory: the default spreading of kube-scheduler without its weights
    (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints).
    What a pod would rather have comes before that, one wish after the other instead of by weighted sums: no taint
    PreferNoSchedule, a node and pods that it prefers, a domain with few pods.
    Replicas of an older template do not count as siblings: they are about to go.
    A pod whose template waits has its node, and is pending there: others count it, as they will once it runs.
    """
    by_name = {node.name: node for node in nodes}
    board = SchedulerState(pods, nodes, capacity, volumes or VolumeBinding({}, {}))
    placement = Placement({}, claims=board.volumes.homes)
    _stay(pods, by_name, present, board, placement)
    grouped = groupby((pod for pod in pods if pod.pinned is None), key=lambda pod: pod.owner or pod.key)
    groups = [(siblings := [*group], siblings) for _, group in grouped]  # a kept one that is nowhere is gone
    tried: dict[str, int] = {}
    for siblings, due in groups:
        new = [pod for pod in due if pod.key not in placement.nodes]
        if not new:
            continue
        mine = Counter(placement.nodes[pod.key] for pod in siblings if pod.key in placement.nodes)
        for _, alike in groupby(new, key=board.equivalence_key):
            run = list(alike)
            chosen = [] if run[0].template.node_name not in (None, *by_name) else board.spread(run, mine)
            placement.nodes.update(zip((pod.key for pod in run), chosen, strict=False))
            left = run[len(chosen) :]
            if left and _is_drawn(left[0]) and tried.get(left[0].key) != len(placement.nodes):
                tried[left[0].key] = len(placement.nodes)
                groups.append((siblings, left))  # once more, when those that it wants to be with may have a node
            elif left and board.is_deferrable(left[0]):
                placement.waiting += [pod.key for pod in left]
            elif left:
                why = PendingPod("", (board.why_not(left[0]),))  # siblings have the same reason
                placement.pending |= dict.fromkeys((pod.key for pod in left), why)
    _hold_back(pods, by_name, placement)
    return placement


def _hold_back(pods: Sequence[Pod], nodes: Mapping[str, Host], placement: Placement) -> None:
    for pod in pods:
        home = nodes.get(placement.nodes.get(pod.key, ""))
        if pod.template.waits and pod.pinned is None and home is not None and home.is_managed:
            placement.pending[pod.key] = PendingPod(placement.nodes.pop(pod.key), pod.template.waits)


def _stay(
    pods: Sequence[Pod],
    nodes: Mapping[str, Host],
    present: Mapping[str, str],
    board: SchedulerState,
    placement: Placement,
) -> None:
    """Pods that stay where they are. Who is kept cannot move; only then may others claim what they ask for."""
    for pod in (*(pod for pod in pods if pod.pinned is not None), *(pod for pod in pods if pod.pinned is None)):
        home = nodes.get(present.get(pod.key, ""))
        if home and (pod.pinned is not None or (may_stay(pod.template, home) and not board.taken_from(pod, home.name))):
            placement.nodes[pod.key] = home.name
            board.put(pod, home.name)


def _is_drawn(pod: Pod) -> bool:
    return any(not term.weight for term in pod.template.affinity)


class SchedulerState:
    """What each node has. Pods with the same plain constraints share one queue of nodes, the emptiest in front.

    A node is looked at when a pod comes its way, not once for each owner: the work grows with the pods. Only a pod
    that asks for more than a name, a selector and tolerations has every node looked at.
    """

    def __init__(
        self, pods: Sequence[Pod], nodes: Sequence[Host], capacity: Mapping[str, int], volumes: VolumeBinding
    ) -> None:
        self.volumes = volumes
        self.nodes = {node.name: node for node in nodes}
        self.order = {node.name: index for index, node in enumerate(nodes)}
        self.capacity = capacity
        self.total: Counter[str] = Counter()  # pods
        self.taken: Counter[str] = Counter()  # addresses
        self.prefer_no_schedule = [
            node for node in nodes if any(taint[2] == "PreferNoSchedule" for taint in node.taints)
        ]
        self.ports = Ports()
        self.inter_pod_affinity = InterPodAffinity(pods, nodes)
        self.queues: dict[object, list[tuple[int, int, str]]] = {}
        self._eligible: dict[object, list[Host]] = {}
        self._keys: dict[tuple[str, int], tuple[object, ...]] = {}

    def put(self, pod: Pod, name: str) -> None:
        self.total[name] += 1
        if not _is_on_node(pod):
            self.taken[name] += 1
        self.ports.claim(pod, name)
        self.volumes.bind(pod, name)
        self.inter_pod_affinity.add(pod, name)

    def equivalence_key(self, pod: Pod) -> tuple[object, ...]:
        """The same for pods that may go to the same nodes for the same reasons. The first says whether every node has
        to be looked at."""
        template = pod.template
        known = self._keys.get((pod.namespace, id(template)))
        if known is None:
            plain = (
                template.node_name,
                tuple(sorted(template.node_selector.items())),
                template.node_affinity.required,
                template.tolerations,
                template.host_network,
            )
            needs_full_scan = (
                bool(self.ports.wanted(pod))
                or self.volumes.concern(pod)
                or (
                    template.node_name is None
                    and (
                        self.inter_pod_affinity.concern(pod)
                        or bool(template.node_affinity.preferred)
                        or any(untolerated(template, node, ("PreferNoSchedule",)) for node in self.prefer_no_schedule)
                    )
                )
            )
            known = self._keys[pod.namespace, id(template)] = (
                needs_full_scan,
                *plain,
                id(template) if needs_full_scan else 0,
            )
        return known

    def spread(self, pods: Sequence[Pod], mine: Counter[str]) -> list[str]:
        """A node for each of these like pods of one owner, as far as one fits; ``mine`` counts their siblings."""
        if self.equivalence_key(pods[0])[0]:
            return self._one_by_one(pods, mine)
        queue = self._queue(pods[0])
        name = pods[0].template.node_name
        homes = mine if name is None else [name] if name in mine else []
        used = [
            (mine[home], self.total[home], self.order[home], home) for home in homes if self._may_take(pods[0], home)
        ]
        heapq.heapify(used)
        chosen: list[str] = []
        out: list[str] = []  # of the queue, as long as this owner's pods are placed
        for pod in pods:
            home = self._unused(pod, queue, mine, out) or self._least_used(pod, used)
            if home is None:
                break
            self.put(pod, home)
            mine[home] += 1
            chosen.append(home)
            heapq.heappush(used, (mine[home], self.total[home], self.order[home], home))
        for home in out:
            heapq.heappush(queue, (self.total[home], self.order[home], home))
        return chosen

    def _unused(
        self, pod: Pod, queue: list[tuple[int, int, str]], mine: Mapping[str, int], out: list[str]
    ) -> str | None:
        """The emptiest node without any of these pods."""
        while queue:
            count, index, name = queue[0]
            if self._is_full(name, pod):
                heapq.heappop(queue)
            elif count != self.total[name]:  # others have come since
                heapq.heapreplace(queue, (self.total[name], index, name))
            else:
                heapq.heappop(queue)
                out.append(name)
                if name not in mine:
                    return name
        return None

    def _least_used(self, pod: Pod, used: list[tuple[int, int, int, str]]) -> str | None:
        while used:
            name = heapq.heappop(used)[-1]
            if not self._is_full(name, pod):
                return name
        return None

    def _is_full(self, name: str, pod: Pod) -> bool:
        return self.taken[name] >= self.capacity[name] and not _is_on_node(pod)

    def _may_take(self, pod: Pod, name: str) -> bool:
        return self.nodes[name].is_managed and objection(pod.template, self.nodes[name]) is None

    def _queue(self, pod: Pod) -> list[tuple[int, int, str]]:
        key = self.equivalence_key(pod)
        if key not in self.queues:
            seen = [node.name for node in self._candidates(pod) if node.is_managed]
            self.queues[key] = [(self.total[name], self.order[name], name) for name in seen]
            heapq.heapify(self.queues[key])
        return self.queues[key]

    def _candidates(self, pod: Pod) -> list[Host]:
        """Nodes that do not speak against the pod themselves."""
        key = self.equivalence_key(pod)
        if key not in self._eligible:
            name = pod.template.node_name
            asked = self.nodes.values() if name is None else [self.nodes[name]]
            self._eligible[key] = [node for node in asked if objection(pod.template, node) is None]
        return self._eligible[key]

    # --- pods that need a full scan

    def _one_by_one(self, pods: Sequence[Pod], mine: Counter[str]) -> list[str]:
        chosen: list[str] = []
        managed = [node for node in self._candidates(pods[0]) if node.is_managed]
        template = pods[0].template
        soft = {node.name: len(untolerated(template, node, ("PreferNoSchedule",))) for node in managed}
        drawn = {node.name: template.node_affinity.score(node.name, node.all_labels()) for node in managed}
        for pod in pods:
            against = self._against(pod)
            fitting = [node.name for node in managed if node.name not in against and not self._is_full(node.name, pod)]
            if not fitting:
                break
            anti_affinity, spread = (
                self.inter_pod_affinity.anti_affinity_score(pod),
                self.inter_pod_affinity.spread_score(pod),
            )
            name = min(
                fitting,
                key=lambda name: (
                    soft[name],
                    -drawn[name],
                    anti_affinity.get(name, 0),
                    spread[name],
                    mine[name],
                    self.total[name],
                    self.order[name],
                ),
            )
            self.put(pod, name)
            mine[name] += 1
            chosen.append(name)
        return chosen

    def _against(self, pod: Pod) -> dict[str, str]:
        """Node -> why the pods that are there speak against this one. Addresses are counted elsewhere."""
        found = {name: words for name in self.nodes if (words := self.taken_from(pod, name))}
        if pod.template.node_name is None:
            for name, words in self.inter_pod_affinity.reject_reasons(pod).items():
                found.setdefault(name, words)
        return found

    def taken_from(self, pod: Pod, name: str) -> str:
        """What the pod needs of a node and others have, or have elsewhere; empty if nothing is."""
        if self.ports.clash(pod, name):
            return NO_PORTS
        if self.volumes.is_in_use(pod):
            return IN_USE
        return CONFLICT if self.volumes.conflict(pod, name) else ""

    # --- pods without a node

    def is_deferrable(self, pod: Pod) -> bool:
        """Whether a node that this run does not write to could take the pod."""
        if pod.template.node_name not in (None, *self.nodes):
            return False
        against = self._against(pod)
        return any(not node.is_managed and node.name not in against for node in self._candidates(pod))

    def why_not(self, pod: Pod) -> Wait:
        """What kube-scheduler would say, and what to do about it."""
        if pod.template.node_name not in (None, *self.nodes):
            words = f'spec.nodeName: there is no node "{pod.template.node_name}"'
            return Wait(FAILED_SCHEDULING, words, advice=f"the inventory has {', '.join(self.nodes)}")
        if missing := self.volumes.missing(pod):
            words = ", ".join(f'persistentvolumeclaim "{name}" not found' for name in missing)
            advice = "add it to the manifests"
            return Wait(FAILED_SCHEDULING, f"0/{len(self.nodes)} nodes are available: {words}.", advice=advice)
        against = self._against(pod)
        reasons = Counter(self._reason(pod, node, against) for node in self.nodes.values())
        words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        message = f"0/{len(self.nodes)} nodes are available: {words}."
        return Wait(
            FAILED_SCHEDULING, message, advice="; ".join(what_to_do(pod, list(reasons), self.ports.wanted(pod)))
        )

    def _reason(self, pod: Pod, node: Host, against: Mapping[str, str]) -> str:
        """One for each node, that of the first plugin that would reject it."""
        wrong = objection(pod.template, node)
        if wrong is None and self._is_full(node.name, pod) and against.get(node.name) != NO_PORTS:
            wrong = NO_ADDRESS
        return wrong or against.get(node.name, NO_ADDRESS)


def _is_on_node(pod: Pod) -> bool:
    """Whether a pod is on its node's own network (``hostNetwork``) and takes no address."""
    return bool(pod.pinned.get("host_network")) if pod.pinned is not None else pod.template.host_network

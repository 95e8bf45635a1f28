"""Which pod runs on which node."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ..inputs.host import Host
from ..model import Invalid, Pod
from .filters import TAINT, may_stay, objection, untolerated
from .inter_pod_affinity import IS_REPELLED, NO_PORTS, REPELS, SPREAD, InterPodAffinity, Ports

NO_ADDRESS = "node(s) had no IP addresses available in range set"


@dataclass
class Placement:
    """Pod key -> node, and the pods that wait for a node that this run does not see."""

    nodes: dict[str, str]
    waiting: list[str] = field(default_factory=list)


def place(
    pods: Sequence[Pod], nodes: Sequence[Host], capacity: Mapping[str, int], present: Mapping[str, str]
) -> Placement:
    """Give every pod a node.

    :param capacity: addresses of each node for pods, those in use included; a pod on its node's network takes none.
    :param present: where pods run now. A pod stays while its node is in the inventory, fits its ``nodeName`` and
        ``nodeSelector`` and has no NoExecute taint against it, seen or not. The other constraints are for new pods
        only.
    :raises Invalid: an unknown ``nodeName``, and pods that no node can take, in the scheduler's words.

    New pods go where the fewest of their owner's replicas are, then to the node with the fewest pods,
    then to the first of the inventory: the default spreading of kube-scheduler without its weights
    (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints).
    Preferences come before that, one after the other instead of by weighted sums: taints PreferNoSchedule,
    anti-affinity, topology spread. Replicas of an older template are no siblings: they are about to go.
    """
    by_name = {node.name: node for node in nodes}
    board = SchedulerState(pods, nodes, capacity)
    placement = Placement({})
    # Who is kept cannot move; only then may others claim what they ask for.
    for pod in (*(pod for pod in pods if pod.pinned is not None), *(pod for pod in pods if pod.pinned is None)):
        home = by_name.get(present.get(pod.key, ""))
        if home and (
            pod.pinned is not None or (may_stay(pod.template, home) and not board.ports.clash(pod, home.name))
        ):
            placement.nodes[pod.key] = home.name
            board.put(pod, home.name)
    problems: dict[tuple[str, str], str] = {}  # one each for an owner and a reason: siblings have the same
    for owner, group in groupby(pods, key=lambda pod: pod.owner or pod.key):
        siblings = [pod for pod in group if pod.pinned is None]  # a kept one that is nowhere is gone
        if not (new := [pod for pod in siblings if pod.key not in placement.nodes]):
            continue
        mine = Counter(placement.nodes[pod.key] for pod in siblings if pod.key in placement.nodes)
        for _, alike in groupby(new, key=board.equivalence_key):
            run = list(alike)
            if words := _no_such_node(run[0], by_name):
                problems.setdefault((owner, words), f'{run[0].where}: The Pod "{run[0].name}" {words}')
                continue
            chosen = board.spread(run, mine)
            placement.nodes.update(zip((pod.key for pod in run), chosen, strict=False))
            left = run[len(chosen) :]
            if left and board.is_deferrable(left[0]):
                placement.waiting += [pod.key for pod in left]
            elif left:
                words = board.why_not(left[0])
                problems.setdefault((owner, words), f'{left[0].where}: The Pod "{left[0].name}" {words}')
    if problems:
        raise Invalid(problems.values())
    return placement


def _no_such_node(pod: Pod, nodes: Mapping[str, Host]) -> str:
    name = pod.template.node_name
    if name is None or name in nodes:
        return ""
    return f'is invalid: spec.nodeName: Invalid value: "{name}": no such node; the inventory has {", ".join(nodes)}'


class SchedulerState:
    """What each node has. Pods with the same plain constraints share one queue of nodes, the emptiest in front.

    A node is looked at when a pod comes its way, not once for each owner: the work grows with the pods. Only a pod
    that asks for more than a name, a selector and tolerations has every node looked at.
    """

    def __init__(self, pods: Sequence[Pod], nodes: Sequence[Host], capacity: Mapping[str, int]) -> None:
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
                template.tolerations,
                template.host_network,
            )
            needs_full_scan = bool(self.ports.wanted(pod)) or (
                template.node_name is None
                and (
                    self.inter_pod_affinity.concern(pod)
                    or any(untolerated(template, node, ("PreferNoSchedule",)) for node in self.prefer_no_schedule)
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
        soft = {node.name: len(untolerated(pods[0].template, node, ("PreferNoSchedule",))) for node in managed}
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
        found = {name: NO_PORTS for name in self.nodes if self.ports.clash(pod, name)}
        if pod.template.node_name is None:
            for name, words in self.inter_pod_affinity.reject_reasons(pod).items():
                found.setdefault(name, words)
        return found

    # --- pods without a node

    def is_deferrable(self, pod: Pod) -> bool:
        """Whether a node that this run does not write to could take the pod."""
        against = self._against(pod)
        return any(not node.is_managed and node.name not in against for node in self._candidates(pod))

    def why_not(self, pod: Pod) -> str:
        """What kube-scheduler would say, and what to do about it."""
        against = self._against(pod)
        reasons = Counter(self._reason(pod, node, against) for node in self.nodes.values())
        words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        advice = "".join(f" ({line})" for line in self._advice(pod, list(reasons)))
        return f"cannot be scheduled: 0/{len(self.nodes)} nodes are available: {words}.{advice}"

    def _reason(self, pod: Pod, node: Host, against: Mapping[str, str]) -> str:
        """One for each node, that of the first plugin that would reject it."""
        wrong = objection(pod.template, node)
        if wrong is None and self._is_full(node.name, pod) and against.get(node.name) != NO_PORTS:
            wrong = NO_ADDRESS
        return wrong or against.get(node.name, NO_ADDRESS)

    def _advice(self, pod: Pod, reasons: Sequence[str]) -> list[str]:
        lines = []
        if pod.template.node_selector:
            wanted = ",".join(f"{key}={value}" for key, value in sorted(pod.template.node_selector.items()))
            lines.append(f"spec.nodeSelector {wanted}; labels are set with node_labels in the inventory")
        if any(reason.startswith(TAINT) for reason in reasons):
            lines.append("spec.tolerations lets a pod bear a taint; taints are set with node_taints in the inventory")
        if NO_PORTS in reasons:
            wanted = ", ".join(f"{number}/{protocol}" for protocol, number, _ in self.ports.wanted(pod))
            lines.append(f"host ports {wanted}; one pod of a node can have each")
        if any(reason.startswith(SPREAD) for reason in reasons):
            lines.append("spec.topologySpreadConstraints; whenUnsatisfiable ScheduleAnyway makes a wish of it")
        if REPELS in reasons or IS_REPELLED in reasons:
            lines.append(
                "spec.affinity.podAntiAffinity; it takes one more node, or "
                "preferredDuringSchedulingIgnoredDuringExecution, which is a wish"
            )
        return lines


def _is_on_node(pod: Pod) -> bool:
    """Whether a pod is on its node's own network (``hostNetwork``) and takes no address."""
    return bool(pod.pinned.get("host_network")) if pod.pinned is not None else pod.template.host_network

"""What speaks against a node for a pod: the pods that are there. Host ports, spreading and anti-affinity.

The rules are those of kube-scheduler's plugins NodePorts, PodTopologySpread and InterPodAffinity (release 1.30).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..inputs.host import Host
from ..model import Pod, PodTemplate
from .filters import matches_selector
from .model import AntiAffinity, Selector

NO_PORTS = "node(s) didn't have free ports for the requested pod ports"
SPREAD = "node(s) didn't match pod topology spread constraints"
NO_DOMAIN = f"{SPREAD} (missing required label)"
REPELS = "node(s) didn't match pod anti-affinity rules"
IS_REPELLED = "node(s) didn't satisfy existing pods anti-affinity rules"

HostPort = tuple[str, int, str]
"""protocol, port, address; an empty address is every one of the node"""


def has_ended(pod: Pod) -> bool:
    """A Job's pod that has done its work is still there, and in nobody's way."""
    return pod.pinned is not None and pod.until == "Ended"


# --- host ports -----------------------------------------------------------------------------------------


class Ports:
    """Who holds which port of which node."""

    def __init__(self) -> None:
        self._held: dict[str, dict[tuple[str, int], list[str]]] = defaultdict(lambda: defaultdict(list))
        self._wanted: dict[int, tuple[HostPort, ...]] = {}  # by the template, which replicas share

    def wanted(self, pod: Pod) -> tuple[HostPort, ...]:
        if pod.pinned is not None:
            return () if has_ended(pod) else tuple(_ports_of_spec(pod.pinned["object"]["spec"]))
        found = self._wanted.get(id(pod.template))
        if found is None:
            found = self._wanted[id(pod.template)] = tuple(_ports_of(pod.template))
        return found

    def clash(self, pod: Pod, node: str) -> bool:
        for protocol, port, address in self.wanted(pod):
            holders = self._held[node].get((protocol, port), ())
            if holders and (not address or "" in holders or address in holders):
                return True
        return False

    def claim(self, pod: Pod, node: str) -> None:
        for protocol, port, address in self.wanted(pod):
            self._held[node][protocol, port].append(address)


def _ports_of(template: PodTemplate) -> Iterable[HostPort]:
    sidecars = (container for container in template.init_containers if container.restart_policy == "Always")
    for container in (*template.containers, *sidecars):
        for port in container.ports:
            # On the node's network a container's port is the node's.
            number = port.number if template.host_network else port.host_port
            if number:
                yield port.protocol, number, _address(port.host_ip)


def _ports_of_spec(spec: Mapping[str, Any]) -> Iterable[HostPort]:
    """The same of a pod that runs, from its object."""
    sidecars = [item for item in spec.get("initContainers") or () if item.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            number = port["containerPort"] if spec.get("hostNetwork") else port.get("hostPort")
            if number:
                yield port.get("protocol") or "TCP", number, _address(port.get("hostIP") or "")


def _address(text: str) -> str:
    return "" if text == "0.0.0.0" else text


# --- spreading and anti-affinity ------------------------------------------------------------------------


@dataclass
class _Group:
    """Pods with one template, and how many of them each node has."""

    namespace: str
    template: PodTemplate
    nodes: Counter[str] = field(default_factory=Counter)


class InterPodAffinity:
    """Which pods are where, as far as anybody asks for it; nothing is counted where nobody does."""

    def __init__(self, pods: Sequence[Pod], nodes: Sequence[Host]) -> None:
        self._nodes = nodes
        self._labels = {node.name: node.all_labels() for node in nodes}
        templates = {(pod.namespace, id(pod.template)): pod.template for pod in pods if not has_ended(pod)}
        self._groups: dict[tuple[str, int], _Group] = {}
        self._by_label: dict[object, list[_Group]] = defaultdict(list)
        self._terms: dict[object, list[tuple[AntiAffinity, _Group]]] = defaultdict(list)
        self._matching: dict[tuple[str, int], list[_Group]] = {}
        self._domain_nodes: dict[tuple[int, bool], dict[str, dict[str, str]]] = {}
        if not any(template.spread or template.anti_affinity for template in templates.values()):
            return
        for (namespace, identity), template in templates.items():
            group = self._groups[namespace, identity] = _Group(namespace, template)
            for item in (None, *template.labels.items()):
                self._by_label[namespace, item].append(group)
            for term in template.anti_affinity:
                for name in term.namespaces or (namespace,):
                    self._terms[name, _first_label(term.selector)].append((term, group))

    def add(self, pod: Pod, node: str) -> None:
        group = self._groups.get((pod.namespace, id(pod.template)))
        if group and not has_ended(pod):
            group.nodes[node] += 1

    def concern(self, pod: Pod) -> bool:
        """Whether a pod cares for others, or others for it."""
        return bool(pod.template.spread or pod.template.anti_affinity or self._guards(pod))

    def reject_reasons(self, pod: Pod) -> dict[str, str]:
        """Node -> why its pods, or those of its zone, speak against this one."""
        found = self._crowded(pod)
        for term in pod.template.anti_affinity:
            if not term.weight:
                for node in self._on_nodes(term.namespaces or (pod.namespace,), term.selector):
                    found.setdefault(node, REPELS)
        for term, group in self._guards(pod):
            if not term.weight:
                for node, count in group.nodes.items():
                    if count:
                        found.setdefault(node, IS_REPELLED)
        return found

    def anti_affinity_score(self, pod: Pod) -> dict[str, int]:
        """Node -> how much its pods and this one would rather be apart, by weight; 0 where it is not in there."""
        found: Counter[str] = Counter()
        for term in pod.template.anti_affinity:
            for node, count in self._on_nodes(term.namespaces or (pod.namespace,), term.selector).items():
                found[node] += term.weight * count
        for term, group in self._guards(pod):
            for node, count in group.nodes.items():
                found[node] += term.weight * count
        return found

    def spread_score(self, pod: Pod) -> dict[str, float]:
        """Node -> pods of its domains, for the constraints that are a wish only (ScheduleAnyway)."""
        found: dict[str, float] = dict.fromkeys(self._labels, 0)
        for wish in pod.template.spread:
            if not wish.hard:
                domains = self._domains(pod, wish.key, wish.selector, self._taking(pod, hard=False))
                for node, labels in self._labels.items():
                    # A node of no domain comes last, as with kube-scheduler's score of 0.
                    found[node] += domains.get(labels.get(wish.key, ""), 0) if wish.key in labels else float("inf")
        return found

    def _crowded(self, pod: Pod) -> dict[str, str]:
        """Nodes where one more would make the skew too large (``DoNotSchedule``)."""
        found: dict[str, str] = {}
        taking = self._taking(pod, hard=True)
        for wish in pod.template.spread:
            if not wish.hard:
                continue
            domains = self._domains(pod, wish.key, wish.selector, taking)
            least = min(domains.values(), default=0) if len(domains) >= wish.min_domains else 0
            itself = wish.selector.matches(pod.template.labels)
            for node, labels in self._labels.items():
                if wish.key not in labels:
                    found.setdefault(node, NO_DOMAIN)
                elif domains.get(labels[wish.key], 0) + itself - least > wish.max_skew:
                    found.setdefault(node, SPREAD)
        return found

    def _taking(self, pod: Pod, hard: bool) -> dict[str, dict[str, str]]:
        """The nodes that make up domains: they match the pod's nodeSelector and have each key.

        Taints do not count (``nodeTaintsPolicy: Ignore`` is the default). Nodes that this run cannot write to do.
        """
        asked = id(pod.template), hard
        if asked not in self._domain_nodes:
            keys = {wish.key for wish in pod.template.spread if wish.hard == hard}
            self._domain_nodes[asked] = {
                node.name: labels
                for node in self._nodes
                if keys <= (labels := self._labels[node.name]).keys() and matches_selector(pod.template, node)
            }
        return self._domain_nodes[asked]

    def _domains(
        self, pod: Pod, key: str, selector: Selector, taking: Mapping[str, Mapping[str, str]]
    ) -> dict[str, int]:
        domains = {labels[key]: 0 for labels in taking.values()}
        for node, count in self._on_nodes((pod.namespace,), selector).items():
            if node in taking:
                domains[taking[node][key]] += count
        return domains

    def _on_nodes(self, namespaces: Iterable[str], selector: Selector) -> Counter[str]:
        """Node -> pods there that the selector takes, where there are any."""
        counts: Counter[str] = Counter()
        for namespace in namespaces:
            asked = namespace, id(selector)
            if asked not in self._matching:
                self._matching[asked] = [
                    group
                    for group in self._by_label.get((namespace, _first_label(selector)), ())
                    if selector.matches(group.template.labels)
                ]
            for group in self._matching[asked]:
                counts.update(group.nodes)
        return counts

    def _guards(self, pod: Pod) -> list[tuple[AntiAffinity, _Group]]:
        """Anti-affinity of other pods that means this one."""
        if not self._terms:
            return []
        return [
            (term, group)
            for item in (None, *pod.template.labels.items())
            for term, group in self._terms.get((pod.namespace, item), ())
            if term.selector.matches(pod.template.labels)
        ]


def _first_label(selector: Selector) -> object:
    """One thing that all pods have which a selector takes: few pods are looked at instead of all."""
    return next(iter(selector.labels.items()), None)

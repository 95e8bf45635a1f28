"""Which node each pod runs on, and which hosts cannot have what falls to them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..controllers.stage import Reconciled
from ..ipam.pod_addresses import capacity
from ..model import Pod
from ..preflight.host_checks import Refusals, namespaces_in_the_way
from ..preflight.id_mapping import unmapped
from ..preflight.problems import Problems
from ..preflight.stage import Fleet, merged
from .schedule import Placement, place


@dataclass(frozen=True)
class Scheduled:
    """``by_node`` has the pods of each node in their order. ``on_nodes``: those on their node's own network.

    ``refused``: hosts that lack what a pod there asks for, or have something in its way. What falls to them has to be
    placed again, without them.
    """

    placement: Placement
    by_node: Mapping[str, Sequence[Pod]]
    on_nodes: Collection[str]
    refused: Refusals

    @property
    def nodes(self) -> Mapping[str, str]:
        """Pod key -> node."""
        return self.placement.nodes


def schedule(fleet: Fleet, reconciled: Reconciled, found: Problems) -> Scheduled:
    pods, nodes = reconciled.pods, fleet.nodes
    free = {node.name: capacity(fleet.cidrs[node.name]) if fleet.cidrs else sys.maxsize for node in nodes}
    placed = {key: node for key, (node, _) in fleet.past.items()}
    placement = Placement({})
    if nodes:
        placement = found.unless_invalid(lambda: place(pods, nodes, free, placed), placement)
    problems, refused = unmapped(pods, placement.nodes, fleet.nodes_by_name)
    found += problems
    if not found:  # or a name may be none
        names = {pod.key: pod.netns for pod in pods}
        refused = merged(refused, namespaces_in_the_way(fleet.hosts, names, placement.nodes))
    by_node: dict[str, list[Pod]] = {node.name: [] for node in nodes}
    for pod in pods:
        if pod.key in placement.nodes:
            by_node[placement.nodes[pod.key]].append(pod)
    return Scheduled(placement, by_node, {pod.key for pod in pods if is_on_node(pod)}, refused)


def is_on_node(pod: Pod) -> bool:
    """Whether a pod is on its node's own network (``hostNetwork``)."""
    return bool(pod.pinned.get("host_network")) if pod.pinned else pod.template.host_network

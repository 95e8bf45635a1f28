"""Pods as Services see them, at one moment of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..inputs.host import Host
from ..model import Pod, Present

ZONE = "topology.kubernetes.io/zone"


class Stage(Enum):
    """Which moment of a run endpoints are those of."""

    NOW = "before its pods are made and taken away"
    NEXT = "when that is done"
    ALL_READY = "when all of them are ready besides"


@dataclass(frozen=True)
class Backend:
    """A pod as a Service sees it. ``ports`` are those with a name: (name, protocol) -> number.

    One that is ``is_terminating`` and still ready serves whoever finds nobody else.
    """

    key: str
    address: str
    node: str
    zone: str
    is_ready: bool
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    hostname: str = ""
    subdomain: str = ""
    is_terminating: bool = False

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]


def backends(
    pods: Iterable[Pod],
    placed: Mapping[str, str],
    addresses: Mapping[str, str | None],
    present: Mapping[str, Present],
    nodes: Mapping[str, Host],
    stage: Stage = Stage.NOW,
    *,
    touches_pods: bool = True,
) -> list[Backend]:
    """Pods with an address. One that has ended is none, and one that is yet to be made is not ready.

    What is there and shall not be there (any more) is on its way out, as one that the API server has marked for
    deletion. Where this run does not get at it, it is what it was: nobody has begun to end it.

    :param present: the pods as this run found them. Whether a pod is ready is what that says.
    :param touches_pods: whether this run makes pods and takes them away; it may be asked for other components only.
    """

    def changes(node: str) -> bool:
        return touches_pods and node in nodes and nodes[node].is_managed

    found = []
    planned: set[str] = set()
    for pod in pods:
        planned.add(pod.key)
        home, address, one = placed.get(pod.key, ""), addresses.get(pod.key) or "", present.get(pod.key)
        if one is not None and one.node == home and _stays(one, pod, address):
            if _serves(one):
                found.append(_backend(pod, address, home, _zone(nodes, home), one.ready))
        elif one is not None and _serves(one) and (stage is Stage.NOW or not changes(one.node)):
            # Of one name there is one pod: the other comes when this one has gone.
            found.append(_as_it_runs(one, nodes, is_terminating=changes(one.node)))
        elif home and address:
            is_ready = stage is Stage.ALL_READY and changes(home)
            found.append(_backend(pod, address, home, _zone(nodes, home), is_ready))
    for one in present.values():
        if one.key not in planned and _serves(one) and (stage is Stage.NOW or not changes(one.node)):
            found.append(_as_it_runs(one, nodes, is_terminating=changes(one.node)))
    return found


def _serves(one: Present) -> bool:
    """Whether it is seen, and has not ended."""
    return one.row is not None and one.phase not in ("Succeeded", "Failed")


def _stays(one: Present, pod: Pod, address: str) -> bool:
    """Whether it is the pod that shall be there. Another one is about to be made in its place, if need be with its name
    and address, and until that is ready nobody serves there."""
    if one.row is None or not address or one.row["address"].partition("/")[0] != address:
        return False
    return bool(pod.pinned) or one.row.get("revision", "") == pod.revision


def _zone(nodes: Mapping[str, Host], node: str) -> str:
    return nodes[node].all_labels().get(ZONE, "") if node in nodes else ""


def _as_it_runs(one: Present, nodes: Mapping[str, Host], *, is_terminating: bool) -> Backend:
    assert one.row is not None
    address = one.row["address"].partition("/")[0]
    facts = _facts_of(one.row["object"])
    return Backend(one.key, address, one.node, _zone(nodes, one.node), one.ready, *facts, is_terminating=is_terminating)


def _backend(pod: Pod, address: str, node: str, zone: str, is_ready: bool) -> Backend:
    if pod.pinned:
        # It runs by the template that it was made by.
        return Backend(pod.key, address, node, zone, is_ready, *_facts_of(pod.pinned["object"]))
    template = pod.template
    beside = [one for one in template.init_containers if one.restart_policy == "Always"]
    ports = [(port.name, port.protocol, port.number) for one in (*template.containers, *beside) for port in one.ports]
    hostname, subdomain = template.hostname or "", template.subdomain or ""
    return Backend(pod.key, address, node, zone, is_ready, template.labels, _named(ports), hostname, subdomain)


def _facts_of(body: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[tuple[str, str], int], str, str]:
    """Labels, ports with a name, hostname and subdomain of a pod, out of its object."""
    spec = body["spec"]
    sidecars = [one for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always"]
    written = [port for one in (*spec.get("containers", ()), *sidecars) for port in one.get("ports") or ()]
    ports = [(port.get("name") or "", port.get("protocol") or "TCP", port["containerPort"]) for port in written]
    labels = body["metadata"].get("labels") or {}
    return labels, _named(ports), spec.get("hostname") or "", spec.get("subdomain") or ""


def _named(ports: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """The first of two ports with one name is the one."""
    return {(name, protocol): number for name, protocol, number in reversed(ports) if name}

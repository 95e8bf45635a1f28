"""The module's share for links, addresses and routes, beside those who do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import node, peers
from .course import Course
from .figures import Limit, Row, times_faster, times_peer
from .labs import BenchLab, deployment, lab
from .processes import NotHere

WHAT = "links, addresses and routes of 110 pods on one node, beside ip -batch, CNI plugins, mininet, looped tasks"

PODS, LOOPED = 110, 10
Peer = Callable[[BenchLab, Mapping[str, Any]], float]


def rows(course: Course) -> Iterator[Row]:
    wires: list[float] = []
    whole: list[float] = []
    floor: list[float] = []
    whole_floor: list[float] = []
    phases: dict[str, float] = {}
    for _ in course.rounds(f"{PODS} pods: podlab and ip -batch"):
        with lab("links") as made:
            built = node.build(made, _planned(made), containers=False)
        phases = built["phases"]
        whole.append(sum(phases.values()))
        wires.append(whole[-1] - phases["sandboxes"])
        with lab("links") as made:
            names, links = peers.ip_batch(made, _planned(made), built["wires"], built["insides"])
        floor.append(links)
        whole_floor.append(names + links)
    words = ", ".join(f"{name} {1000 * seconds / PODS:.2f}" for name, seconds in phases.items())
    yield _row("links", wires, times_peer(1.5), "ip -batch", floor, note=f"ms a pod: {words}")
    yield _row("links and namespaces", whole, times_peer(1.5), "ip -batch", whole_floor)
    yield _beside(course, "links", wires, times_peer(1), "CNI bridge", peers.cni)
    yield _beside(course, "links and namespaces", whole, times_peer(1), "mininet", peers.mininet)
    yield _looped(course, whole)


def _planned(made: BenchLab) -> dict[str, Any]:
    return node.rows(made, deployment("pod", PODS))


def _row(what: str, samples: Sequence[float], limit: Limit, peer: str, theirs: Sequence[float], note: str = "") -> Row:
    return Row(f"{PODS} pods: {what}", "s", tuple(samples), limit, peer, tuple(theirs), note=note)


def _beside(course: Course, what: str, samples: Sequence[float], limit: Limit, name: str, peer: Peer) -> Row:
    """podlab's samples beside those of a peer, which may not be here."""
    theirs: list[float] = []
    for _ in course.rounds(f"{PODS} pods: {name}"):
        with lab("links") as made:
            planned = _planned(made)
            try:
                theirs.append(peer(made, planned))
            except NotHere as error:
                return _row(what, samples, limit, name, (), note=str(error))
    return _row(what, samples, limit, name, theirs)


def _looped(course: Course, samples: Sequence[float]) -> Row:
    """Once: it takes as long as all others together."""
    course.say(f"{LOOPED} pods: looped Ansible tasks")
    with lab("links") as made:
        made.has_nodes(1)
        seconds = peers.looped(made, _planned(made), LOOPED, PODS)
    note = f"{LOOPED} pods were measured, and their share taken {PODS / LOOPED:g} times"
    return _row("links and namespaces", samples, times_faster(50), "looped tasks", (seconds,), note)

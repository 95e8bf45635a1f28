"""The module's share for links, addresses and routes, beside those who do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from podlab.configs import PlannedHost

from . import node, peers
from .bench_run import BenchRun
from .figures import Limit, Row, times_faster, times_peer
from .labs import BenchLab, deployment, lab
from .processes import NotHere

WHAT = "links, addresses and routes of 110 pods on one node, beside ip -batch, CNI plugins, mininet, looped tasks"

PODS, LOOPED = 110, 10
LINKS, WHOLE = "links", "links and namespaces"
OTHERS: Mapping[str, tuple[str, Callable[[BenchLab, Mapping[str, Any]], float]]] = {
    # A runtime makes namespaces before it calls a plugin; mininet makes them itself.
    "CNI bridge": (LINKS, peers.cni),
    "mininet": (WHOLE, peers.mininet),
}


@dataclass
class Found:
    """Seconds, a sample a round: of podlab and of ip by what was made, of the others by name."""

    ours: dict[str, list[float]] = field(default_factory=lambda: {LINKS: [], WHOLE: []})
    floor: dict[str, list[float]] = field(default_factory=lambda: {LINKS: [], WHOLE: []})
    others: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in OTHERS})
    missing: dict[str, str] = field(default_factory=dict)  # peer -> why it is not here
    phases: dict[str, float] = field(default_factory=dict)  # of podlab, in the last round


def rows(course: BenchRun) -> Iterator[Row]:
    found = Found()
    for _ in course.rounds(f"{PODS} pods: podlab, ip -batch, {', '.join(OTHERS)}"):
        _round(found)
    words = ", ".join(f"{name} {1000 * seconds / PODS:.2f}" for name, seconds in found.phases.items())
    for what in (LINKS, WHOLE):
        yield _row(found, what, times_peer(1.5), "ip -batch", found.floor[what], note=f"ms a pod: {words}")
    for name, (what, _) in OTHERS.items():
        yield _row(found, what, times_peer(1), name, found.others[name], note=found.missing.get(name, ""))
    yield _looped(course, found)


def _round(found: Found) -> None:
    """Each contender once, one right after the other, each on a bare node of its own."""
    with lab("links") as made:
        built = node.build(made, _planned(made), containers=False)
    found.phases = built["phases"]
    whole = sum(found.phases.values())
    found.ours[WHOLE].append(whole)
    found.ours[LINKS].append(whole - found.phases["sandboxes"])
    with lab("links") as made:
        names, links = peers.ip_batch(made, _planned(made), built["wires"], built["netns_commands"])
    found.floor[LINKS].append(links)
    found.floor[WHOLE].append(names + links)
    for name, (_, peer) in OTHERS.items():
        if name not in found.missing:
            with lab("links") as made:
                try:
                    found.others[name].append(peer(made, _planned(made)))
                except NotHere as error:
                    found.missing[name] = str(error)


def _planned(made: BenchLab) -> PlannedHost:
    return node.rows(made, deployment("pod", PODS))


def _row(found: Found, what: str, limit: Limit, peer: str, theirs: list[float], note: str = "") -> Row:
    paired = len(theirs) == len(found.ours[what])
    samples = tuple(found.ours[what])
    return Row(f"{PODS} pods: {what}", "s", samples, limit, peer, tuple(theirs), paired=paired, note=note)


def _looped(course: BenchRun, found: Found) -> Row:
    """Once: it takes as long as all others together."""
    course.say(f"{LOOPED} pods: looped Ansible tasks")
    with lab("links") as made:
        made.has_nodes(1)
        seconds = peers.looped(made, _planned(made), LOOPED, PODS)
    note = f"{LOOPED} pods were measured, and their share taken {PODS / LOOPED:g} times"
    return _row(found, WHOLE, times_faster(50), "looped tasks", [seconds], note)

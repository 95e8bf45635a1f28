"""What a pod takes beyond its links: time to start, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import memory, node
from .bench_run import BenchRun
from .figures import Row, at_most
from .labs import NETEXEC, SLEEPER, deployment, lab

WHAT = "110 pods on one node, sleeping and serving: time and memory a pod; ./lab get pods with 330"

PODS = 110
LINKS = ("bridge", "links")  # what the benchmark "links" is about


@dataclass
class Found:
    """Milliseconds and MiB a pod."""

    time: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)  # of the last round


def rows(course: BenchRun) -> Iterator[Row]:
    yield from _kind(course, "sleeping", SLEEPER, 25, 6)
    yield from _kind(course, "agnhost netexec", NETEXEC, 60, 12)
    yield _get(course)


def _kind(course: BenchRun, words: str, container: Any, most_time: float, most_memory: float) -> Iterator[Row]:
    found = Found()
    for _ in course.rounds(f"{PODS} pods, {words}"):
        _measure(found, container)
    phases = ", ".join(f"{name} {1000 * seconds / PODS:.1f}" for name, seconds in found.phases.items())
    what = f"{PODS} pods, {words}: "
    yield Row(
        f"{what}a pod, all but links", "ms", tuple(found.time), at_most(most_time, "ms"), note=f"ms a pod: {phases}"
    )
    yield Row(f"{what}PSS a pod", "MiB", tuple(found.pss), at_most(most_memory, "MiB"))
    yield Row(f"{what}RSS a pod", "MiB", tuple(found.rss), at_most(most_memory, "MiB"))


def _measure(found: Found, container: Any) -> None:
    """Memory is what all processes of the node have more than before: supervisors and pauses are among them."""
    with lab("containers") as made:
        planned = node.rows(made, deployment("pod", PODS, container))
        before = memory.of(memory.below(made.lab_init()))
        found.phases = node.build(made, planned, containers=True)["phases"]
        more = memory.of(memory.below(made.lab_init())) - before
    found.time.append(1000 / PODS * sum(seconds for name, seconds in found.phases.items() if name not in LINKS))
    found.pss.append(more.pss / PODS)
    found.rss.append(more.rss / PODS)


def _get(course: BenchRun) -> Row:
    times = []
    with lab("get") as made:
        made.has_nodes(3)
        made.wants(deployment("sleeper", 330))
        course.say("3 nodes x 110 pods, for ./lab get pods")
        made.site()
        for _ in course.rounds("./lab get pods"):
            done = made.verb("get", "pods")
            times.append(done.seconds)
        count = len(done.out.splitlines()) - 1
    return Row(f"./lab get pods, {count} of them", "s", tuple(times), at_most(1.5, "s"))

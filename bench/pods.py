"""A full cluster from nothing, again, one pod more, and away with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import memory
from .bench_run import BenchRun
from .figures import Row, at_most
from .labs import deployment, lab, pod
from .processes import Failed

WHAT = "site.yml without verify over 3 nodes with 110 pods each (the kubelet's limit), and ./lab down"

NODES, PODS = 3, 110


def rows(course: BenchRun) -> Iterator[Row]:
    times: dict[str, list[float]] = defaultdict(list)
    full = deployment("sleeper", NODES * PODS)
    with lab("pods") as made:
        made.has_nodes(NODES)
        for _ in course.rounds(f"{NODES} nodes x {PODS} pods"):
            free = memory.available()
            made.wants(full)
            times["nothing"].append(made.site()[0])
            seconds, changes = made.site()
            if changes:
                raise Failed(f"the same run again has changed {changes} things")
            times["again"].append(seconds)
            times["memory"].append(memory.of(memory.below(made.lab_init())).pss)
            times["taken"].append(free - memory.available())
            made.wants(full, pod("one-more"))
            times["more"].append(made.site()[0])
            times["down"].append(made.verb("down").seconds)
    size = f"{NODES} nodes x {PODS} pods"
    yield Row(f"{size}, from nothing", "s", tuple(times["nothing"]), at_most(12, "s"))
    yield Row("the same run again, changed=0", "s", tuple(times["again"]), at_most(4, "s"))
    yield Row("one pod added", "s", tuple(times["more"]), at_most(5, "s"))
    yield Row("./lab down", "s", tuple(times["down"]), at_most(2, "s"))
    yield Row("memory of all its processes (PSS)", "MiB", tuple(times["memory"]), at_most(2048, "MiB"))
    yield Row(
        "memory that the machine has less (MemAvailable)",
        "MiB",
        tuple(times["taken"]),
        at_most(2048, "MiB"),
        note="with what the kernel needs for namespaces, links and rules, and with whatever else runs here meanwhile",
    )

"""How much memory processes take (proc_pid_smaps_rollup(5))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Memory:
    """MiB. ``pss`` divides what several processes share among them; ``rss`` counts it for each."""

    pss: float
    rss: float
    processes: int

    def __sub__(self, other: Memory) -> Memory:
        return Memory(self.pss - other.pss, self.rss - other.rss, self.processes - other.processes)


def below(root: int) -> list[int]:
    """A process and all that have come from it. What loses its parent falls to the init of its PID namespace, so
    nobody gets out of a lab."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def of(pids: Iterable[int]) -> Memory:
    pss = rss = processes = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            facts = {words[0]: words[1] for line in file if len(words := line.split()) == 3}
            pss += int(facts["Pss:"])
            rss += int(facts["Rss:"])
            processes += 1
    return Memory(pss / 1024, rss / 1024, processes)


def available() -> float:
    """MiB that the kernel thinks it could still give away (proc(5), MemAvailable)."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:")) / 1024

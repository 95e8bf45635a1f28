"""How much memory processes take (proc_pid_smaps_rollup(5))."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Iterator
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
    no process leaves a lab."""
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


# --- while something runs -------------------------------------------------------------------------------


class Watch:
    """The most that all programs started meanwhile take at once: ``here`` on the machine, ``there`` on hosts of labs.

    MiB of RSS, which counts what a process and its fork share for both: more than is really taken, never less. Looked
    at every few milliseconds; a look takes one or two hundredths of that.
    """

    PAUSE = 0.02

    def __init__(self) -> None:
        self.here = self.there = 0.0
        self._before: set[int] = set()

    def __enter__(self) -> Watch:
        self._before = set(_children(os.getpid()))
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _keep_looking(self) -> None:
        while not self._enough.wait(self.PAUSE):
            self.look()

    def look(self) -> None:
        here = there = 0.0
        for pid in _below(os.getpid(), self._before):
            rss, is_inside = _resident(pid)
            here, there = (here, there + rss) if is_inside else (here + rss, there)
        self.here, self.there = max(self.here, here), max(self.there, there)


def _below(root: int, but: Collection[int]) -> Iterator[int]:
    """All that have come from a process, except for some of its children and theirs. Unlike ``below`` it does not look
    at every process of the machine."""
    todo = [pid for pid in _children(root) if pid not in but]
    while todo:
        pid = todo.pop()
        yield pid
        todo += _children(pid)


def _children(pid: int) -> list[int]:
    """Of all its threads (proc_pid_task(5))."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def _resident(pid: int) -> tuple[float, bool]:
    """MiB, and whether it is in a PID namespace further in: on an embedded host. Nothing of one that has ended."""
    facts: dict[str, list[str]] = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        facts = {key: words.split() for key, _, words in (line.partition(":") for line in file)}
    if "VmRSS" not in facts:
        return 0.0, False
    return int(facts["VmRSS"][0]) / 1024, len(facts["NSpid"]) > 1

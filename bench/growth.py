"""Whether a host more costs no more than the one before it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise

from .bench_run import BenchRun
from .figures import Row, times_peer
from .labs import deployment, lab

WHAT = "site.yml without verify over 2, 10 and 50 nodes with 4 pods each: time a host"

SIZES, PODS = (2, 10, 50), 4


def rows(course: BenchRun) -> Iterator[Row]:
    first: dict[int, tuple[float, ...]] = {}
    again: dict[int, tuple[float, ...]] = {}
    for size in SIZES:
        first[size], again[size] = _measured(course, size)
    for words, times in (("from nothing", first), ("unchanged", again)):
        yield Row(f"{SIZES[0]} nodes {words}: a host", "s", _each(times[SIZES[0]], SIZES[0]))
        for smaller, size in pairwise(SIZES):
            yield Row(
                f"{size} nodes {words}: a host",
                "s",
                _each(times[size], size),
                times_peer(1),
                f"{smaller} nodes",
                _each(times[smaller], smaller),
                note=f"{statistics.median(times[size]):.1f} s in all; "
                f"each node beyond {smaller} adds {_marginal(times, smaller, size):.2f} s",
            )


def _measured(course: BenchRun, size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds from nothing and unchanged. The gateway is one more host, and counted as none."""
    first, again = [], []
    with lab("growth") as made:
        made.has_nodes(size)
        made.wants(deployment("sleeper", size * PODS))
        for _ in course.rounds(f"{size} nodes x {PODS} pods"):
            first.append(made.site()[0])
            again.append(made.site()[0])
            made.stop()
    return tuple(first), tuple(again)


def _each(times: tuple[float, ...], size: int) -> tuple[float, ...]:
    return tuple(seconds / size for seconds in times)


def _marginal(times: dict[int, tuple[float, ...]], smaller: int, size: int) -> float:
    """What is left when the fixed part of a run, which every host more seems to make cheaper, is taken away."""
    return (statistics.median(times[size]) - statistics.median(times[smaller])) / (size - smaller)

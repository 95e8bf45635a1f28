"""How long a plan takes, and how much memory, as a cluster grows."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from .bench_run import BenchRun
from .figures import Limit, Row, at_most, times_peer
from .labs import ROOT
from .processes import run

WHAT = "the plan of 10, 100, 1,000 and 5,000 nodes with 30 pods each: seconds and peak memory"

SIZES, PODS = (10, 100, 1_000, 5_000), 30
AGAIN = 1.5  # what stands is read and compared, but not made anew
LINEAR = 1.3  # a pod of a cluster five times as big may cost a little more: caches are not


def rows(course: BenchRun) -> Iterator[Row]:
    measured: dict[int, list[dict[str, Any]]] = {}
    for size in SIZES:
        measured[size] = [_measure(size) for _ in course.rounds(f"{size:,} nodes")]
        last = size == SIZES[-1]
        yield from _pair(size, "", measured[size], at_most(10, "s") if last else None, at_most(1024, "MiB"))
    biggest, one_before = measured[SIZES[-1]], measured[SIZES[-2]]
    yield Row(
        f"{SIZES[-1]:,} nodes: a pod",
        "us",
        _a_pod(biggest),
        times_peer(LINEAR),
        f"{SIZES[-2]:,} nodes",
        _a_pod(one_before),
        note="linear growth is a ratio of 1",
    )
    again = [_measure(SIZES[-2], "again") for _ in course.rounds(f"{SIZES[-2]:,} nodes, when all of it stands")]
    yield from _pair(SIZES[-2], " that stand already", again, None, None)
    yield Row(
        f"{SIZES[-2]:,} nodes that stand already: plan, of a processor",
        "s",
        tuple(each["cpu"] for each in again),
        times_peer(AGAIN),
        "the first plan",
        tuple(each["first_cpu"] for each in again),
        paired=True,
        note="both in one process, one after the other: what else the machine does slows both",
    )


def _measure(nodes: int, *words: str) -> dict[str, Any]:
    """In a process of its own, whose memory is its own."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'module_utils'}:{ROOT}"}
    argv = [sys.executable, "-m", "bench.planning", str(nodes), *words]
    found: dict[str, Any] = json.loads(run(argv, None, environment, ROOT).out)
    return found


def _pair(
    size: int, words: str, found: list[dict[str, Any]], time: Limit | None, memory: Limit | None
) -> Iterator[Row]:
    what = f"{size:,} nodes, {found[0]['pods']:,} pods{words}: "
    seconds, peak = tuple(each["seconds"] for each in found), tuple(each["peak"] for each in found)
    cpu, before, record = (statistics.median(each[key] for each in found) for key in ("cpu", "before", "record"))
    yield Row(f"{what}plan", "s", seconds, time, note=f"{cpu:.1f} s of a processor")
    yield Row(
        f"{what}peak",
        "MiB",
        peak,
        memory,
        note=f"{before:.0f} MiB were there before; the record of one node has {record:.2f} MiB as JSON",
    )


def _a_pod(found: list[dict[str, Any]]) -> tuple[float, ...]:
    return tuple(each["seconds"] / each["pods"] * 1e6 for each in found)

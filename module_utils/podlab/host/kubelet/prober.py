"""A probe, run again and again: pkg/kubelet/prober/worker.go."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from .config import Probe
from .handlers import run_probe
from .http_get import Result
from .waiting import sleep_until


async def probe_results(unit: str, pid: int, probe: Probe, started_at: float) -> AsyncIterator[tuple[Result, bool]]:
    """Every answer, and whether it has come so often in a row that it counts (its threshold).

    That there is no such port to ask never counts, as with the kubelet: nothing is restarted for it or gets ready.

    :param started_at: of the container, on the clock of ``time.monotonic``: the initial delay counts from there.
    """
    times, previous = 0, False
    due = started_at + probe["initial_delay"]
    while True:
        await sleep_until(due)
        due = time.monotonic()
        result = await run_probe(unit, pid, probe, due + probe["timeout"])
        times, previous = (times + 1 if times and result.ok == previous else 1), result.ok
        yield result, times >= probe["success" if result.ok else "failure"] and "lacks" not in probe
        due += probe["period"]

"""Which benchmarks there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import containers, growth, links, plan, pods, service_traffic, services, ssh, throughput
from .bench_run import BenchRun
from .figures import Row


@dataclass(frozen=True)
class Benchmark:
    what: str
    rows: Callable[[BenchRun], Iterator[Row]]


ALL = {
    module.__name__.rpartition(".")[2].replace("_", "-"): Benchmark(module.WHAT, module.rows)
    for module in (pods, links, containers, plan, growth, ssh, throughput, services, service_traffic)
}

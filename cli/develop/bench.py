"""``./lab bench``: run benchmarks one after the other, and show what they find while they find it."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import report
from bench.bench_run import BenchRun
from bench.catalogue import ALL
from bench.figures import Row
from bench.machine import machine
from bench.processes import Failed

from .. import arguments
from ..errors import CommandError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "bench",
        "[NAME...] [--repeat N] [--json FILE] [--markdown] | --list | --show FILE [--markdown]",
        "Measure what podlab takes, beside its peers, in labs of their own. Ends with 1 if a figure is over its limit.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="one of --list; all of them, if left out")
    parser.add_argument("--repeat", type=_times, default=3, metavar="N", help="take each figure N times (3)")
    parser.add_argument("--json", default="", metavar="FILE", help="write there what was measured, beside what it has")
    parser.add_argument("--markdown", action="store_true", help="print the table for a page")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are")
    parser.add_argument("--show", default="", metavar="FILE", help="print the table of an earlier run's JSON")
    known = parser.parse_intermixed_args([*words, *command])
    if known.list:
        return listed()
    if known.show:
        return show(known.show, known.names, markdown=known.markdown)
    return run(known.names, known.repeat, known.json, markdown=known.markdown)


def run(names: Sequence[str], repeat: int, file: str, *, markdown: bool) -> int:
    """Measure, and print the table row by row; 0 if all of it is within its limits.

    :param names: benchmarks; none is all of them.
    :param file: where JSON goes. Benchmarks that it has from earlier runs stay, unless they are run now.
    :param markdown: print the table for a page instead, in the end.
    """
    _must_be_known(names)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means what it says
            signal.signal(number, _end)
    live = sys.stderr if markdown else sys.stdout
    results: report.Results = {}
    failed = []
    print(report.head(), file=live)
    for name in [name for name in ALL if not names or name in names]:
        facts, rows = machine(), list[Row]()
        print(name, file=live, flush=True)
        try:
            for row in ALL[name].rows(BenchRun(repeat)):
                rows.append(row)
                print(report.line(row), file=live, flush=True)
        except Failed as error:
            failed.append(name)
            print(f"error: {name}: {error}", file=sys.stderr)
        results[name] = report.result(rows, facts, repeat)
        if file:  # after each one: an interrupted run keeps its results
            report.write(Path(file), report.merged(report.read(Path(file)), results, list(ALL)))
    if markdown:
        print(report.markdown(results), end="")
    if failed:
        raise CommandError(f"error: these could not be measured: {', '.join(failed)}")
    return int(report.is_over(results))


def show(file: str, names: Sequence[str], *, markdown: bool) -> int:
    """Print the table of an earlier run."""
    _must_be_known(names)
    try:
        results = report.read(Path(file))
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"error: {file}: {error}") from error
    if not results:
        raise CommandError(f"error: {file}: no such file")
    results = {name: body for name, body in results.items() if not names or name in names}
    print(report.markdown(results) if markdown else report.text(results), end="")
    return int(report.is_over(results))


def listed() -> int:
    """Print what there is."""
    width = max(map(len, ALL))
    for name, benchmark in ALL.items():
        print(f"{name:{width}}  {benchmark.what}")
    return 0


def _times(word: str) -> int:
    if int(word) < 1:
        raise argparse.ArgumentTypeError("at least once")
    return int(word)


def _must_be_known(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise CommandError(f"error: there is no benchmark {unknown[0]!r}; there are: {', '.join(ALL)}")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Labs are stopped on the way out. Who presses Ctrl-C twice still wants that."""
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)

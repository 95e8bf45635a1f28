"""The benchmarks' table: for a terminal while it grows, as Markdown, and as JSON. Pure but for the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import OVER, Row, as_json, from_json, shown

HEADS = ("what", "podlab", "peer", "ratio", "limit", "")
WIDTHS = (58, 12, 26, 7, 10, 8)

Results = dict[str, dict[str, Any]]
"""Benchmark -> ``machine``, ``repeat`` and ``rows``, as JSON has it."""


def cells(row: Row) -> list[str]:
    value, peer_value, ratio = row.value, row.peer_value, row.ratio
    theirs = f"{shown(peer_value)} {row.unit}" if peer_value is not None else ""
    return [
        row.what,
        f"{shown(value)} {row.unit}" if value is not None else "",
        f"{row.peer} {theirs}".strip(),
        shown(ratio) if ratio is not None else "",
        row.limit.words if row.limit else "",
        row.verdict,
    ]


def head() -> str:
    return _line(HEADS)


def line(row: Row) -> str:
    """One line of the terminal's table; the note stands below it."""
    note = f"\n      {row.note}" if row.note else ""
    what, *others = cells(row)
    return _line([f"  {what}", *others]) + note


def text(results: Results) -> str:
    """The terminal's table as a whole."""
    lines = [head()]
    for name, body in results.items():
        lines += [name, *map(line, map(from_json, body["rows"]))]
    return "\n".join([*lines, *_machines(results)]) + "\n"


def _line(words: Sequence[str]) -> str:
    return "  ".join(map(str.ljust, words, WIDTHS)).rstrip()


def markdown(results: Results) -> str:
    """The whole table for a page, and below it the machines and the notes."""
    lines = ["| what | podlab | peer | ratio | limit | |", "|---|---|---|---|---|---|"]
    notes: dict[str, None] = {}
    for name, body in results.items():
        lines.append(f"| **{name}** | | | | | |")
        for row in map(from_json, body["rows"]):
            lines.append("| " + " | ".join(cells(row)) + " |")
            if row.note:
                notes[f"- {name}, {row.what}: {row.note}"] = None
    return "\n".join([*lines, "", *_machines(results), *([""] if notes else []), *notes]) + "\n"


def _machines(results: Results) -> Iterator[str]:
    """A sentence a machine; most often there is one."""
    by_machine: dict[str, list[str]] = {}
    for name, body in results.items():
        words = f"{body['machine']['words']}; medians of {body['repeat']}."
        by_machine.setdefault(words, []).append(name)
    for words, names in by_machine.items():
        yield words if len(by_machine) == 1 else f"{', '.join(names)}: {words}"


def result(rows: Sequence[Row], machine: Mapping[str, Any], repeat: int) -> dict[str, Any]:
    return {"machine": dict(machine), "repeat": repeat, "rows": [as_json(row) for row in rows]}


def is_over(results: Results) -> bool:
    """Whether anything is beyond its limit. What could not be measured is not over its limit."""
    return any(row["verdict"] == OVER for body in results.values() for row in body["rows"])


def read(file: Path) -> Results:
    """What an earlier run has written, or nothing."""
    if not file.exists():
        return {}
    found: Results = json.loads(file.read_text("utf-8"))["benchmarks"]
    return found


def merged(before: Results, now: Results, order: Sequence[str]) -> Results:
    """What was measured now takes the place of what was measured before; the others stay."""
    both = {**before, **now}
    return {name: both[name] for name in sorted(both, key=lambda name: (name not in order, [*order, name].index(name)))}


def write(file: Path, results: Results) -> None:
    file.write_text(json.dumps({"benchmarks": results}, indent=1) + "\n", "utf-8")

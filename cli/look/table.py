"""kubectl's tables: its spacing, its ages, its way to line up the text of ``describe``. Pure.

Which columns a kind has stands in ``columns/``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
NONE, UNKNOWN = "<none>", "<unknown>"


@dataclass(frozen=True)
class Kind:
    """One kind of object that ``get`` knows."""

    plural: str  # with its group, as errors have it
    prefix: str  # before the name in ``-o name`` and where kinds stand side by side
    is_namespaced: bool
    columns: tuple[str, ...]
    wide: tuple[str, ...]
    cells: Callable[[Object, datetime.datetime], list[str]]  # of all columns, the wide ones too


def render(rows: Sequence[Sequence[str]]) -> str:
    """Columns three blanks apart, none narrower than three; nothing is put after the last one."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([*map(str.ljust, row[:-1], widths), row[-1]] for row in rows)
    return "".join("   ".join(cells) + "\n" for cells in padded)


def table(
    kind: Kind,
    items: Sequence[Object],
    now: datetime.datetime,
    *,
    wide: bool = False,
    all_namespaces: bool = False,
    headers: bool = True,
    prefixed: bool = False,
    labels: bool = False,
) -> str:
    """What ``kubectl get`` prints for ``items``.

    :param prefixed: say the kind before every name, as where several kinds were asked for.
    :param labels: with a last column of all labels.
    """
    with_namespace = all_namespaces and kind.is_namespaced
    heads = [*kind.columns, *(kind.wide if wide else ()), *(["LABELS"] if labels else [])]
    rows = [["NAMESPACE", *heads] if with_namespace else heads] if headers else []
    for item in items:
        name, *others = kind.cells(item, now)
        if not wide:
            others = others[: len(kind.columns) - 1]
        if labels:
            others = [*others, joined(item["metadata"].get("labels", {}))]
        namespace = [item["metadata"]["namespace"]] if with_namespace else []
        rows.append([*namespace, f"{kind.prefix}/{name}" if prefixed else name, *others])
    return render(rows)


def joined(labels: Mapping[str, str]) -> str:
    """Labels in one line: ``app=web,tier=front``."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def aligned(text: str) -> str:
    """Line up what stands between tabs, two blanks apart.

    The rules are those of Go's text/tabwriter, which ``kubectl describe`` writes through: a column is as wide
    as its widest cell in neighbouring lines that all have it, and what follows the last tab belongs to none.
    """
    lines = [line.split("\t") for line in text.splitlines()]
    _widen(lines, 0)
    return "".join("".join(cells) + "\n" for cells in lines)


def _widen(lines: Sequence[list[str]], column: int) -> None:
    """Pad one column, neighbours at a time, and in each such block the columns to its right."""
    block: list[list[str]] = []
    for line in [*lines, []]:
        if column < len(line) - 1:
            block.append(line)
        elif block:
            width = max(len(cells[column]) for cells in block) + 2
            for cells in block:
                cells[column] = cells[column].ljust(width)
            _widen(block, column + 1)
            block = []


def age(item: Object, now: datetime.datetime) -> str:
    """How long ago an object was made."""
    created = item["metadata"].get("creationTimestamp")
    return since(created, now) if created else UNKNOWN


def since(timestamp: str, now: datetime.datetime) -> str:
    try:
        return human_duration((now - moment(timestamp)).total_seconds())
    except ValueError:  # 31 February: a host's record may hold any text
        return UNKNOWN


def moment(timestamp: str) -> datetime.datetime:
    """The time that Kubernetes has written so."""
    return datetime.datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def human_duration(duration: float) -> str:
    """Seconds as kubectl tells an age: 90s, 5m30s, 2h5m, 3d4h, 2y10d; the longer, the coarser.

    apimachinery's ``duration.HumanDuration``.
    """
    seconds = int(duration)
    if seconds < 0:
        # Clocks of two machines differ a little; more than that is an error worth seeing.
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(major: int, unit: str, minor: int, smaller: str) -> str:
    return f"{major}{unit}{minor}{smaller}" if minor else f"{major}{unit}"

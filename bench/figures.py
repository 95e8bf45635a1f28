"""What a benchmark finds, and whether that is within its limit. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OK, OVER, UNKNOWN, NO_LIMIT = "ok", "over", "not here", ""


@dataclass(frozen=True)
class Limit:
    """Between which bounds a figure shall lie: podlab's own one, or (``of_ratio``) podlab's divided by the peer's."""

    words: str
    of_ratio: bool
    least: float | None = None
    most: float | None = None

    def holds(self, figure: float) -> bool:
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)


def at_most(most: float, unit: str) -> Limit:
    return Limit(f"{shown(most)} {unit}", False, most=most)


def times_peer(most: float) -> Limit:
    return Limit(f"{most:g} x", True, most=most)


def times_faster(times: float) -> Limit:
    """So many times faster than the peer."""
    return Limit(f"1/{times:g} x", True, most=1 / times)


def as_much_as_peer(tolerance: float, *, more_is_better: bool) -> Limit:
    words = f"within {tolerance:.0%}"
    return Limit(words, True, least=1 - tolerance) if more_is_better else Limit(words, True, most=1 + tolerance)


@dataclass(frozen=True)
class Row:
    """One figure: of podlab, and of a peer that does the same where there is one.

    ``samples`` are all that was measured; what is shown is their median. ``note`` says why something was not
    measured, or what else a reader has to know.
    """

    what: str
    unit: str
    samples: tuple[float, ...] = ()
    limit: Limit | None = None
    peer: str = ""
    peer_samples: tuple[float, ...] = ()
    paired: bool = False  # a sample was taken right after its peer's, in the same order
    note: str = ""

    @property
    def value(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None

    @property
    def peer_value(self) -> float | None:
        return statistics.median(self.peer_samples) if self.peer_samples else None

    @property
    def ratio(self) -> float | None:
        """podlab's by the peer's. Of pairs it is the median of their ratios: what slows the machine down for
        a while slows down both of a pair."""
        mine, theirs = self.value, self.peer_value
        if mine is None or not theirs:
            return None
        if self.paired:
            return statistics.median(a / b for a, b in zip(self.samples, self.peer_samples, strict=True))
        return mine / theirs

    @property
    def verdict(self) -> str:
        """``ok``, ``over``, ``not here`` (it could not be measured on this machine), or nothing without a limit."""
        figure = self.ratio if self.limit and self.limit.of_ratio else self.value
        if figure is None:
            return UNKNOWN
        if self.limit is None:
            return UNKNOWN if self.peer and self.peer_value is None else NO_LIMIT
        return OK if self.limit.holds(figure) else OVER


def shown(value: float) -> str:
    """Three digits, as far as they matter: 0.297, 1.05, 12.3, 116, 4,321."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.{2 if abs(value) < 10 else 1}f}".rstrip("0").rstrip(".")


def as_json(row: Row) -> dict[str, Any]:
    """All of a row, with what was worked out from its samples."""
    limit = row.limit and {"words": row.limit.words, "of": "ratio" if row.limit.of_ratio else "value"}
    bounds = {"least": row.limit.least, "most": row.limit.most} if row.limit else {}
    return {
        "what": row.what,
        "unit": row.unit,
        "samples": list(row.samples),
        "value": row.value,
        "peer": row.peer,
        "peer_samples": list(row.peer_samples),
        "peer_value": row.peer_value,
        "paired": row.paired,
        "ratio": row.ratio,
        "limit": {**limit, **bounds} if limit else None,
        "verdict": row.verdict,
        "note": row.note,
    }


def from_json(body: Mapping[str, Any]) -> Row:
    limit = body["limit"]
    return Row(
        what=body["what"],
        unit=body["unit"],
        samples=tuple(body["samples"]),
        limit=limit and Limit(limit["words"], limit["of"] == "ratio", limit["least"], limit["most"]),
        peer=body["peer"],
        peer_samples=tuple(body["peer_samples"]),
        paired=body["paired"],
        note=body["note"],
    )

"""What a pod says of where it may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Toleration:
    """Empty ``key`` with ``Exists`` tolerates everything; empty ``effect`` every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True)
class Selector:
    """A label selector. ``expressions`` are (key, operator, values)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all of it holds; an empty selector matches everything."""
        return self.labels.items() <= labels.items() and all(
            _holds(operator, labels.get(key), values) for key, operator, values in self.expressions
        )


def _holds(operator: str, value: str | None, values: Sequence[str]) -> bool:
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return (value is not None) == (operator == "Exists")


@dataclass(frozen=True)
class Spread:
    """One of ``topologySpreadConstraints``; ``hard`` is DoNotSchedule."""

    key: str
    max_skew: int
    hard: bool
    selector: Selector
    min_domains: int = 1


@dataclass(frozen=True)
class AntiAffinity:
    """Not on one node with pods that match. ``weight`` 0 is required, 1 to 100 preferred."""

    selector: Selector
    namespaces: tuple[str, ...]
    weight: int = 0

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
    if operator in ("Gt", "Lt"):  # of nodes' labels alone
        return _is_beyond(operator, value, values)
    return (value is not None) == (operator == "Exists")


def _is_beyond(operator: str, value: str | None, values: Sequence[str]) -> bool:
    """Both have to be whole numbers, or the node is not meant (component-helpers, nodeaffinity)."""
    try:
        number, bound = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


@dataclass(frozen=True)
class Spread:
    """One of ``topologySpreadConstraints``; ``hard`` is DoNotSchedule."""

    key: str
    max_skew: int
    hard: bool
    selector: Selector
    min_domains: int = 1


HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True)
class PodAffinityTerm:
    """Pods to be near to, or away from: in one domain of ``key``. ``weight`` 0 is required, 1 to 100 preferred."""

    selector: Selector
    namespaces: tuple[str, ...]
    weight: int = 0
    key: str = HOSTNAME


Requirement = tuple[str, str, tuple[str, ...]]
"""key, operator, values"""


@dataclass(frozen=True)
class NodeSelectorTerm:
    """``labels`` and ``fields`` (``metadata.name`` alone) all hold. One without either selects no node."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        if not (self.labels or self.fields):
            return False
        found = {"metadata.name": name}
        return all(_holds(operator, labels.get(key), values) for key, operator, values in self.labels) and all(
            _holds(operator, found.get(key), values) for key, operator, values in self.fields
        )


@dataclass(frozen=True)
class NodeAffinity:
    """``required``: one of the terms at least; None: any node will do. ``preferred``: weight and term."""

    required: tuple[NodeSelectorTerm, ...] | None = None
    preferred: tuple[tuple[int, NodeSelectorTerm], ...] = ()

    def admits(self, name: str, labels: Mapping[str, str]) -> bool:
        return self.required is None or any(term.matches(name, labels) for term in self.required)

    def score(self, name: str, labels: Mapping[str, str]) -> int:
        """The weights of what a node has, together."""
        return sum(weight for weight, term in self.preferred if term.matches(name, labels))


ANY_NODE = NodeAffinity()

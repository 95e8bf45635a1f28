"""The usual pod: its containers run, and there is nothing else to be said of it. ``phases`` knows all the others."""

from __future__ import annotations

from collections.abc import Mapping

from .configs import PodConfig
from .records import pod_row

Facts = Mapping[str, pod_row.Facts]
"""Container -> what ``host/pods/status.py`` tells of it. One that is missing has left no trace yet."""

_CARED_FOR = frozenset({"startup", "readiness", "post_start"})
"""Keys of a container's row by which it takes more to be ready than to run."""


def merely_runs(row: PodConfig, facts: Facts) -> bool:
    """Whether all containers of a pod run, and nothing but that makes any of them ready: it is settled then."""
    if row.get("init") or not row["containers"] or not row["containers"].keys() >= facts.keys():
        return False
    for name, container in row["containers"].items():
        known = facts.get(name)
        if known is None or known["pid"] is None or known.get("failed") or not _CARED_FOR.isdisjoint(container):
            return False
    return True


def running_for(facts: Facts) -> float:
    """As ``ready_for`` of a pod that merely runs: it has been ready since the last of its containers was started."""
    latest = 0.0
    for known in facts.values():
        if known["started"] is None:
            return 0.0
        latest = max(latest, known["started"])
    return max(0.0, seen_at(facts) - latest)


def seen_at(facts: Facts) -> float:
    """When a host was asked, by its own clock."""
    latest = 0.0
    for known in facts.values():
        latest = max(latest, known.get("seen", 0.0))
    return latest

"""Wait for pods of this host, and tell why one does not become what it shall."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import phases
from ..changes.containers import log_directory
from ..changes.pods import SERVICES, PodRow
from ..records import sound_facts
from . import pods, status

LOG_LINES = 10
SHORTEST, LONGEST = 0.02, 0.25  # seconds between two looks


class Look(NamedTuple):
    """A pod as it is now. ``row`` is None where there is no such pod."""

    row: PodRow | None
    facts: dict[str, dict[str, Any]]
    status: dict[str, Any]


def wait(pods: Mapping[str, str], timeout: float) -> list[dict[str, Any]]:
    """Wait until every pod has become what it shall; those that have not, with the reasons.

    A pod that has failed for good is not waited for, nor one that would be started again only after the time is over.

    :param pods: network namespace -> ``Ready`` (Succeeded will do as well) or ``Ended``.
    :param timeout: seconds for all of them together; 0 looks once.
    :return: of each pod that is not there yet ``pod`` (namespace/name) and ``words``, a list of lines.
    """
    deadline = time.time() + timeout  # the clock by which containers write down how they ended
    nap, missing = SHORTEST, dict(pods)
    looks: dict[str, Look] = {}
    while True:
        looks = {netns: look(netns, looks.get(netns)) for netns in missing}
        # What was ready once has been waited for, though it may not be any more: that is the next run's business.
        missing = {netns: until for netns, until in missing.items() if not _is_there(looks[netns], until)}
        if all(_is_hopeless(looks[netns], deadline) for netns in missing) or time.time() >= deadline:
            return [{"pod": _name(netns, looks[netns]), "words": words(looks[netns])} for netns in missing]
        time.sleep(min(nap, max(0.0, deadline - time.time())))
        nap = min(nap * 1.5, LONGEST)


def look(netns: str, before: Look | None = None) -> Look:
    """A pod as it is. Its row is read once: who waits has just written it."""
    row = (before and before.row) or pods.applied_row(netns)
    if row is None:
        return Look(None, {}, {"phase": "Unknown"})
    facts = {name: sound_facts(status.container(f"{SERVICES}/{netns}.{name}")) for name in row["containers"]}
    return Look(row, facts, phases.status(row, facts))


def _name(netns: str, look: Look) -> str:
    if look.row is None:
        return netns.replace("_", "/", 1)
    meta = look.row["object"]["metadata"]
    return f"{meta['namespace']}/{meta['name']}"


def _is_there(look: Look, until: str) -> bool:
    if until == "Ended":
        return phases.has_ended(look.status)
    return look.row is not None and phases.is_settled(look.row, look.status)


def _is_hopeless(look: Look, deadline: float) -> bool:
    """Whether waiting is of no use: the pod has failed, or a container that it needs starts again too late."""
    if look.row is None or look.status["phase"] == "Failed":
        return True
    held_up = [look.facts[name] for name, _ in phases.complaints(look.row, look.status, look.facts)]
    return any(_next_start(facts) > deadline for facts in held_up)


def _next_start(facts: Mapping[str, Any]) -> float:
    """When the supervisor will start a container again, at the earliest. 0: it runs, or may start at any time."""
    if facts["pid"] is not None or not facts["last"] or facts["backoff"] <= 10:
        return 0.0
    # What is kept is the wait after this one, which is twice as long, or as long as a wait can be.
    return float(facts["last"]["ended"] + facts["backoff"] / 2)


def words(look: Look) -> list[str]:
    """Why a pod is not there, and the last lines of each container that holds it up."""
    if look.row is None:
        return ["there is no such pod on this host"]
    found = phases.complaints(look.row, look.status, look.facts)
    if not found:  # it is ready, and should have ended
        running = [item["name"] for item in look.status["containerStatuses"] if "running" in item["state"]]
        found = [(name, f"container {name!r} is still running") for name in running]
    lines = []
    for name, complaint in found:
        said = last_lines(log_directory(look.row["netns"], name))
        lines += [complaint, *(f"  {line}" for line in said)] if said else [f"{complaint}; its log is empty"]
    return lines


def last_lines(directory: str) -> list[str]:
    """The last lines of the latest start, or of the one before if it has not said anything yet.

    Each start logs into a directory of its own, named by a number.
    """
    try:
        starts = sorted((int(name) for name in os.listdir(directory) if name.isdigit()), reverse=True)
    except OSError:
        return []
    for start in starts[:2]:
        lines = _tail(f"{directory}/{start}")
        if lines:
            return lines
    return []


def _tail(start: str) -> list[str]:
    """s6-log puts a full ``current`` aside under a name that is a time."""
    try:
        full = sorted(name for name in os.listdir(start) if name.startswith("@"))
    except OSError:
        return []
    lines: list[str] = []
    for name in ("current", *reversed(full)):
        if len(lines) < LOG_LINES:
            lines = (_text(f"{start}/{name}").splitlines() + lines)[-LOG_LINES:]
    return lines


def _text(path: str) -> str:
    """The end of a file, which is enough for a few lines and little of a megabyte."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
            return file.read().decode(errors="replace")
    except OSError:
        return ""

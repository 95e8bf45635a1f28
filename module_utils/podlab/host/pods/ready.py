"""Wait for pods of this host, and tell why one does not become what it shall."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ... import phases
from ...changes.pods.paths import log_directory
from ...changes.pods.pods import SCAN_DIR
from ...configs import PodConfig
from ...records.pod_config import Facts, sound_facts
from . import pods, status

LOG_LINES = 10
MOST_BYTES = 16384  # of the end of a log
SHORTEST, LONGEST = 0.02, 0.25  # seconds between two looks


class Look(NamedTuple):
    """A pod as it is now. ``row`` is None where there is no such pod."""

    row: PodConfig | None
    facts: dict[str, Facts]
    status: dict[str, Any]


class Wait:
    """A wait for pods, and how far it is: it may be told to others and be gone on with.

    What a manifest asks to be waited for does not count as time: a pod has ``timeout`` seconds from when it could be
    ready for the first time, by the delays of its probes and by when its containers were started first. A container
    that is started again and again gets no new time by it, and neither does one that has not been started yet.

    :param pods: network namespace -> ``Ready`` (Succeeded will do as well) or ``Ended``.
    :param timeout: seconds for each of them, side by side; 0 looks once.
    :param available: network namespace -> for how many seconds it has to be ready.
    :param state: what an earlier one has told as its ``state``, of these pods or of others.
    """

    def __init__(
        self,
        pods: Mapping[str, str],
        timeout: float,
        available: Mapping[str, int] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.timeout = timeout
        self.available = available or {}
        # By UID: another pod of the same name is waited for anew. What was ready once has been waited for, though it
        # may not be any more: that is the next run's business.
        self.state: dict[str, Any] = dict(state or {"began": {}, "arrived": [], "starts": {}})
        self.missing = dict(pods)
        self.arrived = 0
        """How many have become what they shall since the ``state`` was told."""
        self.looks: dict[str, Look] = {}

    def run(self, seconds: float = float("inf")) -> bool:
        """Wait until nothing is left that waiting could change, or for so many seconds. Whether it is over."""
        pause, end = SHORTEST, time.time() + seconds
        while True:
            self._look()
            if self.timeout <= 0 or not self.waiting():
                return True
            if time.time() >= end:
                return False
            time.sleep(min(pause, max(0.0, end - time.time())))
            pause = min(pause * 1.5, LONGEST)

    def _look(self) -> None:
        self.looks = {netns: look(netns, self.looks.get(netns)) for netns in self.missing}
        for netns, found in self.looks.items():
            # The clock is the one by which containers write down how they ended.
            self.state["began"].setdefault(self._uid(netns), time.time())
            for name, facts in found.facts.items():
                if facts["started"] is not None:
                    self.state["starts"].setdefault(f"{self._uid(netns)}.{name}", facts["started"])
        for netns, until in [*self.missing.items()]:
            was_there = self._uid(netns) in self.state["arrived"]
            if was_there or self._is_there(netns, until):
                del self.missing[netns]
            if not was_there and netns not in self.missing:
                self.state["arrived"].append(self._uid(netns))
                self.arrived += 1

    def _uid(self, netns: str) -> str:
        row = self.looks[netns].row
        return str(row["object"]["metadata"].get("uid", netns)) if row else netns

    def _is_there(self, netns: str, until: str) -> bool:
        row, facts, found = self.looks[netns]
        if until == "Ended":
            return phases.has_ended(found)
        if row is None or not phases.is_settled(row, found):
            return False
        return found["phase"] == "Succeeded" or phases.ready_for(row, found, facts) >= self.available.get(netns, 0)

    def deadline(self, netns: str) -> float:
        """Until when a pod is waited for, as far as it is known by now."""
        row, uid = self.looks[netns].row, self._uid(netns)
        chances = [
            self.state["starts"][f"{uid}.{name}"] + phases.first_chance(container)
            for name, container in (row["containers"] if row else {}).items()
            if f"{uid}.{name}" in self.state["starts"]
        ]
        return float(max([self.state["began"][uid], *chances]) + self.available.get(netns, 0) + self.timeout)

    def waiting(self) -> list[str]:
        """Of those that are missing the ones that may still come."""
        now = time.time()
        return [
            netns
            for netns in self.missing
            if now < self.deadline(netns) and not _is_hopeless(self.looks[netns], self.deadline(netns))
        ]

    def unready(self) -> list[dict[str, Any]]:
        """Of each pod that is missing ``pod`` (namespace/name) and ``words``, a list of lines."""
        return [
            {"pod": _name(netns, self.looks[netns]), "words": self._counts_later(netns) or words(self.looks[netns])}
            for netns in self.missing
        ]

    def progress(self) -> list[dict[str, Any]]:
        """On whom it waits, the longest wait first: ``pod``, ``left`` seconds at most, ``words`` in a line."""
        now = time.time()
        found = []
        for netns in sorted(self.waiting(), key=self.deadline, reverse=True):
            lines = self._counts_later(netns) or [line for _, line in _complaints(self.looks[netns])]
            left = max(0, round(self.deadline(netns) - now))
            found.append({"pod": _name(netns, self.looks[netns]), "left": left, "words": "; ".join(lines)})
        return found

    def _counts_later(self, netns: str) -> list[str]:
        if netns not in self.available or not phases.is_ready(self.looks[netns].status):
            return []
        return [f"it is ready, and counts once it has been for {self.available[netns]} s"]


def wait(pods: Mapping[str, str], timeout: float) -> list[dict[str, Any]]:
    """Wait to the end; the pods that have not become what they shall, with the reasons."""
    waiting = Wait(pods, timeout)
    waiting.run()
    return waiting.unready()


def look(netns: str, before: Look | None = None) -> Look:
    """A pod as it is. Its row is read once: who waits has just written it."""
    row = (before and before.row) or pods.applied_row(netns)
    if row is None:
        return Look(None, {}, {"phase": "Unknown"})
    facts = {name: sound_facts(status.container(f"{SCAN_DIR}/{netns}.{name}"))[0] for name in row["containers"]}
    return Look(row, facts, phases.status(row, facts))


def _name(netns: str, look: Look) -> str:
    if look.row is None:
        return netns.replace("_", "/", 1)
    meta = look.row["object"]["metadata"]
    return f"{meta['namespace']}/{meta['name']}"


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
    lines = []
    for name, complaint in _complaints(look):
        said = last_lines(log_directory(look.row["netns"], name))
        lines += [complaint, *(f"  {line}" for line in said)] if said else [f"{complaint}; its log is empty"]
    return lines


def _complaints(look: Look) -> list[tuple[str, str]]:
    """Container -> how it holds its pod up."""
    if look.row is None:
        return []
    found = phases.complaints(look.row, look.status, look.facts)
    if not found:  # it is ready, and should have ended
        running = [item["name"] for item in look.status["containerStatuses"] if "running" in item["state"]]
        found = [(name, f"container {name!r} is still running") for name in running]
    return found


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
    """A full ``current`` is put aside as ``@1``, ``@2``, ...: a line may begin in one part and end in the next."""
    try:
        full = sorted(int(name[1:]) for name in os.listdir(start) if name[1:].isdigit() and name[0] == "@")
    except OSError:
        return []
    end = b""
    for name in ("current", *(f"@{number}" for number in reversed(full))):
        if end.count(b"\n") <= LOG_LINES and len(end) < MOST_BYTES:
            end = _end_of(f"{start}/{name}") + end
    lines = end.decode(errors="replace").removesuffix("\n").split("\n")
    return lines[-LOG_LINES:] if end else []


def _end_of(path: str) -> bytes:
    """The end of a file, which is enough for a few lines and little of a megabyte."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
            return file.read()
    except OSError:
        return b""

"""The row of a pod as it was applied, and how its containers fare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from ..configs import PodConfig as _PodConfig
from ..fitting import fits
from ..shapes import Rule, misfit, salvaged
from . import pod_path
from .formats import Count, Interface, Moment, Name
from .pod_object import PodObject


def _has_its_parts(volume: dict[str, Any]) -> bool:
    """Its kind tells what else a volume has (``planner.volumes``)."""
    needed: dict[str, dict[str, type]] = {
        "files": {"files": dict},
        "hostPath": {"path": str, "type": str},
        "emptyDir": {"medium": str},
        "claim": {"claim": str, "directory": str},
    }
    parts = needed.get(str(volume.get("kind")))
    return parts is not None and all(isinstance(volume.get(name), kind) for name, kind in parts.items())


Volume = Annotated[dict[str, Any], Rule(_has_its_parts, "a volume of kind files, hostPath, emptyDir or claim")]


class _Named(_PodConfig):
    netns: Name
    address: Interface
    object: PodObject  # type: ignore[misc]


class PodConfig(_Named, total=False):
    """What tells more of a field than the type that its writers have."""

    volumes: dict[str, Volume]


class Ended(TypedDict):
    exit: int
    signal: int
    started: Moment
    ended: Moment


class ProbeHealth(TypedDict):
    ok: bool | None
    message: str


class Health(TypedDict, total=False):
    pid: int
    started: bool
    ready: bool
    startup: ProbeHealth | None
    readiness: ProbeHealth | None
    liveness: ProbeHealth | None
    post_start: ProbeHealth | None
    ready_at: Moment


class Failed(TypedDict):
    """Why the kubelet has ended a pod for good."""

    reason: str
    message: str


class Facts(TypedDict):
    """What ``host.status.container`` tells. Much of it comes from files: ``sound_facts`` leaves aside what does not
    fit."""

    pid: int | None
    started: Moment | None
    restarts: Count
    last: Ended | None
    backoff: Count
    health: Health | None
    stand_in: bool
    down: bool
    failed: Failed | None
    seen: Moment


class _Event(TypedDict):
    time: Moment
    type: str
    reason: str
    message: str


class Event(_Event, total=False):
    """One line of a pod's ``events``."""

    first: Moment
    count: int


# --- reading ---------------------------------------------------------------------------------------------


def misfit_of_row(row: object, netns: str) -> str:
    """What is wrong with a pod's row, as words; empty for a sound one."""
    words = "" if fits(PodConfig)(row) else misfit(row, PodConfig)
    return misnomer(row, netns) if not words and isinstance(row, dict) else words


def misnomer(row: Mapping[str, Any], netns: str) -> str:
    """What is wrong with the names in a row that fits its type."""
    if row["netns"] != netns:
        return "netns: is that of another pod"
    unknown = [name for name in row["init"] if name not in row["containers"]] if "init" in row else []
    return f"init: there is no container {unknown[0]}" if unknown else ""


def row_damage(row: object, netns: str) -> str:
    """A sentence about a pod's row that does not fit. Nothing for one that does, or that is not there."""
    words = misfit_of_row(row, netns) if row is not None else ""
    return (
        f"the record of pod {netns} ({pod_path(netns)}) is damaged: {words}; its containers start anew" if words else ""
    )


NO_FACTS: Facts = {
    "pid": None,
    "started": None,
    "restarts": 0,
    "last": None,
    "backoff": 0,
    "health": None,
    "stand_in": False,
    "down": False,
    "failed": None,
    "seen": 0.0,
}
"""Of a container that has left no trace yet."""


def sound_facts(facts: Mapping[str, Any]) -> tuple[Facts, dict[str, str]]:
    """Facts of a container, with what is told where nothing is known in place of what does not fit; and for each of
    these what is wrong."""
    kept, wrong = (facts, {}) if fits(Facts, partial=True)(facts) else salvaged(facts, Facts)
    sound: Any = {**NO_FACTS, **kept}
    return sound, wrong


def sound_facts_of(pod: Mapping[str, Mapping[str, Any]], netns: str) -> tuple[dict[str, Facts], list[str]]:
    """The same of all containers of a pod, with a sentence about each that has something wrong."""
    found, notes = {}, []
    for name, facts in pod.items():
        found[name], wrong = sound_facts(facts)
        if wrong:
            whose = f"what is kept of container {name} of pod {netns}"
            notes.append(f"{whose} cannot be read in part: {'; '.join(wrong.values())}; that is left aside")
    return found, notes

"""Reading a host's record: as much of it as fits, with words for what does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..fitting import fits
from ..shapes import misfit, salvaged
from . import DEFAULTS, RECORD, VERSION
from .host_record import PACKED, ClusterRecord, HostRecord, NetworkRecord, PodsRecord


@dataclass(frozen=True)
class Reading:
    """A host's record, as far as it can be used. None: there is none. What is wrong with it is said in ``damage``,
    or in ``newer`` where nothing of it was read."""

    record: HostRecord | None
    damage: list[str] = field(default_factory=list)
    newer: str = ""


Known = dict[Any, Any]
"""What was found out of something that hosts share, by its id: they need not be looked at one by one."""


def read(value: object, known: Known | None = None) -> Reading:
    """:param value: what stands in ``record.json``: JSON, or text that is none. None where there is no such file.
    :param known: where packed parts have been opened: what was found of other hosts' records.
    """
    if value is None:
        return Reading(None)
    if not isinstance(value, dict):
        return Reading({"version": VERSION}, [_damaged(["it is no JSON object"], lost=True)])
    version = value.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        words = f"the record ({RECORD}) is of a newer podlab (version {version}; this one knows {VERSION}); "
        return Reading(None, newer=words + "use that one, or take the cluster away with it first")
    found, wrong = salvaged(value, HostRecord, ("network", "cluster", "pods"))
    problems = list(wrong.values())
    for place, holder, name, kind in _sections_of(found):
        holder[name], inner = _read_section(holder[name], kind, known)
        problems += [f"{place}{words}" for words in inner]
        if holder[name] is None:
            del holder[name]
    damage = [_damaged(problems, lost="sysctls" in wrong)] if problems else []
    sound: Any = {**found, "version": version_of(value)}
    return Reading(sound, damage)


def _sections_of(record: dict[str, Any]) -> list[tuple[str, dict[str, Any], str, Any]]:
    """Where sections are in a record, which is a copy: the path, what has it by which name, and its type."""
    found = [(name, record, name, kind) for name, kind in _SECTIONS.items() if name in record]
    if isinstance(record.get("pods"), dict):
        record["pods"] = dict(record["pods"])
        found += [(f"pods.{node}", record["pods"], node, PodsRecord) for node in record["pods"]]
    elif "pods" in record:
        found.append(("pods", record, "pods", PodsRecord))
    return found


_SECTIONS: dict[str, Any] = {"network": NetworkRecord, "cluster": ClusterRecord}


def _read_section(value: object, kind: Any, known: Known | None) -> tuple[dict[str, Any] | None, list[str]]:
    """As much of it as fits, and what does not."""
    if not isinstance(value, dict):
        return None, [": must be of type object"]
    if known is not None and id(value) in known:
        found: tuple[dict[str, Any], list[str]] = known[id(value)]
        return found
    if kind is not ClusterRecord and known is not None and fits(kind, partial=True)(value):
        found = known[id(value)] = dict(value), []
        return found
    kept, inner = salvaged(value, kind, PACKED)
    for name in PACKED:
        words = _misfit_of_part(name, value[name], known) if name in value else ""
        if words:
            del kept[name]
            inner[name] = words
    if known is not None:
        known[id(value)] = kept, [f".{words}" for words in inner.values()]
    return kept, [f".{words}" for words in inner.values()]


def version_of(record: Mapping[str, Any]) -> int:
    """One that does not say so is of version 1, unless it has what that had not."""
    version = record.get("version")
    return version if isinstance(version, int) else VERSION if "network" in record else 1


def _misfit_of_part(name: str, part: object, known: Known | None) -> str:
    if known is None and isinstance(part, str):
        return ""
    known = {} if known is None else known
    if id(part) not in known:
        known[id(part)] = misfit({name: part}, ClusterRecord)
    return str(known[id(part)])


def misfit_of_part(name: str, part: object) -> str:
    """What is wrong with a part that was packed, once it is opened."""
    return _misfit_of_part(name, part, {})


def _damaged(problems: list[str], *, lost: bool) -> str:
    words = f"the record ({RECORD}) is damaged: {'; '.join(problems)}; "
    words += "that is left aside, and what the kernel and the other hosts tell goes on"
    if lost:
        words += f". {DEFAULTS}"
    return words

"""What hosts have told, checked before anything is worked out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..records import sound_observation
from .cluster import Host


def sound_hosts(hosts: Sequence[Host]) -> tuple[list[Host], list[str], list[str]]:
    """The hosts with what can be used of their observations; notes, and problems, each with the host that it is about.

    A host that cannot be read is like one that does not answer, so that what is wrong elsewhere is found as well.
    """
    found, notes, problems = [], list[str](), list[str]()
    opened: dict[int, str] = {}
    for host in hosts:
        if host.observation is not None:
            seen, damage, wrong = sound_observation(host.observation, opened)
            notes += [f"{host.name}: {words}" for words in damage]
            problems += [f"{host.name}: {words}" for words in wrong]
            host = replace(host, observation=seen)
        found.append(host)
    return found, notes, problems

"""Kernel settings of a host."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def changes(observed: Mapping[str, str], wanted: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """Key -> value to write: what is wanted and not so, and old values of what is wanted no more.

    ``recorded`` holds what the host had before podlab came, for every key that podlab ever changed.
    """
    return {key: value for key, value in {**recorded, **wanted}.items() if observed.get(key) != value}


def originals(observed: Mapping[str, str], wanted: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """What the record has to remember: the first value that was seen of every wanted key."""
    known = {**observed, **recorded}
    return {key: known[key] for key in wanted if key in known}


def line(key: str, value: str) -> str:
    """The command for one setting."""
    return shlex.join(["sysctl", "-w", f"{key}={value}"])

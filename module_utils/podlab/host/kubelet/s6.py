"""The s6 service directory of a container: what it tells of the process, and the letters that its supervisor takes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from . import files
from .files import read_text
from .processes import DEAD, name_and_state

# Names of the programs that become the container's process 1.
STARTING = ("bwrap", "envfile", "fdclose", "setpriv", "stand-in")


def unit_dir(netns: str, container: str) -> str:
    return f"{files.SCAN_DIR}/{netns}.{container}"


def control(unit: str, letters: bytes) -> bool:
    """What ``s6-svc -LETTERS`` does, without a process for it. False where no supervisor listens."""
    try:
        fifo = os.open(f"{unit}/supervise/control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fifo, letters)
    finally:
        os.close(fifo)
    return True


def is_stand_in(pid: int) -> bool:
    """Whether a container's process 1 is none of its image's (stand_in/__main__.py)."""
    return name_and_state(pid)[0] == "podlab-stand-in"


def is_wanted(unit: str) -> bool:
    """Whether the supervisor means to keep the process up: a flag in the last byte of its status file."""
    try:
        with open(f"{unit}/supervise/status", "rb") as file:
            return bool(file.read()[-1] & 4)
    except (OSError, IndexError):
        return False


def running(unit: str) -> int | None:
    """Pid of a container's process 1, once it has a root of its own and runs what it shall.

    bubblewrap reports the pid before it has built that root. What entered then would stand in the host's.
    """
    facts: dict[str, Any] = {}
    for line in read_text(f"{unit}/status").splitlines():
        try:
            facts.update(json.loads(line))
        except ValueError:
            return None  # a line that is still being written
    pid = facts.get("child-pid")
    if not pid or "exit-code" in facts:
        return None
    name, state = name_and_state(pid)
    return int(pid) if state not in DEAD and name not in STARTING else None


def last_exit(unit: str) -> dict[str, int] | None:
    """How a container's latest start ended, if it has: ``exit``, ``signal``, ``started``, ``ended``."""
    try:
        numbers = map(int, read_text(f"{unit}/last").split())
        return dict(zip(("exit", "signal", "started", "ended"), numbers, strict=True))
    except ValueError:
        return None


def stays_down(restart_policy: str, last: Mapping[str, int]) -> bool:
    return restart_policy == "Never" or (restart_policy == "OnFailure" and last["exit"] == 0)


def has_started(unit: str) -> bool:
    """Whether there was a start, of which nothing else need be left."""
    return os.path.exists(f"{unit}/started")


def is_terminating(unit: str) -> bool:
    """Whether the container ends for good: it is neither started nor probed nor ended once more then."""
    return os.path.exists(f"{unit}/ending") or os.path.exists(f"{unit}/failed")

"""Processes of podlab's that have lost their files: no message reaches them any more, and they would run on beside
those that take their place."""

from __future__ import annotations

import contextlib
import os
import signal

from ..changes.containers import SERVICES
from .run import wait_until

GONE = " (deleted)"


def processes() -> list[int]:
    """Supervisors, and what they have started on this host, in service directories that are not there any more.

    The first process of a container is among them or dies with its parent, and all others with the first.
    """
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            place = os.readlink(f"/proc/{pid}/cwd")
            if place.endswith(GONE) and f"{place.removesuffix(GONE)}/".startswith(f"{SERVICES}/"):
                found.append(pid)
    return found


def lines() -> list[str]:
    """What a person would type."""
    found = processes()
    return [f"kill -KILL {' '.join(map(str, found))}  # in a directory of {SERVICES} that is gone"] if found else []


def end() -> None:
    """The parents first: s6-svscan would start their children anew."""
    while found := processes():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(found) & set(processes()), seconds=1.0)

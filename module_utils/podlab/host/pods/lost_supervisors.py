"""Supervisors of podlab's that have lost their files: no message reaches them any more, and they would run on beside
those that take their place."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from ...changes.actions import Action
from ...changes.pods.actions import EndLostSupervisors
from ...changes.pods.paths import SCAN_DIR
from ..actions import runs
from ..run import wait_until
from .status import command_line

OLD = f"{SCAN_DIR}/.old"


def supervisors() -> list[int]:
    """Those whose directory is not the one that bears its name now: it was deleted, or unmounted. What they have
    started dies with them. Labs on this machine have supervisors of that name as well, in mounts of their own."""
    found = []
    own = os.stat("/proc/self/ns/mnt").st_ino
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            places = _places(command_line(pid))
            if places and os.stat(f"/proc/{pid}/ns/mnt").st_ino == own and not _is_in(pid, places):
                found.append(pid)
    return found


def _places(argv: list[str]) -> list[str]:
    """Where a process of this command line should be; empty where it is no supervisor of podlab's."""
    program = os.path.basename(argv[0]) if argv else ""
    if program == "s6-svscan" and SCAN_DIR in argv:
        return [SCAN_DIR]
    if program == "s6-supervise" and len(argv) > 1:
        return [f"{home}/{argv[1]}" for home in (SCAN_DIR, OLD)]
    return []


def _is_in(pid: int, places: list[str]) -> bool:
    if os.path.basename(places[0]) != os.path.basename(SCAN_DIR) and not is_from_services(pid):
        return True  # another s6 of this host
    here = os.stat(f"/proc/{pid}/cwd")
    there = [os.stat(path) for path in places if os.path.isdir(path)]
    return any(os.path.samestat(here, other) for other in there)


def is_from_services(pid: int) -> bool:
    """Whether a supervisor, or what it runs, was started by podlab's s6-svscan. Its path ends as it began, whatever was
    unmounted.

    :raises OSError: there is no such process.
    """
    path = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    return os.path.dirname(path).removesuffix("/.old").endswith("/services")


def actions() -> list[Action]:
    found = supervisors()
    return [EndLostSupervisors(found)] if found else []


@runs(EndLostSupervisors)
def _end(_: Sequence[EndLostSupervisors]) -> None:
    end()


def end() -> None:
    """The parent comes first: it would start its children anew."""
    while found := supervisors():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(found) & set(supervisors()), seconds=1.0)

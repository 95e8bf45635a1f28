"""Who may read what podlab keeps on this host: root alone, but for what the users of pods have to read of it.

A directory that is root's alone hides all that is in it; a container sees of it what is mounted there, whose own mode
counts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence

from ...changes.actions import Action, SetMode
from ...changes.pods.containers import SCRIPTS, UNIT_FILES
from ...changes.pods.paths import HOME, IMAGES, LOGS, PODS, RUN, SCAN_DIR, SHM, VOLUMES
from ..actions import runs

OWN_FILES = ("services.json", "namespaces.json", "lease.json")
ETC = ("hosts", "hostname", "resolv.conf")


def wrong() -> dict[str, int]:
    """Path -> the mode that it shall have, of what has another one, in the order in which they are to be set."""
    found = {}
    for path, mode in _wanted().items():
        with contextlib.suppress(OSError):  # it is not there, or somebody's own file is where a directory should be
            if stat.S_IMODE(os.stat(path).st_mode) != mode:
                found[path] = mode
    return found


def actions() -> list[Action]:
    return [SetMode(path, mode) for path, mode in wrong().items()]


@runs(SetMode)
def _set_modes(found: Sequence[SetMode]) -> None:
    mend({it.path: it.mode for it in found})


def mend(modes: dict[str, int]) -> None:
    """All that can be set, whatever becomes of single ones; the first failure is raised in the end."""
    failures = []
    for path, mode in modes.items():
        try:
            os.chmod(path, mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _wanted() -> dict[str, int]:
    """The directories that hide all the rest come first: from then on nobody reads what is not closed yet."""
    wanted = {RUN: 0o700, HOME: 0o700, f"{HOME}/record.json": 0o600}
    wanted |= _unfit({f"{HOME}/{name}": 0o600 for name in OWN_FILES})
    wanted |= {directory: 0o755 for directory, _, _ in os.walk(IMAGES)}
    wanted |= dict.fromkeys((PODS, SCAN_DIR, SHM, VOLUMES), 0o755)
    for service in _names(SCAN_DIR):
        wanted[f"{SCAN_DIR}/{service}"] = 0o755
        wanted |= {directory: 0o755 for directory, _, _ in os.walk(f"{SCAN_DIR}/{service}/layers")}
        wanted |= _of_unit(f"{SCAN_DIR}/{service}")
    # Not the volumes themselves, nor /dev/shm: their modes are for containers to choose.
    wanted |= {f"{VOLUMES}/{netns}": 0o700 for netns in _names(VOLUMES)}
    for netns in _names(PODS):
        wanted[f"{PODS}/{netns}"] = 0o755
        wanted[f"{LOGS}/{netns}"] = 0o700
        wanted[f"{PODS}/{netns}/pod.json"] = 0o600
        wanted |= {f"{PODS}/{netns}/{name}": 0o644 for name in ETC}
    return wanted


def _of_unit(directory: str) -> dict[str, int]:
    return _unfit({f"{directory}/{name}": 0o700 if name in SCRIPTS else 0o600 for name in UNIT_FILES})


def _unfit(modes: Mapping[str, int]) -> dict[str, int]:
    """Of files in a closed directory: what their owner cannot use, or others could write. Whether others may read them
    is left as it is, since they do not get there: who makes the files by hand (``./lab script``) has no umask of
    podlab's.
    """
    found = {}
    for path, mode in modes.items():
        with contextlib.suppress(OSError):
            seen = os.lstat(path).st_mode
            # What somebody has put a link in the place of may be anything, and is not podlab's.
            if not stat.S_ISLNK(seen) and seen & 0o722 != mode:
                found[path] = mode
    return found


def _names(directory: str) -> list[str]:
    """Directories that podlab keeps there, and neither s6's nor what is on its way in or out."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir(follow_symlinks=False))
    return []

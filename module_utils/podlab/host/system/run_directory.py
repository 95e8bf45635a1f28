"""/run/podlab: a file system of podlab's own.

What starts a container lies there, and from /run itself nothing may be started where an initramfs has mounted it: it is
noexec, and a tenth of the memory for everybody. Below /var it would outlive the pods, which a reboot ends.
"""

from __future__ import annotations

import os

from ...changes.actions import Action, Run
from ...changes.pods.paths import RUN, RUN_MADE, RUN_MENDED
from ..run import HostError, run


def actions() -> list[Action]:
    """What makes it, or gives it what it lacks.

    :raises HostError: an earlier podlab has filled it where nothing may be started.
    """
    if _is_filled() and _forbids_programs():
        raise HostError(
            f"{RUN}: an earlier podlab has made it on a file system from which nothing may be started (noexec), so no "
            "container can: take podlab away with ./lab down, and run this again"
        )
    return [*map(Run, _commands())]


def is_sound() -> bool:
    return not _commands() and not (_is_filled() and _forbids_programs())


def make() -> None:
    """Mount it, where nobody has. What an earlier podlab has left there stays in sight until it goes."""
    for argv in _commands():
        run(argv)


def _commands() -> list[tuple[str, ...]]:
    if os.path.ismount(RUN):
        return [RUN_MENDED] if _forbids_programs() else []
    return [] if _is_filled() else list(RUN_MADE)


def _is_filled() -> bool:
    return not os.path.ismount(RUN) and os.path.isdir(RUN) and bool(os.listdir(RUN))


def _forbids_programs() -> bool:
    return bool(os.statvfs(RUN).f_flag & os.ST_NOEXEC)

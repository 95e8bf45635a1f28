"""What is mounted on this host, and the end of directories that something may be mounted in.

Where anything that podlab deletes lies on a mount of another file system, that is a tmpfs of podlab's own or the target
of a sub path. A tree is deleted only when no mount is left in it: behind a sub path may be a directory of the host.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Sequence

from ..run import HostError, run


def delete(path: str) -> None:
    if os.path.isdir(path):
        unmount_beneath([path])
        delete_tree(path)


def delete_tree(path: str) -> None:
    """A container can nest directories deeper than Python can call; rm(1) takes those away, too."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        run(["rm", "-rf", "--", path])


def unmount_beneath(paths: Sequence[str]) -> None:
    """Unmount all that is mounted at these paths or below.

    :raises HostError: something stays. Then nobody may delete there.
    """
    for _ in range(10):  # mounts may lie on each other
        left = mounted(paths)
        if not left:
            return
        # Lazily: a process that stands in it must not keep it.
        run(["umount", "--lazy", *reversed(left)])
    raise HostError(f"cannot unmount {' '.join(left)}")


def mounted(paths: Sequence[str]) -> list[str]:
    """Mount points at these paths or below, in the order in which they were mounted (proc_pid_mountinfo(5)).

    Only the uppermost mount of a place counts. The table also lists those that another mount hides: the machine's
    below an embedded host's own /run, and the second of a pair where the directory above is shared and bound on itself.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split(" ", 5) for line in file]
    table = [
        (number, re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path)) for number, *_, path, _ in fields
    ]
    # Asked of no others: one on a server that does not answer would keep whoever asks.
    asked = [(n, at) for n, at in table if any(at == path or at.startswith(f"{path}/") for path in paths)]
    return [at for number, at in asked if _uppermost_mount(at) == number]


def _uppermost_mount(path: str) -> str | None:
    """The number, as /proc/self/mountinfo has it, of the mount that is seen at a path."""
    try:
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with open(f"/proc/self/fdinfo/{found}", encoding="ascii") as file:
            return next((line.split()[1] for line in file if line.startswith("mnt_id:")), None)
    finally:
        os.close(found)

"""``fsGroup``: what is in a volume belongs to a group (pkg/volume/volume_linux.go)."""

from __future__ import annotations

import errno
import os
import stat

from .. import mounts
from ..run import HostError

MOST_NESTED = 200
"""Levels of directories that it reaches. A container may nest more than Python can call, or have open."""


def give(path: str, group: int, rights: int) -> None:
    """Files belong to it and directories pass it on.

    :param rights: what the group may at least do with a file.
    :raises HostError: the host does not have the id.
    """
    try:
        _give_below(None, path, group, rights, MOST_NESTED)
    except OSError as error:
        why = "; this host's user namespace has no such id" if error.errno == errno.EINVAL else ""
        raise HostError(f"fsGroup {group}: {path}: {error.strerror}{why}") from error


def _give_below(at: int | None, name: str, group: int, rights: int, levels: int) -> None:
    """By descriptors: whoever writes to the volume may put a link in the place of anything at any time."""
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        os.fchown(directory, -1, group)
        os.fchmod(directory, stat.S_IMODE(os.fstat(directory).st_mode) | rights | 0o2110)
        for entry in os.listdir(directory):
            found = os.open(entry, mounts.STEP, dir_fd=directory)
            try:
                is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
                if not is_directory:
                    os.chown(entry, -1, group, dir_fd=directory, follow_symlinks=False)
                    change_mode(found, stat.S_IMODE(os.fstat(found).st_mode) | rights)
            finally:
                os.close(found)
            if is_directory and levels:
                _give_below(directory, entry, group, rights, levels - 1)
    finally:
        os.close(directory)


def change_mode(descriptor: int, mode: int) -> None:
    """Of what a descriptor (O_PATH) stands for, which may have another name by now. A link has no mode."""
    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.chmod(f"/proc/self/fd/{descriptor}", mode)

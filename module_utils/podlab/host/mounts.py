#!/usr/bin/python3 -IS
"""Bind volumes of a container that lie in one another: ``mounts SERVICE``, before bubblewrap binds the outermost ones.

bubblewrap looks for a mount point by its path, and makes what is missing of it. What lies in a volume is a container's,
and may be a symbolic link to anywhere: then it is made, and bound, outside of the container. Here the kernel keeps each
step in the volume, and a step is a descriptor, so nobody can put anything else in its place in the meantime.

A program in one file, and a module as well: sub paths of volumes are looked for, and bound, in the same way.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import stat
import struct
import sys

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Make = Callable[[str, int], object]  # a name that is missing, in the directory of this descriptor

OPEN_TREE, MOVE_MOUNT, OPENAT2, MOUNT_SETATTR = 428, 429, 437, 442  # they have the same numbers everywhere
RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS = 8, 2  # linux/openat2.h
MOST_TRIES = 100
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_FROM_DESCRIPTOR, MOVE_TO_DESCRIPTOR = 4, 0x40
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

libc = ctypes.CDLL(None, use_errno=True)


class LeadsOutError(OSError):
    """A symbolic link does, or an absolute one."""


def descend(root: int, path: str, make: Make) -> int:
    """A descriptor (O_PATH) of what a path names below a directory. Links are followed as long as they stay there.

    :param make: called for a step that is missing, to make it.
    :raises LeadsOutError: the path does not stay there.
    """
    at, steps = os.dup(root), [part for part in path.split("/") if part]
    try:
        for number, part in enumerate(steps, start=1):
            so_far = "/".join(steps[:number])
            try:
                deeper = _open_beneath(root, so_far)
            except FileNotFoundError:
                make(part, at)
                deeper = _open_beneath(root, so_far)
            os.close(at)
            at = deeper
    except BaseException:
        os.close(at)
        raise
    return at


def _open_beneath(root: int, path: str) -> int:
    how = struct.pack("=3Q", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    for _ in range(MOST_TRIES):
        try:
            return _call("openat2", OPENAT2, root, os.fsencode(path), how, len(how))
        except BlockingIOError:
            continue  # something was renamed while a link went up: the kernel cannot tell where it has led
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise LeadsOutError(errno.EXDEV, f"{path} leads out of the volume") from error
            raise OSError(error.errno, os.strerror(error.errno or 0)) from error
    raise LeadsOutError(errno.EXDEV, f"{path} leads out of the volume, or changes all the time")


def bind(what: int, target: int, *, attributes: int = 0) -> None:
    """Bind what one descriptor stands for, with all that is mounted below, at what the other stands for.

    mount(8) would work out the path of a descriptor, and bind what has that path by then.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE
    tree = _call("open_tree", OPEN_TREE, what, b"", flags)
    try:
        if attributes:
            wanted = struct.pack("=4Q", attributes, 0, 0, 0)
            _call("mount_setattr", MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, wanted, len(wanted))
        _call("move_mount", MOVE_MOUNT, tree, b"", target, b"", MOVE_FROM_DESCRIPTOR | MOVE_TO_DESCRIPTOR)
    finally:
        os.close(tree)


def _call(name: str, number: int, *arguments: int | bytes) -> int:
    # A variadic function reads whole registers.
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


# --- the mounts of a container ----------------------------------------------------------------------------


def bind_all(service: str) -> None:
    """Bind what the file ``mounts`` of a service asks for (changes/pods/nested_mounts.py), in the order of the paths.

    :raises OSError: with the words of a runtime.
    """
    with open(f"{service}/mounts", encoding="utf-8") as file:
        trees = json.load(file)
    for tree in trees:
        os.makedirs(tree["stage"], exist_ok=True)
        stage = os.open(tree["stage"], STEP | os.O_DIRECTORY)
        _bind_one(tree["outermost"], stage)
        os.close(stage)
        root = os.open(tree["stage"], STEP | os.O_DIRECTORY)  # of what is bound there now
        for mount in tree["nested"]:
            _bind_one(mount, root, mount["below"])
        if tree["working_dir"]:
            _make_working_dir(root, tree["working_dir"])
        os.close(root)


def _bind_one(mount: dict[str, Any], root: int, below: str = "") -> None:
    attributes = ATTR_NOSUID | (0 if mount["device"] else ATTR_NODEV) | (ATTR_RDONLY if mount["read_only"] else 0)
    try:
        what = os.open(mount["source"], os.O_PATH | os.O_CLOEXEC)
        is_directory, last = stat.S_ISDIR(os.fstat(what).st_mode), below.rpartition("/")[2]
        target = descend(root, below, lambda part, at: _make(part, at, is_directory or part != last))
        bind(what, target, attributes=attributes)
    except OSError as error:
        words = f'error mounting "{mount["source"]}" to rootfs at "{mount["path"]}": {error.strerror}'
        raise OSError(error.errno, words) from error
    os.close(target)
    os.close(what)


def _make(part: str, at: int, is_directory: bool) -> None:
    try:
        if is_directory:
            os.mkdir(part, 0o755, dir_fd=at)
        else:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=at))
    except FileExistsError:
        pass  # made by somebody else in this very moment: what it is will be seen


def _make_working_dir(root: int, below: str) -> None:
    """Where a link leads out of the volume, the container's own root tells, in which the program starts."""
    with contextlib.suppress(OSError):  # bubblewrap says that it cannot change to it
        os.close(descend(root, below, lambda part, at: _make(part, at, True)))


def main() -> None:
    try:
        bind_all(sys.argv[1])
    except OSError as error:
        sys.exit(f"mounts: {error.strerror}")


if __name__ == "__main__":
    main()

"""System calls that Python 3.10 does not have, and what they answer."""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
# What the root of a host rules. Its pid namespace is the lab's, as who mounts /proc has to rule that, and its cgroup
# namespace is the lab's, as nobody in a host shall mount cgroups.
HOST_NAMESPACES = {"user": CLONE_NEWUSER, "net": CLONE_NEWNET, "ipc": CLONE_NEWIPC, "uts": CLONE_NEWUTS}

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000
MS_SHARED, MNT_DETACH = 0x100000, 2
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR, MOUNT_ATTR_RDONLY = -100, 0x8000, 442, 0x1
PR_SET_PDEATHSIG = 1  # linux/prctl.h
SYS_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)  # the others have the generic table
OVERLAYFS = 0x794C7630

libc = ctypes.CDLL(None, use_errno=True)


def words_of(error: Exception) -> str:
    """What went wrong, with the path that it went wrong at; without the number, which says it once more."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def checked(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def unshare(flags: int) -> None:
    checked(libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: str) -> None:
    checked(libc.setns(descriptor, HOST_NAMESPACES[kind]), f"enter the {kind} namespace")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    result = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    checked(result, f"mount -t {kind} {source} {target}")


def is_overlay(path: str) -> bool:
    answer = ctypes.create_string_buffer(256)  # struct statfs; its first word is the type
    checked(libc.statfs(path.encode(), answer), f"statfs {path}")
    return ctypes.c_long.from_buffer(answer).value == OVERLAYFS


def read_only(path: str) -> None:
    """mount_setattr(2): unlike ``mount -o remount`` it reaches what is mounted below, and keeps other flags."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes)
    )
    checked(result, f"make {path} read-only")


def sethostname(name: str) -> None:
    checked(libc.sethostname(name.encode(), len(name.encode())), "sethostname")


def die_with_parent() -> None:
    checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def leave_old_root() -> None:
    """Make the working directory the root, and let go of the one before, with all that is mounted in it."""
    checked(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
    checked(libc.umount2(b".", MNT_DETACH), "umount the machine's root")
    os.chdir("/")

"""Network namespaces of this host, and how to be a guest in one: a socket stays in the one that it was made in."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import operator
import os
import socket
from collections.abc import Iterator, Sequence

CLONE = {"net": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000}  # sched.h
MS_BIND = 0x1000  # mount.h
MS_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8}
LIBC = ctypes.CDLL(None, use_errno=True)
NETNS = "/run/netns"


def socket_in(netns: str | None, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket of a named network namespace, or of this one."""
    with inside(netns):
        return socket.socket(family, kind)


def others() -> list[list[str]]:
    """The beginning of an ip(8) command for every network namespace but this one, whether or not it has a name."""
    named = {f"{NETNS}/{name}": ["ip", "-n", name] for name in (os.listdir(NETNS) if os.path.isdir(NETNS) else [])}
    paths = [f"/proc/{pid}/ns/net" for pid in os.listdir("/proc") if pid.isdigit()]
    ways = {**named, **{path: ["nsenter", f"--net={path}", "ip"] for path in paths}}
    found = {os.stat("/proc/self/ns/net").st_ino: [""]}
    for path, way in ways.items():
        with contextlib.suppress(OSError):
            found.setdefault(os.stat(path).st_ino, way)
    return list(found.values())[1:]


@contextlib.contextmanager
def inside(netns: str | None) -> Iterator[None]:
    if netns is None:
        yield
        return
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"{NETNS}/{netns}", os.O_RDONLY)
    try:
        _setns(there)
        yield
    finally:
        _setns(home)
        os.close(there)
        os.close(home)


def unshare(kinds: Sequence[str]) -> None:
    """Give this thread namespaces of its own; what it starts from now on lives in them."""
    if LIBC.unshare(functools.reduce(operator.or_, (CLONE[kind] for kind in kinds))):
        words = os.strerror(ctypes.get_errno())
        raise OSError(f"unshare: {words}{more_namespaces(words, kinds)}")


def more_namespaces(words: str, kinds: Sequence[str]) -> str:
    """What to do where the kernel's words are those of a limit of namespaces (namespaces(7)), or nothing. Which limits
    there are is not seen from here: those of an embedded host are the machine's."""
    if os.strerror(errno.ENOSPC) not in words:
        return ""
    limits = " ".join(f"user.max_{kind}_namespaces=10000" for kind in kinds)
    return f": the machine allows no more namespaces; allow them there with: sudo sysctl {limits}"


def give_name(kind: str, path: str) -> None:
    """Bind this thread's namespace to a file."""
    if LIBC.mount(f"/proc/thread-self/ns/{kind}".encode(), path.encode(), None, MS_BIND, None):
        raise OSError(ctypes.get_errno(), f"mount {path}: {os.strerror(ctypes.get_errno())}")


def mount_tmpfs(path: str, options: str) -> None:
    """What ``mount -t tmpfs -o OPTIONS podlab PATH`` does, without a process for it."""
    words = options.split(",")
    flags = sum(MS_FLAGS.get(word, 0) for word in words)
    rest = ",".join(word for word in words if word not in MS_FLAGS)
    if LIBC.mount(b"podlab", path.encode(), b"tmpfs", flags, rest.encode()):
        raise OSError(ctypes.get_errno(), f"mount {path}: {os.strerror(ctypes.get_errno())}")


def _setns(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    if LIBC.setns(descriptor, CLONE["net"]):
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")

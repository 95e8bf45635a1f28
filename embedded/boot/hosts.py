"""Hosts: booted, found, halted."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Container, Iterable, Iterator
from typing import NoReturn

from .mounts import setup_mounts
from .namespaces import own_namespaces
from .syscalls import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    MS_REC,
    MS_SHARED,
    die_with_parent,
    mount,
    sethostname,
    setns,
    unshare,
    words_of,
)


class Host:
    """An embedded host that is being booted: its init waits at the door until its wires are in.

    Beside it there is a keeper, whose child it is: a process of the lab that tells by its words which host this is. No
    host sees it; what the init of a host calls itself is for that host's root to write.
    """

    def __init__(self, name: str, argv: list[str]) -> None:
        go_read, self.go = os.pipe()
        keep_read, self.keep = os.pipe()
        self.kept, kept_write = os.pipe()
        self.failed, failed_write = os.pipe()
        pid_read, pid_write = os.pipe()
        if os.fork() == 0:
            try:
                own = own_namespaces()
                unshare(CLONE_NEWPID)
                pid = os.fork()  # only a child is inside of a new pid namespace
            except OSError as error:
                os.write(failed_write, words_of(error).encode())
                os._exit(1)
            for descriptor in (self.go, self.keep, self.kept):
                os.close(descriptor)
            if pid:
                os.write(pid_write, str(pid).encode())
                self._keep(argv, keep_read, (pid_write, failed_write, *own.values()))
            os.close(kept_write)
            self._init(name, own, go_read, failed_write)
        for descriptor in (go_read, keep_read, kept_write, failed_write, pid_write):
            os.close(descriptor)
        self.pid = int(os.read(pid_read, 20) or 0)
        os.close(pid_read)

    @staticmethod
    def _keep(argv: list[str], keep: int, others: Iterable[int]) -> NoReturn:
        for descriptor in others:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setsid()
            if os.read(keep, 2) == b"go":
                take_null()
                os.execvp(argv[0], argv)
        os._exit(1)  # and the init with it

    @staticmethod
    def _init(name: str, own: dict[str, int], go: int, failed: int) -> NoReturn:
        try:
            os.setsid()
            unshare(CLONE_NEWNS)
            setns(own["net"], "net")  # whose /sys is going to be mounted
            setup_mounts(name)
            for kind in ("user", "ipc", "uts"):
                setns(own[kind], kind)
            unshare(CLONE_NEWNS)  # of the host's root from here on, and what is in it is locked
            mount("", "/", "", MS_SHARED | MS_REC)  # as systemd does it first of all
            sethostname(name)
            os.write(failed, b"mounted")
            die_with_parent()
            if os.read(go, 2) == b"go":
                take_null()
                os.execvp("catatonit", ["catatonit", "-P", "podlab-init", name])
        except OSError as error:
            os.write(failed, words_of(error).encode())
        os._exit(1)

    def wait_for_mounts(self) -> None:
        """Before anybody lays wires into it: why a host could not be mounted is told here or nowhere."""
        words = os.read(self.failed, 1000)
        if words != b"mounted":
            raise OSError(words.decode() or "the init of a host has died")

    def start(self) -> None:
        """Let both go on; nothing to read means that they have become catatonit."""
        os.write(self.go, b"go")
        words = os.read(self.failed, 1000)
        if words:
            raise OSError(words.decode())
        os.write(self.keep, b"go")
        os.read(self.kept, 1)


def take_null() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def keepers(identity: list[str]) -> Iterator[tuple[int, int | None, str, list[str]]]:
    """Of each host the keeper, the init if it lives, the name and the interfaces that it was booted with.

    Only words make anything else look like a keeper, which is a child of the lab's init and in its pid namespace.
    """
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                # No more than that: a process may say that its words lie in a mapping of terabytes (PR_SET_MM_MAP).
                argv = file.read(1 << 16).decode().split("\0")[:-1]
            if argv[: len(identity)] != identity:
                continue
            with open(f"/proc/{pid}/status", "rb") as file:  # a process names itself, with any bytes
                status = {key: value for key, _, value in (line.partition(b":") for line in file)}
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                init = next(map(int, file.read().split()), None)
        except (OSError, UnicodeDecodeError):
            continue
        if status[b"PPid"].strip() == b"1" and len(status[b"NSpid"].split()) == 1:
            name, *interfaces = argv[len(identity) :]
            yield int(pid), init, name, interfaces


def running(identity: list[str]) -> dict[str, tuple[int, list[str]]]:
    """Hosts that are on: name -> (pid of init, interfaces)."""
    return {name: (init, interfaces) for _, init, name, interfaces in keepers(identity) if init}


def halt(identity: list[str], surplus: Container[str]) -> None:
    """End hosts, by their keepers, and keepers whose host has ended by itself."""
    for keeper, init, name, _ in keepers(identity):
        if name in surplus or init is None:
            os.kill(keeper, signal.SIGKILL)

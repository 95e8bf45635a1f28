"""Run commands, on the host and in containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from .processes import children
from .waiting import readable

ENTER = "/var/lib/podlab/images/enter"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND = 127  # exit code of a shell, of env(1) and of ``enter`` where there is no such program
MAX_OUTPUT = 10 * 1024  # bytes of a probe's answer that are kept, as in Kubernetes

Start = Callable[[int], int]


async def run_command(start: Start, deadline: float) -> tuple[int | None, str]:
    """Run a command: its exit code (None if it was not over in time) and the beginning of what it printed.

    It is over when its process ends, though others that it has started may hold its output open. So this is not
    ``asyncio.create_subprocess_exec``, which waits for both.

    :param start: starts it, with this descriptor for what it prints, in a session of its own, so that it can be ended
        with all that it has started; returns the pid.
    :raises OSError: it cannot be started.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(os.close, reading)
        try:
            process = _Process(start(writing))
        finally:
            os.close(writing)
        cleanup.callback(process.kill)
        output = _Output(reading)
        cleanup.callback(output.close)
        if not await readable(process.pidfd, deadline):
            # First those inside of the container: their parent, outside, then ends by itself.
            for child in children(process.pid):
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
            await readable(process.pidfd, time.monotonic() + 1.0)
            return None, output.text()
        return process.exit_code(), output.text()


class _Process:
    """A child, which leads a process group."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.is_reaped = False
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:  # no descriptor is left
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def exit_code(self) -> int:
        """Of a process that has ended."""
        _, status = os.waitpid(self.pid, 0)
        self.is_reaped = True
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it with its whole group, and reap it when it has."""
        if self.is_reaped:
            os.close(self.pidfd)
            return
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        asyncio.get_running_loop().add_reader(self.pidfd, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self.pidfd)
        os.close(self.pidfd)
        os.waitpid(self.pid, os.WNOHANG)


class _Output:
    """What a command prints. All of it is read and most is thrown away: a full pipe would make the command wait."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.kept = bytearray()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        self.kept += data[: MAX_OUTPUT - len(self.kept)]
        if not data:
            self.close()  # the command has closed its output, and goes on

    def text(self) -> str:
        self._read()
        return self.kept.decode(errors="replace")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.fd)


def on_host(*argv: str) -> Start:
    """A command of the host's."""

    def start(stdout: int) -> int:
        stdin = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        outputs = [(os.POSIX_SPAWN_DUP2, stdout, fd) for fd in (1, 2)]
        environment = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
        actions = [stdin, *outputs]
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE])

    return start


def in_container(unit: str, pid: int, command: Sequence[str]) -> Start:
    """A command in the container whose process 1 is ``pid``: what its ``enter`` does, without the start of Python that
    it is, in a child of this process."""
    if not os.path.exists(f"{unit}/identity"):  # an s6 directory from before there was such a file
        return on_host(f"{unit}/enter", str(pid), *command)

    def start(stdout: int) -> int:
        enter = _enter_program()
        wanted = enter["Wanted"](unit)
        if child := os.fork():
            return child
        try:
            signal.set_wakeup_fd(-1)  # the event loop's
            os.setsid()
            for source, stream in ((os.open("/dev/null", os.O_RDONLY), 0), (stdout, 1), (stdout, 2)):
                os.dup2(source, stream)
            enter["enter"](wanted, pid, command)
        finally:
            os._exit(125)

    return start


_entering: dict[str, Any] = {}


def _enter_program() -> dict[str, Any]:
    """Its text, run once. It brings ctypes along, which is large: only a host with such a probe needs it."""
    if not _entering:
        with open(ENTER, encoding="utf-8") as file:
            code = compile(file.read(), ENTER, "exec")
        _entering["__name__"] = "enter"
        exec(code, _entering)
    return _entering

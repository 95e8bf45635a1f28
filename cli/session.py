"""A command in a lab, which is in a session of its own there, and what it gets of this machine: copies.

A terminal that it held could be read after its end, and a file or a named pipe be opened anew through /proc/self/fd,
for writing as well. Only what leads nowhere else goes through as it is: anonymous pipes, sockets and /dev/null.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import subprocess
import termios
import threading
import tty
from collections.abc import Collection, Iterator
from typing import Any

from podlab.controller import process

STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
PATIENCE = 1.0  # for the last words on a terminal that somebody keeps open


class Copied(subprocess.Popen[Any]):
    """A program of which some of our streams are apart: it is at the other end of a pipe, or of a terminal made for it.

    :param apart: streams that it shall not have itself.
    :param terminal: what stands for our terminals is a terminal, too, and not a pipe: then programs do not write plain
        text. It is nobody's once this process has ended.
    """

    def __init__(
        self, argv: list[str], apart: Collection[int], *, terminal: bool = False, prepare: Any = None, **options: Any
    ) -> None:
        self._copies: list[threading.Thread] = []
        self._master: int | None = None
        own = [stream for stream in STREAMS if options.get(STREAMS[stream]) is None]
        screens = [stream for stream in own if terminal and os.isatty(stream)]
        slave = self._open_terminal() if screens else -1
        ends = {STREAMS[stream]: slave for stream in screens}
        pipes = [stream for stream in own if stream in apart and stream not in screens]
        ends |= {STREAMS[stream]: subprocess.PIPE for stream in pipes}

        def become() -> None:
            if prepare:
                prepare()
            if screens:
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        try:
            super().__init__(argv, preexec_fn=become, **(options | ends))
        finally:
            if screens:
                os.close(slave)
        for stream in pipes:
            self._copy_pipe(stream)
        if self._master is not None:
            _start(self._master, next(stream for stream in (1, 2, 0) if stream in screens), self._copies)
            if 0 in screens:
                _start(0, self._master)

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended and all that it said is handed on."""
        code = super().wait(timeout)
        for copy in self._copies:
            copy.join(PATIENCE if self._master is not None or code < 0 else None)
        return code

    def resize(self, *_: object) -> None:
        """Give its terminal the size of ours."""
        if self._master is not None:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _open_terminal(self) -> int:
        self._master, slave = os.openpty()
        self.resize()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(0))
        return slave

    def _copy_pipe(self, stream: int) -> None:
        pipe = getattr(self, STREAMS[stream])
        setattr(self, STREAMS[stream], None)  # as if it had ours
        ours = os.dup(pipe.fileno())
        pipe.close()
        if stream == 0:  # left alone in the end: it may be waiting for a key
            # In the background there are no keys for it, which is no reason to stop.
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
            _start(0, ours, close=ours)
        else:
            _start(ours, stream, self._copies, close=ours)


def is_apart(stream: int) -> bool:
    """Whether a stream leads to something of this machine."""
    try:
        kind, path = os.fstat(stream), os.readlink(f"/proc/self/fd/{stream}")
    except OSError:  # it is closed
        return False
    if stat.S_ISCHR(kind.st_mode):
        return kind.st_rdev != os.stat(os.devnull).st_rdev
    if stat.S_ISFIFO(kind.st_mode):
        return not path.startswith("pipe:[")  # it has a name
    return not stat.S_ISSOCK(kind.st_mode)


def lead(*sessions: Copied) -> int:
    """Stay with them to their ends; the highest exit code. Whoever was ended by a signal that was handed on takes us
    along."""
    with process.handing_on(sessions) as received, _raw_terminal(sessions[0]):
        codes = [session.wait() for session in sessions]
    for code in codes:
        if -code in received:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
    return max(code if code >= 0 else 128 - code for code in codes)


@contextlib.contextmanager
def _raw_terminal(session: Copied) -> Iterator[None]:
    """Keys go to the command as they are pressed, and our terminal is as it was in the end."""
    if session._master is None or not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    former = signal.signal(signal.SIGWINCH, session.resize)
    session.resize()
    try:
        tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        signal.signal(signal.SIGWINCH, former)
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _start(source: int, target: int, kept: list[threading.Thread] | None = None, close: int | None = None) -> None:
    copy = threading.Thread(target=_copy, args=(source, target, close), daemon=True)
    if kept is not None:
        kept.append(copy)
    copy.start()


def _copy(source: int, target: int, close: int | None) -> None:
    with contextlib.suppress(OSError):
        while block := os.read(source, 65536):
            while block:
                block = block[os.write(target, block) :]
    if close is not None:
        os.close(close)

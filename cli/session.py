"""A command in a lab, which is in a session of its own there, and what it gets of this machine: copies.

Whatever is a stream of a process there can be opened anew through /proc/self/fd, for the other direction as well: a
terminal after the command's end, a file, a named or an anonymous pipe. So nothing of the caller's goes through. Each
stream is a pipe made for the command, or a terminal, and what passes it is copied here; what is closed, or /dev/null,
is /dev/null there.

Not splice(2): it refuses files opened for appending, and most of the time goes into waiting.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import stat
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Collection, Iterator
from typing import Any

from podlab.controller import process

STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
# After a command's end: for the last words of what it has left behind in the background, which may hold its streams
# for ever. dockerd waits as long.
TIMEOUT = 2.0
BLOCK = 65536
MOST_IN_PIPE = 1 << 20  # as a command may widen it (fs.pipe-max-size)
GONE = (errno.EPIPE, errno.ECONNRESET)  # the reader, which is no fault


class Copied(subprocess.Popen[Any]):
    """A program of which some of our streams are apart: it is at the other end of a pipe, or of a terminal made for it.

    :param apart: streams that it shall not have itself.
    :param terminal: what stands for our terminals is a terminal, too, and not a pipe: then programs do not write plain
        text. It has no reader once this process has ended.
    """

    def __init__(
        self, argv: list[str], apart: Collection[int], *, terminal: bool = False, prepare: Any = None, **options: Any
    ) -> None:
        self._copies: list[threading.Thread] = []
        self._failure: OSError | None = None
        self._master: int | None = None
        self._enters_lab = prepare is not None
        own = [stream for stream in STREAMS if options.get(STREAMS[stream]) is None]
        screens = [stream for stream in own if terminal and os.isatty(stream)]
        slave = self._open_terminal() if screens else -1
        ends = {STREAMS[stream]: slave for stream in screens}
        pipes = [stream for stream in own if stream in apart and stream not in screens]
        ends |= {STREAMS[stream]: _end(stream, pipes) for stream in pipes}

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
            self._start(self._master, next(stream for stream in (1, 2, 0) if stream in screens))
            if 0 in screens:
                self._start(0, self._master)

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended and all that it said is handed on.

        :raises OSError: what it said cannot be written.
        """
        if self._enters_lab and timeout is None:
            self._outlast_stops()
        code = super().wait(timeout)
        for copy in self._copies:
            copy.join()
        if self._failure:
            raise self._failure
        return code

    def resize(self, *_: object) -> None:
        """Give its terminal the size of ours."""
        if self._master is not None:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _outlast_stops(self) -> None:
        """nsenter(1) stops itself as its child is stopped, which root in the lab may do, and misses the child's end
        then. There is no shell that would let it go on: it is in a session of its own."""
        while self.returncode is None:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
            if found is None or found.si_code != os.CLD_STOPPED:
                return
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG)
            os.kill(self.pid, signal.SIGCONT)

    def _open_terminal(self) -> int:
        self._master, slave = os.openpty()
        self.resize()
        with contextlib.suppress(termios.error):
            termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(0))
        return slave

    def _copy_pipe(self, stream: int) -> None:
        pipe = getattr(self, STREAMS[stream])
        if pipe is None:
            return
        setattr(self, STREAMS[stream], None)  # as if it had ours
        ours = os.dup(pipe.fileno())
        pipe.close()
        if stream == 0:
            # In the background there are no keys for it, which is no reason to stop.
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
            self._start(0, ours, close=ours)
        else:
            self._start(ours, stream, close=ours)

    def _start(self, source: int, target: int, *, close: int | None = None) -> None:
        ended = os.pidfd_open(self.pid)

        def copy() -> None:
            try:
                _copy(source, target, ended)
            except OSError as error:
                if source != 0 and error.errno not in GONE:
                    self._failure = error
            finally:
                for descriptor in (ended, close):
                    if descriptor is not None:
                        os.close(descriptor)

        thread = threading.Thread(target=copy, daemon=True)
        if source != 0:  # that one is left alone in the end: it may be waiting for a key
            self._copies.append(thread)
        thread.start()


def _end(stream: int, pipes: Collection[int]) -> int:
    """What a command gets in the place of one of our streams."""
    try:
        kind = os.fstat(stream)
    except OSError:  # it is closed
        return subprocess.DEVNULL
    if stat.S_ISCHR(kind.st_mode) and kind.st_rdev == os.stat(os.devnull).st_rdev:
        return subprocess.DEVNULL
    if stream == 2 and 1 in pipes:
        with contextlib.suppress(OSError):
            # With 2>&1 what comes first is written first: two pipes would not keep the order.
            return subprocess.STDOUT if os.path.samestat(kind, os.fstat(1)) else subprocess.PIPE
    return subprocess.PIPE


def wait_for_all(*sessions: Copied) -> int:
    """Stay with them to their ends; the highest exit code. One that was ended by a forwarded signal ends this
    process by the same."""
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


def _copy(source: int, target: int, ended: int) -> None:
    """Until the source's end or the target's, or shortly after the end of a process: all that it has written itself is
    in a pipe then.

    :param ended: a descriptor of the process.
    :raises OSError: the target cannot be written.
    """
    poller = select.poll()
    for descriptor, events in ((source, select.POLLIN), (target, 0), (ended, select.POLLIN)):
        poller.register(descriptor, events)
    deadline, owed = 0.0, MOST_IN_PIPE
    while owed > 0 or time.monotonic() < deadline:
        ready = dict(poller.poll(max(deadline - time.monotonic(), 0) * 1000 if deadline else None))
        if target in ready:  # it has no reader any more
            return
        if ended in ready:
            poller.unregister(ended)
            deadline = time.monotonic() + TIMEOUT
        if source in ready:
            block = _read(source)
            if not block:
                return
            _write(target, block)
            owed -= len(block) if deadline else 0
        elif not ready:
            return


def _read(source: int) -> bytes:
    try:
        return os.read(source, BLOCK)
    except OSError:  # of a terminal, or of a connection that was reset
        return b""


def _write(target: int, block: bytes) -> None:
    """All of it, also where another program has made the target non-blocking."""
    view = memoryview(block)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:
            writable = select.poll()
            writable.register(target, select.POLLOUT)
            writable.poll()

"""What a run is to the shell that it was started from, and its workers to the run."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import resource
import select
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
MOST_FILES = 1048576  # as podlab's unit has it under systemd
MOST_SAID = 64 << 20  # bytes; what a host tells of a thousand pods is half of that at most

CONTROL_PATH_DIR = "ANSIBLE_SSH_CONTROL_PATH_DIR"
CONNECTIONS = "run-"  # with what follows, the name of a run's directory

LOOK = 0.5  # seconds of silence before its cause is looked for

_libc = ctypes.CDLL(None, use_errno=True)


class TooLong(Exception):
    """A host says more than this machine is going to remember; the text says so."""


def end_workers_with_run() -> None:
    """Let every process that this one forks from now on end as it does, however that is: Ansible hands on TERM and INT,
    but a run that is killed, or hung up, would leave workers behind that wait for it on a pipe for ever.

    Not from an action plugin's ``run``: a worker may wait before it comes to that, and other modules' tasks have none.
    Ansible's own handler of TERM takes along what is in the worker's process group, such as ssh; what has entered a lab
    is in another one, see ``handing_on``.
    """
    if not _registered:
        os.register_at_fork(after_in_child=functools.partial(_end_with_parent, os.getpid()))
        _registered.append(True)


_registered: list[bool] = []
_held: list[int] = []


def _end_with_parent(run: int) -> None:
    if os.getppid() == run:  # a grandchild has another parent
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != run:  # it has ended in this very moment
            os._exit(1)


def keep_connections_apart(home: str = "~/.ansible/cp") -> None:
    """Let ssh keep connections open for this run alone.

    Ansible names one after its host. A run that finds one of an earlier run would speak to a host that may be gone, or
    to another one that has its address by now, and without a look at its key.

    A directory is its run's by a lock, not by a pid in its name: what has that pid in another container may be at work.

    :param home: where Ansible has them; paths of sockets are to be short.
    """
    if CONTROL_PATH_DIR in os.environ:
        return
    home = os.path.expanduser(home)
    # Where there is no place for it, Ansible's own default says so itself.
    with contextlib.suppress(OSError):
        os.makedirs(home, 0o700, exist_ok=True)
        for name in os.listdir(home):
            if name.startswith(CONNECTIONS):
                with contextlib.suppress(OSError):  # a run holds it, or a socket: ssh closes those after a minute
                    os.close(_locked_directory(f"{home}/{name}", remove=True))
        os.environ[CONTROL_PATH_DIR] = _directory_of_this_run(home)


def _directory_of_this_run(home: str) -> str:
    """:raises OSError: there can be none here: the file system is read-only, or knows no locks."""
    while True:
        path = tempfile.mkdtemp(prefix=CONNECTIONS, dir=home)
        try:
            held = _locked_directory(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # another run has just taken it for one that is over
        except OSError:
            os.rmdir(path)
            raise
        if os.path.isdir(path):
            _held.append(held)
            return path
        os.close(held)


def _locked_directory(path: str, *, remove: bool = False) -> int:
    """A descriptor that holds its lock until it is closed.

    :raises OSError: another process has the lock; or it is to be removed, and something is in it.
    """
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            os.rmdir(path)
    except OSError:
        os.close(held)
        raise
    return held


def forget_the_shell() -> None:
    """Give what this process starts in a lab the umask, limit of open files and priority that it would have at boot,
    as far as the user may: containers live on with them."""
    os.umask(0o022)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, MOST_FILES), most):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            break
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


@contextlib.contextmanager
def handing_on(
    started: Sequence[subprocess.Popen[Any]], numbers: Collection[int] = ENDING, *, former: bool = False
) -> Iterator[list[int]]:
    """While this lasts, signals go to what has been started, too: who enters a lab is in a session of his own there,
    and hears neither a key of our terminal nor a signal to our process group. What is ignored stays so.

    From here a process group is reached as a whole: those in a pid namespace below are seen, too.

    :param started: it may grow.
    :param former: do then what would have been done else.
    :return: the signals that have come so far.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in numbers}

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for leader in started:
            if leader.returncode is None:
                _signal(leader.pid, number)
        handler = before[number]
        if former and callable(handler):
            handler(number, frame)
        elif former:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    heard = [number for number in numbers if before[number] != signal.SIG_IGN] if _is_main_thread() else []
    for number in heard:
        signal.signal(number, hand_on)
    try:
        yield received
    finally:
        for number in heard:
            signal.signal(number, before[number])


def run_attended(argv: Sequence[str], words: Any, **options: Any) -> tuple[int, Any, Any]:
    """Run a program that enters a lab, with ``words`` as its input. Ctrl-C and TERM end it, and not this process, which
    has something to clean up then.

    :return: its exit code, output and errors.
    """
    started: list[subprocess.Popen[Any]] = []
    with handing_on(started, (signal.SIGINT, signal.SIGTERM)):
        with deferred():
            pipe = subprocess.PIPE
            child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, **options)
            started.append(child)
        with child:
            try:
                out, err = child.communicate(words)
            except BaseException:
                child.kill()
                raise
    return child.returncode, out, err


def _signal(pid: int, number: int) -> None:
    """To its process group, if it leads one. A stopped process gets it as soon as it continues."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send = os.killpg if os.getpgid(pid) == pid else os.kill
        send(pid, number)
        send(pid, signal.SIGCONT)


@contextlib.contextmanager
def deferred(numbers: Collection[int] = ENDING) -> Iterator[None]:
    """Let signals wait until it is known whom to hand them on to. ``entry.seal`` lets them in again in the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_main_thread() -> bool:
    """Handlers are set by no other."""
    return threading.current_thread() is threading.main_thread()


def communicate(
    child: subprocess.Popen[bytes],
    words: bytes = b"",
    seconds: float | None = None,
    watch: Callable[[], None] | None = None,
) -> tuple[bytes, bytes]:
    """As ``Popen.communicate``, for a foreign program, whose output may never end.

    :param child: with pipes for all three streams. It still runs where this raises.
    :param watch: called when it says nothing for a while, over and over. What it raises is raised here.
    :raises TooLong: it has said more than ``MOST_SAID``.
    :raises subprocess.TimeoutExpired: it has not come to its end in time.
    """
    assert child.stdin
    assert child.stdout
    assert child.stderr
    end = None if seconds is None else time.monotonic() + seconds
    said = {child.stdout: bytearray(), child.stderr: bytearray()}
    left = memoryview(words)
    with selectors.DefaultSelector() as streams:
        streams.register(child.stdin, selectors.EVENT_WRITE)
        for stream in said:
            streams.register(stream, selectors.EVENT_READ)
        while streams.get_map():
            left_to_wait = None if end is None else max(0.0, end - time.monotonic())
            ready = streams.select(min(left_to_wait or LOOK, LOOK) if watch else left_to_wait)
            if not ready and end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(child.args, seconds or 0.0)
            if not ready and watch:
                watch()
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    left = _fed(key.fd, left)
                    is_over = not left
                else:
                    block = os.read(key.fd, 1 << 16)
                    said[key.fileobj] += block  # type: ignore[index]
                    is_over = not block
                if is_over:
                    streams.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
            if sum(map(len, said.values())) > MOST_SAID:
                raise TooLong(f"its answer is longer than {MOST_SAID >> 20} MiB, and was not read to its end")
    child.wait(None if end is None else max(0.0, end - time.monotonic()))
    return bytes(said[child.stdout]), bytes(said[child.stderr])


def _fed(pipe: int, words: memoryview) -> memoryview:
    """What is left to write; nothing where it has no reader any more."""
    try:
        return words[os.write(pipe, words[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return words[:0]

"""Run the host's commands: argument vectors, never a shell."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

from .network.namespaces import inside


class HostError(RuntimeError):
    """A command of the host failed; the text holds the command and its words."""


SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where ip and iptables are, which the PATH of an ordinary account, or of a task's environment, may not name."""

WRITTEN_TO = ("/run/podlab", "/run", "/var/lib/podlab", "/var/log/pods", "/")


def words_of(error: Exception) -> str:
    """What went wrong, with the path that it went wrong at."""
    if not isinstance(error, OSError):
        return str(error)
    places = [error.filename] if error.filename else []
    if error.errno == errno.ENOSPC:  # which of what podlab writes to it was, an open file does not tell
        places = places or [path for path in WRITTEN_TO if os.path.isdir(path) and not os.statvfs(path).f_bavail]
    return f"{', '.join(map(str, places[:1]))}: {error.strerror}" if places else str(error.strerror or error)


def prepare() -> None:
    """What podlab's code counts on, whoever starts it, and however a module has come here."""
    forget_the_shell()
    path = os.environ.get("PATH", "/usr/bin:/bin")
    if not path.endswith(SYSTEM_PROGRAMS):
        os.environ["PATH"] = f"{path}:{SYSTEM_PROGRAMS}"
    os.environ["LC_ALL"] = "C.UTF-8"  # the words of ip and iptables end up in messages


def forget_the_shell() -> None:
    """Start as a daemon does, whatever the shell of the run, or the account that SSH leads to, has set. What is made
    and started here outlives both."""
    os.umask(0o022)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:  # Python's own is the last
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _not_started(program: str, error: OSError) -> HostError:
    return HostError(f"{program}: {'command not found' if error.errno == errno.ENOENT else error.strerror}")


def run(argv: Sequence[str], text: str | None = None) -> str:
    """Standard output of a command that has to succeed; ``text`` is its standard input."""
    try:
        done = subprocess.run(
            list(argv),
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # names of links and comments of rules may be any bytes
        )
    except OSError as error:
        raise _not_started(argv[0], error) from error
    if done.returncode:
        raise HostError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def ip_batch(lines: Sequence[str]) -> None:
    """One ``ip -batch`` for all lines, in this network namespace."""
    batch("ip", lines)


def bridge_batch(lines: Sequence[str]) -> None:
    """One ``bridge -batch`` for all lines, in this network namespace."""
    batch("bridge", lines)


def tc_batch(lines: Sequence[str]) -> None:
    """One ``tc -batch`` for all lines, in this network namespace."""
    batch("tc", lines)


def batch(program: str, lines: Sequence[str]) -> None:
    """One call of ``ip``, ``bridge`` or ``tc`` for all lines, in this network namespace."""
    if lines:
        try:
            run([program, "-batch", "-"], "\n".join(lines) + "\n")
        except HostError as error:
            typed = "\n".join(f"{program} {line}" for line in lines)
            raise HostError(f"{error}\nwhile running:\n{typed}") from error


def run_all(
    commands: Sequence[tuple[Sequence[str], str | None]], netns: Sequence[str] | None = None
) -> list[tuple[int, str, str]]:
    """Run commands side by side, a few at a time; (exit code, output, errors) in their order.

    :param netns: the named network namespace that each of them is started in, instead of this one.
    """
    results: list[tuple[int, str, str]] = []
    width = 8  # more than a small machine's cores: the commands mostly wait for the kernel
    for start in range(0, len(commands), width):
        batch = []
        for number, (argv, text) in enumerate(commands[start : start + width], start):
            with inside(netns[number] if netns else None):
                try:
                    process = subprocess.Popen(
                        list(argv),
                        stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        encoding="utf-8",
                        errors="surrogateescape",
                    )
                except OSError as error:
                    raise _not_started(argv[0], error) from error
            batch.append((process, text))
        for process, text in batch:
            out, err = process.communicate(text)
            results.append((process.returncode, out, err))
    return results


def documents(text: str) -> list[list[dict[str, Any]]]:
    """The JSON lists that ``ip -j -batch`` prints one after the other.

    Without what ip(8) has passed over: while the module of a kind of links is not loaded, the kernel knows nothing of
    the kind and tells of all links, and ``ip -j link show type vxlan`` prints an empty object for each of another one.
    """
    decoder, found, at = json.JSONDecoder(strict=False), [], 0  # an alias may have control characters
    while (at := _skip_space(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append([entry for entry in document if entry])
    return found


def entries(text: str) -> list[dict[str, Any]]:
    """The one list that ``ip -j``, ``bridge -j`` or ``tc -j`` prints, or nothing where it prints nothing."""
    return next(iter(documents(text)), [])


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def daemon(argv: Sequence[str], prepare: Callable[[], None] | None = None) -> None:
    """Start a process that stays when this one, and the session that brought it here, has gone.

    :param prepare: what it does before it becomes the program.
    """
    subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=prepare,
        cwd="/",
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
    )


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)

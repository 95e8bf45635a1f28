"""Run a program and time it. What was started is ended, also when the benchmark itself is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 900.0


class Failed(RuntimeError):
    """A benchmark that should work here does not; the text says why."""


class NotHere(Exception):
    """A peer cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Done:
    seconds: float
    out: str


def run(
    argv: Sequence[str],
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Done:
    """Run a command that has to succeed; ``text`` is its standard input.

    It is no child of the terminal's, so Ctrl-C is ours to pass on: ansible-playbook ends its workers before it ends
    itself, and none of them starts a lab that was just stopped.

    :raises Failed: it did not succeed.
    """
    started = time.perf_counter()
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{argv[0]}: {error.strerror}") from error
    try:
        out, errors = process.communicate(text, timeout=TIMEOUT)
    except BaseException as error:
        end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise Failed(f"{_words(argv)}: not within {TIMEOUT:g} s") from error
        raise
    seconds = time.perf_counter() - started
    if process.returncode:
        last = "\n".join((out + errors).strip().splitlines()[-15:])
        raise Failed(f"{_words(argv)}: exit code {process.returncode}\n{last}")
    return Done(seconds, out)


def end(process: subprocess.Popen[str]) -> None:
    """End a program of ours and all that belongs to it, first in a friendly way."""
    for signal_ in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_)
            process.wait(10)
        except ProcessLookupError:
            process.wait()
        except subprocess.TimeoutExpired:
            continue
        return


def _words(argv: Sequence[str]) -> str:
    words = " ".join(argv)
    return words if len(words) < 200 else words[:200] + "..."

"""Waits for pods and tells meanwhile on whom; documentation is with the module of the same name."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import fast_lane

from podlab.printable import printable

ON_TERMINAL, ELSEWHERE = 2.0, 10.0  # seconds between two words about it


class ActionModule(fast_lane.ActionModule):
    """One call of the module for each word: a module's output comes at its end. A wait that is short is one call."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given, began = dict(self._task.args), time.monotonic()
        host = (task_vars or {}).get("inventory_hostname", "")
        with contextlib.ExitStack() as held:
            teller = None
            state: dict[str, Any] = {}
            while True:
                terminal = _terminal(held) if teller is None else teller.terminal
                every = ELSEWHERE if terminal is None else ON_TERMINAL
                self._task.args = {**given, "report_after": every, **state}
                result = super().run(tmp, task_vars)
                if "state" not in result:
                    return result
                state = {"state": result.pop("state")}
                teller = teller or Teller(held, terminal, self._display.display)
                teller.tell(host, result["waiting"], time.monotonic() - began)


class Teller:
    """One line on a terminal that is written over, or a line now and then elsewhere. Of several hosts one has the word
    at a time: on a terminal they would write over each other."""

    def __init__(self, held: contextlib.ExitStack, terminal: int | None, display: Any) -> None:
        self.held = held
        self.terminal = terminal
        self.display = display
        self.has_the_word = False

    def tell(self, host: str, waiting: Sequence[Mapping[str, Any]], seconds: float) -> None:
        if not waiting:
            return  # the time of the last one has ended between two looks
        text = line(host, waiting, seconds)
        if self.terminal is None:
            self.display(text)
        elif self._take_the_word():
            _write_over(self.terminal, text)

    def _take_the_word(self) -> bool:
        """A socket with a name that there is once for each run; the kernel gives it back."""
        if not self.has_the_word:
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                mark.bind(f"\0podlab-ready-{os.getppid()}")
            except OSError:
                mark.close()
                return False
            self.held.enter_context(mark)
            self.has_the_word = True
            self.held.callback(_write_over, self.terminal, "")
        return True


def line(host: str, waiting: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """On whom it waits, for how long, and what its probe said last; nothing of it can command a terminal."""
    first, more = waiting[0], len(waiting) - 1
    others = f" and {more} more" if more else ""
    said = " ".join(first["words"].splitlines())
    words = f"waiting for {first['pod']} on {host}{others}, {seconds:.0f} s, at most {first['left']} s more"
    return printable(f"{words}: {said}" if said else words)


def _terminal(held: contextlib.ExitStack) -> int | None:
    """The terminal that ansible-playbook writes to, which is this process's parent: a worker has none of its own."""
    try:
        found = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        return None
    held.callback(os.close, found)
    return found if os.isatty(found) else None


def _write_over(terminal: int | None, text: str) -> None:
    """Without escape sequences, so that it looks the same everywhere."""
    if terminal is None:
        return
    with contextlib.suppress(OSError):
        width = (os.get_terminal_size(terminal).columns or 80) - 1
        text = _cut(text, width)
        blanks = " " * (width - sum(map(_width, text)))
        os.write(terminal, f"\r{text}{blanks}\r".encode(errors="replace"))


def _cut(text: str, width: int) -> str:
    used = 0
    for at, letter in enumerate(text):
        used += _width(letter)
        if used > width:
            return text[:at]
    return text


def _width(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 0 if unicodedata.combining(letter) else 1

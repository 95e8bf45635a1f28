"""A line on a terminal that is written over by the next one: what a run waits for, and how far it is."""

from __future__ import annotations

import contextlib
import os
import socket
import unicodedata
from collections.abc import Callable

ON_TERMINAL, ELSEWHERE = 2.0, 10.0  # seconds between two words about it


class StatusLine:
    """One line on a terminal that is written over, or a line now and then elsewhere. Of several hosts one has the word
    at a time: on a terminal they would write over each other."""

    def __init__(self, held: contextlib.ExitStack, terminal: int | None, display: Callable[[str], object]) -> None:
        """:param held: what ends it, and leaves a terminal's line empty. :param terminal: None: there is none."""
        self.held = held
        self.terminal = terminal
        self.display = display
        self.has_the_word = False

    @property
    def every(self) -> float:
        return ELSEWHERE if self.terminal is None else ON_TERMINAL

    def show(self, text: str) -> None:
        if self.terminal is None:
            self.display(text)
        elif self._take_the_word():
            write_over(self.terminal, text)

    def _take_the_word(self) -> bool:
        """A socket with a name that there is once for each run; the kernel gives it back."""
        if not self.has_the_word:
            mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                mark.bind(f"\0podlab-status-{os.getppid()}")
            except OSError:
                mark.close()
                return False
            self.held.enter_context(mark)
            self.has_the_word = True
            self.held.callback(write_over, self.terminal, "")
        return True


def terminal_of_run(held: contextlib.ExitStack) -> int | None:
    """The terminal that ansible-playbook writes to, which is this process's parent: a worker has none of its own."""
    try:
        found = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        return None
    held.callback(os.close, found)
    return found if os.isatty(found) else None


def write_over(terminal: int | None, text: str) -> None:
    """Without escape sequences, so that it looks the same everywhere."""
    if terminal is None:
        return
    with contextlib.suppress(OSError):
        columns = (os.get_terminal_size(terminal).columns or 80) - 1
        text = _cut(text, columns)
        blanks = " " * (columns - sum(map(width, text)))
        os.write(terminal, f"\r{text}{blanks}\r".encode(errors="replace"))


def _cut(text: str, columns: int) -> str:
    used = 0
    for at, letter in enumerate(text):
        used += width(letter)
        if used > columns:
            return text[:at]
    return text


def width(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 0 if unicodedata.combining(letter) else 1

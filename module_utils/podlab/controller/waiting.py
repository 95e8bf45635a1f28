"""Which hosts a run waits for: where a task takes long, the terminal shows the task and the hosts."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

from ..printable import printable
from .status_line import ON_TERMINAL, write_over

LOOK = 1.0  # seconds
ELSEWHERE = 30.0  # seconds between two lines, where each one stays
TELL_THEMSELVES = ("podlab_ready", "podlab_programs")


class Waiting:
    """Told by the callback which hosts are at work, and by a clock of its own when that takes long."""

    def __init__(self, terminal: int | None, display: Callable[[str], object]) -> None:
        """:param terminal: None: there is none, and now and then there is a line of its own."""
        self.terminal = terminal
        self.display = display
        self.at_work: dict[str, tuple[str, float]] = {}
        self.is_shown = False
        self.last = 0.0
        self.ended = threading.Event()
        self.clock: threading.Thread | None = None

    def starts(self, host: str, task: str, action: str) -> None:
        if action.rpartition(".")[2] not in TELL_THEMSELVES:
            self.at_work[host] = task, time.monotonic()
        if self.clock is None:
            self.clock = threading.Thread(target=self._run, daemon=True)
            self.clock.start()

    def ends(self, host: str) -> None:
        self.at_work.pop(host, None)

    def clear(self) -> None:
        """Before something else is printed."""
        if self.is_shown:
            self.is_shown = False
            write_over(self.terminal, "")

    def end(self) -> None:
        self.ended.set()
        if self.clock is not None:
            self.clock.join()
        self.clear()

    def _run(self) -> None:
        every = ELSEWHERE if self.terminal is None else ON_TERMINAL
        while not self.ended.wait(LOOK):
            text = line(dict(self.at_work), time.monotonic(), every)
            if text and self.terminal is not None:
                self.is_shown = True
                write_over(self.terminal, text)
            elif text and time.monotonic() - self.last >= every:
                self.last = time.monotonic()
                self.display(text)


def line(at_work: dict[str, tuple[str, float]], now: float, patience: float) -> str | None:
    """Which hosts have been at work for longer than that, if any. Pure."""
    slow = {host: (task, began) for host, (task, began) in at_work.items() if now - began >= patience}
    if not slow:
        return None
    task, began = min(slow.values(), key=lambda found: found[1])
    names = [host for host, found in slow.items() if found[0] == task]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return printable(f"waiting for {', '.join(names[:3])}{more}: {task}, {now - began:.0f} s")


def terminal_of(stream: int) -> int | None:
    with contextlib.suppress(OSError):
        if os.isatty(stream):
            return stream
    return None

"""A run of benchmarks: how often each figure is taken, and progress messages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BenchRun:
    """``say`` tells what is being measured now; it goes to standard error, beside the table."""

    repeat: int = 3
    say: Callable[[str], None] = field(default=lambda words: print(f"  ... {words}", file=sys.stderr, flush=True))

    def rounds(self, words: str) -> Iterator[int]:
        """0, 1, ...: as often as a figure is to be taken."""
        for number in range(self.repeat):
            self.say(f"{words} ({number + 1} of {self.repeat})")
            yield number

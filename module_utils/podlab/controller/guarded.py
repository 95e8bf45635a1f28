"""Standard output that may be full, or without a reader."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO


class Guarded:
    """Standard output of a run, which has to come to its end though its output cannot be written.

    Ansible writes from several threads, and hangs when one of them dies of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            self.error = self.error or error
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def exit_code(self) -> int:
        """0, or what a run ends with that could not say all it had to, which is told on standard error."""
        self.flush()
        if self.error is None:
            return 0
        if self.error.errno == errno.EPIPE:
            return 128 + signal.SIGPIPE  # the reader has gone
        if sys.stderr is not None:
            print(f"error: standard output: {self.error.strerror}", file=sys.stderr)
        return 1

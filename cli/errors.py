"""How a verb ends early."""

from __future__ import annotations


class CommandError(Exception):
    """A message for standard error, and the exit code to end with."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code

"""What ``./lab`` itself says. Streams of containers and hosts go past this, byte for byte, as kubectl's do."""

from __future__ import annotations

import errno
import os
import sys

from podlab.printable import printable


def print_text(text: str = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print text, podlab's or quoted: control characters are made visible, so none steers the terminal.

    :raises OSError: as well where standard output is closed, which ``print`` takes for nothing.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    sys.stdout.write(printable(text) + end)
    if flush:
        sys.stdout.flush()


def print_error(text: str) -> None:
    """The same on standard error. That it is closed cannot be reported."""
    if sys.stderr is not None:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

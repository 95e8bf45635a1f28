"""Print a container's log on its host.

Arguments: its directory, how many last lines (-1: all), how many starts back (0: the newest), and ``follow``.

``./lab logs`` pipes this text to Python there. Each start of a container logs into a directory of its own,
named by a number. In it s6-log writes ``current`` and puts full parts aside as ``@TIME.s``.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time


def parts(start: str) -> list[str]:
    """The files of one start, the oldest first: the names of full ones are their times."""
    with contextlib.suppress(FileNotFoundError):
        names = os.listdir(start)
        full = sorted(name for name in names if name.startswith("@"))
        return [os.path.join(start, name) for name in [*full, *(["current"] if "current" in names else [])]]
    return []


def starts(directory: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(directory) if name.isdigit())
    return []


class Log:
    """What has been printed of the files of one start. A full part changes its name, but not its inode."""

    def __init__(self, start: str) -> None:
        self.start = start
        self.printed: dict[int, int] = {}

    def news(self) -> bytes:
        """What was written since the last call."""
        found, seen = [], {}
        for path in parts(self.start):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self.printed.get(inode, 0))
                found.append(file.read())
                seen[inode] = file.tell()
        self.printed = seen
        return b"".join(found)


def last_lines(text: bytes, count: int) -> bytes:
    return text if count < 0 else b"".join(text.splitlines(keepends=True)[-count:] if count else [])


def write(text: bytes) -> None:
    while text:
        text = text[os.write(1, text) :]


def is_alone(parent: int) -> bool:
    """Whether whoever reads this has gone: the end of a pipe is closed, or the program in front of us has ended."""
    reader = select.poll()
    reader.register(1, 0)
    return bool(reader.poll(0)) or os.getppid() != parent


def main(directory: str, tail: int, back: int, follow: bool) -> None:
    parent = os.getppid()
    present = starts(directory)
    number = present[-1 - back] if len(present) > back else -1
    log = Log(os.path.join(directory, str(number)))
    write(last_lines(log.news(), tail))
    while follow and not is_alone(parent):
        later = [start for start in starts(directory) if start > number]
        news = log.news()  # after the look for a later start: if there is one, this one is complete
        write(news)
        if not news and not later:
            time.sleep(0.1)
        if later:
            number = later[0]
            log = Log(os.path.join(directory, str(number)))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "follow" in sys.argv[4:])
    except OSError as error:
        sys.exit(f"error: {error.filename or 'standard output'}: {error.strerror}")

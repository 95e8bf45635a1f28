"""Print a container's log on its host.

Arguments: its directory, how many last lines (-1: all), how many starts back (0: the newest), and words: ``follow``,
and ``line`` for a line's end after what has none.

``./lab logs`` pipes this text to Python there. Each start of a container logs into a directory of its own,
named by a number. In it is ``current``, and full parts are put aside as ``@1``, ``@2``, ...: a line may begin in one of
them and end in the next. What a program has printed is shown as it is, also a line that it has not ended yet.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
import time
from collections.abc import Iterator

CHUNK = 1 << 20


def starts(directory: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(directory) if name.isdigit())
    return []


class Log:
    """What has been read of one start: its parts in their order, the open one first until its end."""

    def __init__(self, start: str) -> None:
        self.start = start
        self.number = 1  # of the part that is read
        self.file: io.BufferedReader | None = None
        self.has_lost_its_head = False

    def news(self) -> Iterator[bytes]:
        """What was written since the last call."""
        while self.file or self._open_next():
            assert self.file
            data = self.file.read(CHUNK)
            if not data and self._is_put_aside():
                data = self.file.read()  # what came between both looks
                self.file.close()
                self.file = None
                self.number += 1
            elif not data:
                return
            if data and self.has_lost_its_head:
                data = data[data.find(b"\n") + 1 :]
                self.has_lost_its_head = False
            yield data

    def _is_put_aside(self) -> bool:
        """Whether the open part is complete. A part changes its name then, but not its inode."""
        assert self.file
        try:
            return os.stat(f"{self.start}/current").st_ino != os.fstat(self.file.fileno()).st_ino
        except FileNotFoundError:
            return True

    def _open_next(self) -> bool:
        """Open the part whose turn it is, or where it has been removed the first one that is left."""
        self.file = self._opened(self.number)
        if self.file is None:
            later = [number for number in self._full() if number > self.number]
            if later:
                self.number, self.has_lost_its_head = later[0], True
                self.file = self._opened(self.number)
        return self.file is not None

    def _opened(self, number: int) -> io.BufferedReader | None:
        """One part, whatever it is called by now: it may be put aside at any moment."""
        aside = f"{self.start}/@{number}"
        for path in (aside, f"{self.start}/current", aside):
            with contextlib.suppress(FileNotFoundError):
                file = open(path, "rb")  # noqa: SIM115 - it stays open for as long as it is read
                if path == aside or (not os.path.exists(aside) and max(self._full(), default=0) == number - 1):
                    return file
                file.close()
        return None

    def _full(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(name[1:]) for name in os.listdir(self.start) if name[0] == "@" and name[1:].isdigit())
        return []


def last_lines(text: bytes, count: int) -> bytes:
    """The last lines, one that has not ended among them. A carriage return ends none."""
    return b"".join(io.BytesIO(text).readlines()[-count:]) if count else b""


class Output:
    """Standard output, and whether a line has begun there."""

    def __init__(self) -> None:
        self.is_within_line = False

    def write(self, text: bytes) -> None:
        if text:
            self.is_within_line = not text.endswith(b"\n")
        while text:
            text = text[os.write(1, text) :]

    def end_line(self) -> None:
        if self.is_within_line:
            self.write(b"\n")


def is_alone(parent: int) -> bool:
    """Whether the reader has gone: the end of a pipe is closed, or the program in front of this one has ended."""
    reader = select.poll()
    reader.register(1, 0)
    return bool(reader.poll(0)) or os.getppid() != parent


def main(directory: str, tail: int, back: int, words: list[str]) -> None:
    parent, output = os.getppid(), Output()
    present = starts(directory)
    number = present[-1 - back] if len(present) > back else -1
    log = Log(os.path.join(directory, str(number)))
    if tail < 0:
        for data in log.news():
            output.write(data)
    else:
        output.write(last_lines(b"".join(log.news()), tail))
    while "follow" in words and not is_alone(parent):
        later = [start for start in starts(directory) if start > number]
        is_idle = True
        for data in log.news():  # after the look for a later start: if there is one, this one is complete
            output.write(data)
            is_idle = is_idle and not data
        if later:
            output.end_line()
            number = later[0]
            log = Log(os.path.join(directory, str(number)))
        elif is_idle:
            time.sleep(0.1)
    if "line" in words:
        output.end_line()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"error: {error.filename or 'standard output'}: {error.strerror}")

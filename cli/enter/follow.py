"""Print a container's log on its host.

Arguments: its directory, how many last lines (-1: all), how many starts back (0: the newest), and words: ``follow``,
``line`` for a line's end after what has none, ``since=SECONDS`` for what is not older, ``timestamps``, and
``prefix=TEXT`` before every line.

``./lab logs`` pipes this text to Python there. Each start of a container logs into a directory of its own,
named by a number. In it is ``current``, and full parts are put aside as ``@1``, ``@2``, ...: a line may begin in one of
them and end in the next. Beside a part, ``.times`` tells when its bytes came. What a program has printed is shown as it
is, also a line that it has not ended yet; with something before the lines, or a choice among them, whole lines are.
"""

from __future__ import annotations

import bisect
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


class Times:
    """When the bytes of a part came: its writer says after each read up to which byte that was."""

    def __init__(self, start: str, number: int) -> None:
        self.start, self.number = start, number
        self.changed = 0  # the part's last change, in nanoseconds
        self.ends: list[int] = []
        self.stamps: list[int] = []

    def of(self, end: int) -> int:
        """Nanoseconds since the epoch; of the part's last change where nothing is written down."""
        if not self.ends or self.ends[-1] < end:
            self._read()
        at = bisect.bisect_left(self.ends, end)
        return self.stamps[at] if at < len(self.ends) else self.changed

    def _read(self) -> None:
        """Its name may change at any moment, with that of the part."""
        aside = f"{self.start}/@{self.number}.times"
        for path in (aside, f"{self.start}/current.times", aside):
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii", errors="replace") as file:
                if path == aside or not os.path.exists(aside):
                    self.ends, self.stamps = [], []
                    for line in file:
                        with contextlib.suppress(ValueError):
                            end, stamp = line.split()
                            seconds, _, fraction = stamp.partition(".")
                            found = int(end), int(seconds + fraction)
                            if line.endswith("\n"):
                                self.ends.append(found[0])
                                self.stamps.append(found[1])
                    return


class Log:
    """What has been read of one start: its parts in their order, the open one first until its end."""

    def __init__(self, start: str) -> None:
        self.start = start
        self.number = 1  # of the part that is read
        self.file: io.BufferedReader | None = None
        self.times = Times(start, 1)
        self.end = 0  # of what was read last, in its part
        self.has_lost_its_head = False

    def news(self) -> Iterator[bytes]:
        """What was written since the last call."""
        while self.file or self._open_next():
            assert self.file
            data = self.file.read(CHUNK)
            self._note()
            if not data and self._is_put_aside():
                data = self.file.read()  # what came between both looks
                self._note()
                self.file.close()
                self.file = None
                self.number += 1
            elif not data:
                return
            if data and self.has_lost_its_head:
                data = data[data.find(b"\n") + 1 :]
                self.has_lost_its_head = False
            yield data

    def _note(self) -> None:
        assert self.file
        self.end = self.file.tell()
        self.times.changed = os.fstat(self.file.fileno()).st_mtime_ns

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
        self.times = Times(self.start, self.number)
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

    def begin(self, log: Log, tail: int) -> None:
        """What is there already, or the last lines of it."""
        if tail >= 0:
            self.write(last_lines(b"".join(log.news()), tail))
            return
        for data in log.news():
            self.write(data)

    def add(self, log: Log, data: bytes) -> None:
        """What the log has just told."""
        self.write(data)

    def end(self) -> None:
        """Nothing more comes of this start."""

    def end_line(self) -> None:
        if self.is_within_line:
            self.write(b"\n")


class Lines(Output):
    """The same a whole line at a time, with what shall stand before each, and without those that are too old."""

    def __init__(self, prefix: bytes, *, timestamps: bool, since: float) -> None:
        super().__init__()
        self.prefix, self.timestamps = prefix, timestamps
        self.oldest = (time.time() - since) * 1e9
        self.begun, self.came = b"", 0  # a line that has not ended, and when its last byte came

    def begin(self, log: Log, tail: int) -> None:
        found = [line for data in log.news() for line in self._split(log, data)]
        if tail >= 0:
            count = max(tail - bool(self.begun), 0)
            found = found[-count:] if count else []
            self.begun = self.begun if tail else b""
        for stamp, line in found:
            self._show(stamp, line)

    def add(self, log: Log, data: bytes) -> None:
        for stamp, line in self._split(log, data):
            self._show(stamp, line)

    def end(self) -> None:
        if self.begun:
            self._show(self.came, self.begun)
        self.begun = b""

    def _split(self, log: Log, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Lines that end in these bytes, each with the time of its end."""
        at = log.end - len(data)
        for line in io.BytesIO(data):
            at += len(line)
            self.begun, self.came = self.begun + line, log.times.of(at)
            if line.endswith(b"\n"):
                yield self.came, self.begun
                self.begun = b""

    def _show(self, stamp: int, line: bytes) -> None:
        if stamp >= self.oldest:
            self.write(self.prefix + (timestamp(stamp) if self.timestamps else b"") + line)


def timestamp(stamp: int) -> bytes:
    """RFC 3339 with nine digits after the second, as in a container runtime's logs."""
    seconds, rest = divmod(stamp, 10**9)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{rest:09}Z ", time.gmtime(seconds)).encode()


def output_for(words: list[str]) -> Output:
    values = dict(word.partition("=")[::2] for word in words)
    if not values.keys() & {"since", "prefix", "timestamps"}:
        return Output()
    return Lines(
        os.fsencode(values.get("prefix", "")),
        timestamps="timestamps" in values,
        since=float(values.get("since", "inf")),
    )


def is_alone(parent: int) -> bool:
    """Whether the reader has gone: the end of a pipe is closed, or the program in front of this one has ended."""
    reader = select.poll()
    reader.register(1, 0)
    return bool(reader.poll(0)) or os.getppid() != parent


def main(directory: str, tail: int, back: int, words: list[str]) -> None:
    parent, output = os.getppid(), output_for(words)
    present = starts(directory)
    number = present[-1 - back] if len(present) > back else -1
    log = Log(os.path.join(directory, str(number)))
    output.begin(log, tail)
    while "follow" in words and not is_alone(parent):
        later = [start for start in starts(directory) if start > number]
        is_idle = True
        for data in log.news():  # after the look for a later start: if there is one, this one is complete
            output.add(log, data)
            is_idle = is_idle and not data
        if later:
            output.end()
            output.end_line()
            number = later[0]
            log = Log(os.path.join(directory, str(number)))
        elif is_idle:
            time.sleep(0.1)
    output.end()
    if "line" in words:
        output.end_line()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"error: {error.filename or 'standard output'}: {error.strerror}")

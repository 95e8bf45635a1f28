"""Logs from end to end: what a container's pipe is read by, and what prints it. Real processes, real files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.enter import follow
from podlab.changes.pods import containers

TIMEOUT = 20.0


class Logged:
    """A container's log: its writer runs as its service starts it, with a pipe to what prints."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "logs").mkdir()
        self.logs = path / "logs"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.count(0)

    def count(self, start: int) -> None:
        (self.path / "restarts.new").write_text(f"{start}\n")
        (self.path / "restarts.new").rename(self.path / "restarts")

    def start(self) -> subprocess.Popen[bytes]:
        """A writer; what is put into its ``stdin`` is what a container prints."""
        restarts = os.open(self.path / "restarts", os.O_RDONLY)
        argv = ["/bin/sh", "-c", containers.LOG_SCRIPT]
        opened = lambda: os.dup2(restarts, 5, inheritable=True)  # noqa: E731
        process = subprocess.Popen(argv, cwd=self.path, stdin=subprocess.PIPE, preexec_fn=opened, close_fds=False)
        os.close(restarts)
        self.processes.append(process)
        return process

    def say(self, text: bytes) -> None:
        """A container that prints this and ends."""
        process = self.start()
        process.communicate(text, timeout=TIMEOUT)

    def read(self, tail: int = -1, back: int = 0, *words: str) -> bytes:
        return subprocess.run(self.argv(tail, back, *words), input=PROGRAM, capture_output=True, check=True).stdout

    def argv(self, tail: int = -1, back: int = 0, *words: str) -> list[str]:
        return [sys.executable, "-IS", "-", str(self.logs), str(tail), str(back), *words]


PROGRAM = Path(follow.__file__).read_bytes()


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    found = Logged(tmp_path)
    yield found
    for process in found.processes:
        if process.stdin:
            process.stdin.close()
        process.wait(TIMEOUT)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.01)


NOISE = random.Random(7).randbytes(300_000)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"one\ndone",
        b"\n\n",
        b"done\r\n50%\r100%\r",
        b"a\0b\nc\0",
        "\u00fc\u2028\x85\n".encode(),
        b"x" * 8192 + b"y\n",
        b"z" * (1 << 20) + b"\nend",
        NOISE,
    ],
)
def test_what_a_container_has_printed_is_in_its_log_to_the_last_byte(logged: Logged, text: bytes) -> None:
    logged.say(text)
    assert logged.read() == text


def test_a_line_that_has_not_ended_yet_can_be_read(logged: Logged) -> None:
    process = logged.start()
    assert process.stdin
    process.stdin.write(b"starting ...")
    process.stdin.flush()
    until(lambda: logged.read() == b"starting ...")
    process.stdin.write(b" done\n")
    process.stdin.flush()
    until(lambda: logged.read() == b"starting ... done\n")


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        (0, b""),
        (1, b"four"),
        (2, b"th\rree\x0b\x0c\n" + b"four"),
        (4, b"one\n2" + b"2" * 20_000 + b"\nth\rree\x0b\x0c\nfour"),
    ],
)
def test_tail_counts_lines(logged: Logged, tail: int, text: bytes) -> None:
    logged.say(b"zero\none\n2" + b"2" * 20_000 + b"\nth\rree\x0b\x0c\nfour")
    assert logged.read(tail) == text


def test_each_start_has_a_log_of_its_own_whatever_is_counted_meanwhile(logged: Logged) -> None:
    first = logged.start()
    logged.count(1)  # it has ended, and its end was counted before its log was ready
    first.communicate(b"no config file", timeout=TIMEOUT)
    logged.say(b"second\n")
    assert [logged.read(-1, back) for back in (0, 1, 2)] == [b"second\n", b"no config file", b""]


def test_of_a_long_log_its_end_is_kept_in_whole_lines(logged: Logged) -> None:
    lines = [b"%07d %s\n" % (number, b"." * 80) for number in range(100_000)]
    logged.say(b"".join(lines))
    there = logged.read()
    kept = there.count(b"\n")
    assert 2_000_000 <= len(there) < 6_100_000
    assert there == b"".join(lines[-kept:])
    assert logged.read(20_000) == b"".join(lines[-20_000:])
    assert len(list((logged.logs / "0").iterdir())) == 3
    # A supervisor that has come anew goes on in the same place.
    logged.say(b"again\n")
    assert logged.read(2) == lines[-1] + b"again\n"


def test_a_line_that_is_longer_than_all_that_is_kept_is_shown_as_far_as_it_is(logged: Logged) -> None:
    logged.say(b"x" * 9_000_000)
    assert set(logged.read()) == {ord("x")}


def test_who_follows_sees_every_line_once_through_rotations_and_restarts(logged: Logged) -> None:
    process = logged.start()
    assert process.stdin
    process.stdin.write(b"before\nlast\n")
    process.stdin.flush()
    until(lambda: logged.read() == b"before\nlast\n")
    follower = subprocess.Popen(logged.argv(1, 0, "follow"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert follower.stdin
    assert follower.stdout
    follower.stdin.write(PROGRAM)
    follower.stdin.close()
    assert follower.stdout.readline() == b"last\n"
    lines = [b"%06d %s\n" % (number, b"," * 200) for number in range(12_000)]
    for at in range(0, 12_000, 300):
        process.stdin.write(b"".join(lines[at : at + 300]))
        process.stdin.flush()
        assert b"".join(follower.stdout.readline() for _ in range(300)) == b"".join(lines[at : at + 300])
    assert list((logged.logs / "0").glob("@*")), "nothing was put aside"
    process.communicate(b"the end", timeout=TIMEOUT)
    logged.count(1)
    logged.say(b"a new start\n")
    assert follower.stdout.readline() == b"the end\n"
    assert follower.stdout.readline() == b"a new start\n"
    follower.stdout.close()
    assert follower.wait(TIMEOUT) == 0


def test_a_log_without_room_holds_nobody_up(logged: Logged) -> None:
    (logged.logs / "0").mkdir()
    (logged.logs / "0" / "current").symlink_to("/dev/full")
    logged.say(b"x" * 1_000_000)  # a pipe holds 64 KiB: it would wait for ever


def test_a_signal_ends_no_log(logged: Logged) -> None:
    process = logged.start()
    assert process.stdin
    process.stdin.write(b"one\n")
    process.stdin.flush()
    until(lambda: logged.read() == b"one\n")
    process.terminate()
    process.communicate(b"two", timeout=TIMEOUT)
    assert logged.read() == b"one\ntwo"


@pytest.mark.parametrize(("words", "text"), [((), b"a"), (("line",), b"a\n")])
def test_of_several_logs_each_begins_a_line(logged: Logged, words: tuple[str, ...], text: bytes) -> None:
    logged.say(b"a")
    assert logged.read(-1, 0, *words) == text

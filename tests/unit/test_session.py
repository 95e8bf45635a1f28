"""What a command in a lab gets of its caller's streams, with real processes; only the lab is this machine itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60
# The command's streams are all apart, as in a lab.
DRIVER = """
import os, sys
from cli import session
session.TIMEOUT = float(sys.argv[1])
try:
    code = session.wait_for_all(session.Copied(sys.argv[2:], session.STREAMS, prepare=os.setsid))
except OSError as error:
    sys.exit(error.strerror)
sys.exit(code)
"""
BYTES = bytes(range(256)) * 16384  # more than all pipes on the way hold
WHICH = (
    "import os, sys; print(*((os.fstat(n).st_dev, os.fstat(n).st_ino) for n in range(3)), file=open(sys.argv[1], 'w'))"
)


def driver(*command: str, patience: float = 30.0) -> list[str]:
    return [sys.executable, "-c", DRIVER, str(patience), *command]


ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/module_utils"}


def run(*command: str, patience: float = 30.0, **options: object) -> subprocess.CompletedProcess[bytes]:
    options = {"capture_output": True, "timeout": TIMEOUT} | options
    return subprocess.run(driver(*command, patience=patience), env=ENVIRONMENT, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[str]:
    """Words of a shell that leave a process in the background, with the streams of the command."""
    yield f"sleep infinity & echo $! >{tmp_path}/pid"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def pipe(ways: ExitStack) -> list[int]:
    ends = [os.pipe(), os.pipe()]
    for end in (*ends[0], *ends[1]):
        ways.callback(os.close, end)
    return [ends[0][0], ends[1][1], ends[1][1]]


def connection(ways: ExitStack) -> list[int]:
    ours, _ = (ways.enter_context(end) for end in socket.socketpair())
    return [ours.fileno()] * 3


def file(ways: ExitStack) -> list[int]:
    return [ways.enter_context(tempfile.TemporaryFile()).fileno()] * 3


def terminal(ways: ExitStack) -> list[int]:
    ours, theirs = os.openpty()
    ways.callback(os.close, ours)
    ways.callback(os.close, theirs)
    return [theirs] * 3


@pytest.mark.parametrize("made", [pipe, connection, file, terminal])
def test_no_stream_of_the_caller_is_one_of_the_command(made: Callable[[ExitStack], list[int]], tmp_path: Path) -> None:
    with ExitStack() as ways:
        streams = made(ways)
        words = driver(sys.executable, "-c", WHICH, str(tmp_path / "had"))
        stdin, stdout, stderr = streams
        process = subprocess.Popen(words, env=ENVIRONMENT, stdin=stdin, stdout=stdout, stderr=stderr)
        assert process.wait(TIMEOUT) == 0
        had = (tmp_path / "had").read_text()
        assert not [stream for stream in streams if str((os.fstat(stream).st_dev, os.fstat(stream).st_ino)) in had]


@pytest.mark.parametrize("closing", ["</dev/null >/dev/null 2>/dev/null", "<&- >&- 2>&-"])
def test_where_there_is_nothing_it_has_dev_null(closing: str, tmp_path: Path) -> None:
    words = driver(sys.executable, "-c", WHICH, str(tmp_path / "had"))
    subprocess.run(["sh", "-c", f'"$@" {closing}', "sh", *words], env=ENVIRONMENT, check=True, timeout=TIMEOUT)
    null = os.stat(os.devnull)
    assert (tmp_path / "had").read_text() == f"{(null.st_dev, null.st_ino)} " * 2 + f"{(null.st_dev, null.st_ino)}\n"


def test_what_goes_through_is_as_it_was_and_the_end_is_handed_on() -> None:
    script = "cat; echo late >&2; exit 7"  # cat ends with its input, and what comes then is heard
    done = run("sh", "-c", script, input=BYTES)
    assert (done.stdout == BYTES, done.stderr, done.returncode) == (True, b"late\n", 7)


def test_two_that_are_one_stay_in_order() -> None:
    script = "for at in 1 2 3 4 5 6 7 8 9; do echo out; echo err >&2; done"
    done = run("sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, capture_output=False)
    assert done.stdout == b"out\nerr\n" * 9


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "echo here; exec yes"], 128 + signal.SIGPIPE),
        # It says nothing more, but looks whether somebody listens.
        ([sys.executable, "-c", "import select; print('here', flush=True); p = select.poll(); p.register(1, 0); p.poll()"], 0),
    ],
)  # fmt: skip
def test_a_reader_that_goes_is_missed(command: list[str], code: int) -> None:
    with subprocess.Popen(driver(*command), env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        process.stdout.close()
        assert process.wait(TIMEOUT) == code


def test_who_closes_his_input_takes_no_more_of_it() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as kept, open(theirs, "wb") as feed:
        assert run("sh", "-c", "exec <&-; sleep infinity & kill $!; wait", stdin=kept).returncode == 0
        feed.write(b"for the next one\n")
        feed.close()
        assert kept.read() == b"for the next one\n"


def test_who_stays_behind_with_the_streams_keeps_nobody(sleeper: str) -> None:
    assert run("sh", "-c", f"{sleeper}; echo last", patience=0.1).stdout == b"last\n"
    assert run("sh", "-c", f"{sleeper}; yes & echo $! >&2; head -c 9 /dev/zero", patience=0.1).stdout.count(b"\0") == 9


def test_a_slow_reader_gets_all_of_it(sleeper: str, tmp_path: Path) -> None:
    """More than the caller's pipe holds, after the command's end, and nothing more is waited for."""
    script = f"{sleeper}; head -c 100000 /dev/zero; echo $$ >{tmp_path}/ended"
    with subprocess.Popen(driver("sh", "-c", script, patience=0), env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        while not (tmp_path / "ended").exists() or not (words := (tmp_path / "ended").read_text()):
            pass
        while Path(f"/proc/{words.strip()}").exists():
            pass
        assert len(process.stdout.read()) == 100000


def test_what_cannot_be_written_is_said() -> None:
    with open("/dev/full", "wb") as full:
        done = run("echo", "lost", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (1, b"No space left on device\n")


def test_who_stops_himself_goes_on() -> None:
    """As nsenter does it with its child."""
    assert run("sh", "-c", "kill -STOP $$; echo on").stdout == b"on\n"


def test_a_signal_reaches_who_is_stopped(tmp_path: Path) -> None:
    script = f"import os, signal; open('{tmp_path}/here', 'w').close(); os.kill(os.getpid(), signal.SIGSTOP)"
    words = driver("sh", "-c", f'"{sys.executable}" -c "{script}" & echo $!; wait')
    with subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        stopped = int(process.stdout.readline())
        while Path(f"/proc/{stopped}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == -signal.SIGTERM
        assert process.stdout.read() == b""  # he has ended, too: nobody has the pipe any more

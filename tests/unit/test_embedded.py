"""Which processes are taken for a lab's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from podlab.embedded import Lab, _kill_after

NAME_ITSELF = "import sys; open('/proc/self/comm', 'wb').write({name!r}); print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize("name", [b"\xff", b"a\rb", b"\x0bUid:\x0b", "a\u2028b".encode(), b"NSpid: 1 1"])
def test_a_process_may_call_itself_anything(name: bytes) -> None:
    lab = Lab("/nowhere", "none")
    argv = ["catatonit", "-c", NAME_ITSELF.format(name=name)]
    with subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        assert lab.lab_init() is None and lab.hosts() == {}
        process.stdin.close()


def test_a_process_is_killed_when_another_one_ends() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other, subprocess.Popen(["sleep", "60"]) as process:
        _kill_after(other.pid, process.pid)
        assert other.stdin and process.poll() is None
        other.stdin.close()
        assert process.wait(30) == -signal.SIGKILL


def test_nobody_is_killed_who_has_the_number_of_a_process_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor is all that the one who waits has been given."""
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda argv, **_: started.append(argv))
    _kill_after(os.getppid(), os.getpid())
    assert str(os.getpid()) not in started[0]

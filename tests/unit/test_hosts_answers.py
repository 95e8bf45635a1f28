"""What comes from a host to ``./lab`` and to Ansible's connection may be anything, of any length, or nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from cli.hosts import Embedded, HostUnreachable, Local, Ssh, ask
from connection_plugins import embedded
from podlab import packed
from podlab.controller import process, screen
from podlab.printable import is_printable

ESCAPES = "\x1b]0;owned\x07"


def liar(directory: Path, *words: str) -> Local:
    """A host whose Python runs this shell script instead of what it is told."""
    program = directory / "python3"
    program.write_text("\n".join(("#!/bin/sh", "cat >/dev/null", *words)))
    program.chmod(0o755)
    return Local("node1", "node", {"ansible_python_interpreter": str(program)})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (r"printf '\377\376'; printf '\377 why' >&2; exit 3", "\\xff why"),
        ("head -c 400000 /dev/zero | tr '\\0' '['", "exit code 0"),
        ("echo 7", "must be of type object"),
        ("echo '{}'", "is missing"),
        (r"printf '\033]0;owned\007' >&2; exit 4", "\\x1b]0;owned\\x07"),
        ("yes '{},' | head -c 990000 | tr -d '\\n'", "it has more than 450000 values, and was not read"),
        ("yes", "its answer is longer than 1 MiB, and was not read to its end"),
        ("yes >&2", "its answer is longer than 1 MiB, and was not read to its end"),
    ],
)
def test_an_answer_that_is_none_is_a_warning_about_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    monkeypatch.setattr(process, "MOST_SAID", 1 << 20)
    monkeypatch.setattr(packed, "MOST_VALUES", 450_000)
    assert ask([liar(tmp_path, words)]) == {"node1": None}
    told = capsys.readouterr().err
    assert is_printable(told)
    assert told.startswith("warning: node1")
    assert said in told.replace("\ufffd", "\\xff")


def test_who_is_silent_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostUnreachable, match=r"^not within 0\.1 s$"):
        liar(tmp_path, "exec sleep 600").question([str(tmp_path / "python3")]).ask(patience=0.1)


def test_what_is_long_goes_both_ways(tmp_path: Path) -> None:
    words = "ä" * 1_000_000
    done = Local("node1", "node", {}).question(["sh", "-c", "tee /dev/stderr; exit 5"]).ask(words, patience=60)
    assert done == (5, words, words)


def test_who_does_not_read_what_it_is_asked_answers_all_the_same() -> None:
    done = Local("node1", "node", {}).question(["echo", "7"]).ask("x" * 10_000_000, patience=60)
    assert done == (0, "7\n", "")


# --- a host that has just ended -----------------------------------------------------------------------


@pytest.fixture
def gone() -> int:
    """The number of a process that was there."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_a_host_that_has_just_ended_is_silent(gone: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\n")
    host = Embedded("node2", "node", {}, "default", gone)
    for way in ("ask", "start", "succeeds"):
        with pytest.raises(HostUnreachable, match="host node2 has just ended, or cannot be entered"):
            getattr(host.call(["true"]), way)(**({"patience": 1} if way == "ask" else {}))
    other = liar(tmp_path, "echo '{}'")
    assert ask([host, other]) == {"node2": None, "node1": None}
    assert "warning: node2 does not answer: host node2 has just ended" in capsys.readouterr().err


def test_without_ssh_only_those_behind_it_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    host = liar(tmp_path, "echo '{}'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask([Ssh("node2", "node", {}), host]) == {"node2": None, "node1": None}
    told = capsys.readouterr().err
    assert "warning: node2 does not answer: there is no program ssh on this machine" in told
    assert "warning: node1: what the host tells of itself" in told


def connection(pid: int) -> Any:
    found = embedded.Connection.__new__(embedded.Connection)
    found._pid, found._connected = pid, True
    found._play_context = SimpleNamespace(remote_addr="node2")
    found._options, found._origins = {"silence": 15}, {}
    return found


def test_to_ansible_such_a_host_is_unreachable(gone: int) -> None:
    with pytest.raises(AnsibleConnectionFailure, match="embedded host node2 cannot be entered"):
        connection(gone)._run(["true"])


@pytest.fixture
def outside_of_labs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.entry, "command", lambda pid: [])
    monkeypatch.setattr(embedded.entry, "seal", lambda pid: lambda: None)


@pytest.mark.usefixtures("outside_of_labs")
def test_so_is_one_that_ends_while_something_runs_there() -> None:
    host = subprocess.Popen(["sleep", "600"])
    reaped = f"kill {host.pid}; while [ -e /proc/{host.pid}/ns/net ]; do :; done; exit 1"
    with pytest.raises(AnsibleConnectionFailure, match="embedded host node2 has ended while something ran there"):
        connection(host.pid)._run(["sh", "-c", reaped])
    host.wait()


@pytest.mark.usefixtures("outside_of_labs")
def test_so_is_one_that_talks_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_SAID", 1 << 20)
    with pytest.raises(AnsibleConnectionFailure, match="embedded host node2: its answer is longer than 1 MiB"):
        connection(os.getpid())._run(["yes"])
    assert connection(os.getpid())._run(["sh", "-c", "cat; exit 3"], b"x" * 100_000) == (3, b"x" * 100_000, b"")


# --- Ansible's own words ------------------------------------------------------------------------------


def test_all_that_a_run_shows_is_printable_and_keeps_ansibles_colours() -> None:
    shown: list[str] = []
    display = SimpleNamespace(display=lambda text, **options: shown.append(str(text)))
    screen.keep_printable(display)
    screen.keep_printable(display)
    display.display(f"[WARNING]: {ESCAPES}")
    screen.coloured(display, lambda: display.display("\x1b[32mok=1\x1b[0m"))
    display.display(screen.Coloured("\x1b[31m-a\x1b[0m"))
    display.display(ESCAPES, color="red")
    assert shown == [
        "[WARNING]: \\x1b]0;owned\\x07",
        "\x1b[32mok=1\x1b[0m",
        "\x1b[31m-a\x1b[0m",
        "\\x1b]0;owned\\x07",
    ]

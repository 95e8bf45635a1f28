"""Each run has connections of its own."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from podlab.controller import process


def test_each_run_has_a_directory_for_its_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What runs have left that have ended goes away; what is open still, and what others have there, stays."""
    monkeypatch.delenv(process.CONTROL_PATH_DIR, raising=False)
    for name in ("run-ended", "run-open", "run-held", "0123456789"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-open/socket").touch()
    held = os.open(tmp_path / "run-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    process.keep_connections_apart(str(tmp_path))
    mine = Path(os.environ[process.CONTROL_PATH_DIR])
    assert {path.name for path in tmp_path.iterdir()} == {"run-open", "run-held", "0123456789", mine.name}
    assert mine.parent == tmp_path
    os.close(held)


def test_a_run_in_another_pid_namespace_takes_nobodys_directory_away(tmp_path: Path) -> None:
    """There is no process with this one's pid in there."""
    program = f"from podlab.controller import process; process.keep_connections_apart({str(tmp_path)!r}); "
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    first = subprocess.Popen(
        [sys.executable, "-c", program + "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert first.stdin and first.stdout
    with first:
        first.stdout.readline()
        before = {path.name for path in tmp_path.iterdir()}
        apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
        subprocess.run([*apart, sys.executable, "-c", program], env=environment, check=True)
        assert len(before) == 1 and before <= {path.name for path in tmp_path.iterdir()}
        first.stdin.close()


def test_where_there_are_no_locks_ansibles_own_directory_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.delenv(process.CONTROL_PATH_DIR, raising=False)
    monkeypatch.setattr(fcntl, "flock", flock)
    process.keep_connections_apart(str(tmp_path))
    assert process.CONTROL_PATH_DIR not in os.environ
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_the_users_own_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", "/elsewhere")
    process.keep_connections_apart(str(tmp_path / "none"))
    assert os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"] == "/elsewhere"

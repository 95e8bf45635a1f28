"""Each run has connections of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podlab.controller import process


def test_each_run_has_a_directory_for_its_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What runs have left that have ended goes away; what they still hold open, and what others have there, stays."""
    monkeypatch.delenv("ANSIBLE_SSH_CONTROL_PATH_DIR", raising=False)
    ended, open_still = "4194304", "4194305"  # no process has such a number: PID_MAX_LIMIT
    for name in (ended, open_still, str(os.getppid())):
        (tmp_path / name).mkdir()
    (tmp_path / open_still / "socket").touch()
    (tmp_path / "1234567890").touch()
    process.keep_connections_apart(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {open_still, str(os.getppid()), "1234567890"}
    assert os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"] == f"{tmp_path}/{os.getpid()}"


def test_a_directory_of_the_users_own_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", "/elsewhere")
    process.keep_connections_apart(str(tmp_path / "none"))
    assert os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"] == "/elsewhere"

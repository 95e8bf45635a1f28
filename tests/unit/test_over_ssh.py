"""Where there can be no SSH to embedded hosts, the scenario for it is left out with a word."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli.develop import test as check
from embedded import over_ssh
from tests import steps


def test_the_scenario_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    why = "openssh-server and sudo cannot be fetched: E: Unable to locate package sudo"
    monkeypatch.setattr(over_ssh, "why_not", lambda: why)
    monkeypatch.setattr(check, "failure_of", lambda step, home: "it was run")
    assert ("ssh", False) in steps.SCENARIOS
    with pytest.raises(pytest.skip.Exception, match=why):
        steps.test_scenario("ssh", False, str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="it was run"):
        steps.test_scenario("default", False, str(tmp_path))


def test_an_ordinary_user_has_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert "one user id" in over_ssh.why_not()


def test_without_a_source_the_last_words_of_apt_are_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And no half of it is kept."""
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text("#!/bin/sh\necho 'E: Unable to locate package sudo' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    keygen = apt.with_name("ssh-keygen")
    keygen.write_text("")
    keygen.chmod(0o755)
    words = "openssh-server and sudo cannot be fetched: E: Unable to locate package sudo"
    assert over_ssh.why_not() == words
    assert subprocess.check_output(["find", str(tmp_path / "cache"), "-type", "f"], text=True) == ""

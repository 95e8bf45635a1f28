"""Scenarios are played as molecule would play them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests import scenario

NAMES = sorted(path.parent.name for path in scenario.ROOT.glob("molecule/*/molecule.yml"))


def test_settings_are_those_that_molecule_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from molecule.config import Config

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in NAMES:
        monkeypatch.setenv("MOLECULE_EPHEMERAL_DIRECTORY", str(tmp_path / name))
        file = scenario.ROOT / "molecule" / name / "molecule.yml"
        shared = str(scenario.ROOT / ".config/molecule/config.yml")
        theirs = Config(str(file), args={"base_config": [shared]}, command_args={"subcommand": "test"})
        ours = scenario.settings(name)
        assert ours["scenario"]["test_sequence"] == theirs.scenario.test_sequence
        assert ours["ansible"]["executor"]["args"]["ansible_playbook"] == theirs.provisioner.ansible_args
        for step, playbook in ours["ansible"]["playbooks"].items():
            assert playbook == getattr(theirs.provisioner.playbooks, step), (name, step)
        assert ours["ansible"]["env"].items() <= theirs.provisioner.env.items()
        assert files(scenario.tests_of(ours)) == files(map(os.path.normpath, theirs.verifier._get_tests())), name


def files(tests: Iterable[str]) -> set[Path]:
    return {file for path in map(Path, tests) for file in ([path] if path.is_file() else path.rglob("test_*.py"))}


PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - command: {argv: [touch, "{{ file }}"], creates: "{{ file }}"}
    - command: {argv: ["{{ then | default('true') }}"]}
      changed_when: false
"""


def test_a_step_that_fails_ends_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "tests").mkdir()
    words = ["-i", "localhost,", "-c", "local", "-e", f"file={tmp_path / 'file'}"]
    made = {
        "environment": {"MOLECULE_SCENARIO_DIRECTORY": str(tmp_path)},
        "ansible": {"executor": {"args": {"ansible_playbook": words}}, "playbooks": {"converge": "play.yml"}},
        "verifier": {},
    }
    scenario.play(made, "check")
    assert not (tmp_path / "file").exists()
    with pytest.raises(SystemExit, match="idempotence: this run has changed something"):
        scenario.play(made, "idempotence")
    scenario.play(made, "idempotence")
    words += ["-e", "then=false"]
    with pytest.raises(SystemExit, match="converge: exit code 2"):
        scenario.play(made, "converge")
    for test, code in (("", 5), ("def test(): assert False", 1)):
        (tmp_path / "tests" / "test_it.py").write_text(test)
        verify = f"from tests import scenario; scenario.verify({made!r})"
        assert subprocess.run([sys.executable, "-c", verify], cwd=scenario.ROOT).returncode == code

"""A scenario of ``molecule/`` from its first step to its last, with Ansible and pytest loaded once.

The steps are molecule's, by the same settings, and ``molecule test`` does the same. But it starts itself for two seconds
of a processor's time, and Ansible twice a step. The scenario ``default`` is played by molecule all the same, and a unit
test holds what is read here against what molecule reads.
"""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import preforked

ROOT = Path(__file__).resolve().parents[1]
OWN_PLAYBOOK = ("create", "destroy")
"""Steps with a playbook of their own; others play ``converge``."""


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As molecule lays settings over others: of two lists the upper one holds."""
    pairs = [(name, below[name]) for name in below if name not in above]
    for name, value in above.items():
        known = below.get(name)
        pairs.append((name, merged(known, value) if isinstance(value, dict) and isinstance(known, dict) else value))
    return dict(pairs)


def settings(name: str) -> dict[str, Any]:
    """Those that all scenarios share, with those of this one over them."""
    words = {
        "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        "MOLECULE_SCENARIO_DIRECTORY": str(ROOT / "molecule" / name),
        "MOLECULE_SCENARIO_NAME": name,
    }
    files = (ROOT / ".config/molecule/config.yml", ROOT / "molecule" / name / "molecule.yml")
    shared, own = (yaml.safe_load(string.Template(file.read_text("utf-8")).substitute(words)) for file in files)
    return merged(merged({"environment": words}, shared), own)


def play(scenario: Mapping[str, Any], step: str) -> None:
    """:raises SystemExit: it has failed."""
    ansible, directory = scenario["ansible"], scenario["environment"]["MOLECULE_SCENARIO_DIRECTORY"]
    playbook = ansible["playbooks"][step if step in OWN_PLAYBOOK else "converge"]
    argv = ["ansible-playbook", *ansible["executor"]["args"]["ansible_playbook"], playbook]
    argv += ["--check"] if step == "check" else []
    done = preforked.play(argv, dict(os.environ), Path(directory))
    print(f"--- {step}\n{done.stdout}{done.stderr}", flush=True)
    if done.returncode:
        sys.exit(f"{step}: exit code {done.returncode}")
    if step == "idempotence" and re.search("changed=[1-9]", done.stdout):
        sys.exit(f"{step}: this run has changed something")


def tests_of(scenario: Mapping[str, Any]) -> list[str]:
    """Directories and files of tests, as ``verify`` is to find them."""
    verifier = {"directory": "tests", "additional_files_or_dirs": [], **scenario["verifier"]}
    tests = Path(scenario["environment"]["MOLECULE_SCENARIO_DIRECTORY"], verifier["directory"])
    return [os.path.normpath(tests / name) for name in (".", *verifier["additional_files_or_dirs"])]


def verify(scenario: Mapping[str, Any]) -> None:
    """:raises SystemExit: a test has failed, or there is none."""
    os.chdir(scenario["environment"]["MOLECULE_SCENARIO_DIRECTORY"])
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests_of(scenario)])
    if code:
        sys.exit(int(code))


def run(name: str) -> None:
    scenario = settings(name)
    os.environ.update(scenario["environment"] | scenario["ansible"]["env"] | {"ANSIBLE_NOCOLOR": "1"})
    for step in scenario["scenario"]["test_sequence"]:
        if step == "verify":
            verify(scenario)
        else:
            play(scenario, step)


if __name__ == "__main__":
    run(*sys.argv[1:])

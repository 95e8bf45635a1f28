"""What ``./lab test`` runs beside files of tests, each of it a test: lint, molecule's scenarios, faults by chance.

Nothing but ``./lab test`` collects this file. All of it waits in one queue with the others: ``tests/queue.py``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.develop import test as check
from embedded import over_ssh
from tests import preforked
from tests.campaigns.mend import ROUTING

SCENARIOS = [(name, False) for name in check.scenarios() if name != "rootless" or os.getuid()]
SCENARIOS += [(name, True) for name in check.ORDINARY if os.getuid() == 0]


@pytest.fixture
def home() -> Iterator[str]:
    """Not pytest's own directory: that is closed to everybody else."""
    with tempfile.TemporaryDirectory(prefix="podlab-test-") as directory:
        os.chmod(directory, 0o755)
        yield directory


def proven(step: check.Step, home: str) -> None:
    wrong = check.failure_of(step, Path(home))
    if wrong:
        pytest.fail(wrong, pytrace=False)


@pytest.mark.parametrize("name", check.LINT)
def test_lint(name: str, home: str) -> None:
    # ansible-lint starts Ansible for the syntax of each playbook and each role.
    environment = preforked.on_path(Path(home), os.environ) if name == "ansible-lint" else {}
    proven(check.Step(name, check.LINT[name], environment), home)


@pytest.mark.parametrize(
    ("name", "ordinary"), SCENARIOS, ids=[f"{name}-nobody" if who else name for name, who in SCENARIOS]
)
def test_scenario(name: str, ordinary: bool, home: str) -> None:
    if name == "ssh" and (why := over_ssh.why_not()):
        pytest.skip(why)
    proven(check.scenario(name, home, ordinary=ordinary), home)


@pytest.mark.parametrize("routing", ROUTING)
def test_faults(routing: str, home: str) -> None:
    proven(check.faults_of(routing), home)

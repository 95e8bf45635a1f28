"""One queue for files of tests and for steps: what is long comes first, and nothing is well that is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.develop import test as check
from tests import queue

ROOT = Path(__file__).parents[2]


def test_the_longest_comes_first_and_a_file_keeps_its_order() -> None:
    names = ["tests/unit/test_a.py::test_2", "tests/unit/test_a.py::test_1", "tests/lab/test_b.py::test[x]"]
    names += ["tests/steps.py::test_lint[mypy]", "tests/steps.py::test_lint[ruff check]"]
    kept = {
        "tests/steps.py::test_lint[mypy]": 2.0,
        "tests/unit/test_a.py": 90.0,
        "tests/steps.py::test_lint[ruff check]": 1.0,
    }
    assert queue.in_order(names[::-1], kept) == [names[1], names[0], *names[2:]]


def test_a_fresh_clone_begins_with_whole_labs() -> None:
    names = ["tests/unit/test_a.py::test", "tests/lab/test_b.py::test", "tests/steps.py::test_scenario[default]"]
    assert queue.in_order(names, {}) == names[::-1]


def test_times_are_kept_beside_those_of_what_has_not_run(tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    assert queue.durations(path) == {}
    queue.keep({"a": 1.0, "b": 2.0}, path)
    queue.keep({"b": 3.04}, path)
    assert queue.durations(path) == {"a": 1.0, "b": 3.0}
    for broken in ("[1]", "{", '{"a": null}'):
        path.write_text(broken)
        assert queue.durations(path) == {}
    queue.keep({"a": 1.0}, tmp_path / "nowhere" / "durations.json")


TESTS = """
import pytest
def test_good(): pass
@pytest.mark.parametrize("word", ["bad", "good"])
def test_both(word): assert word == "good"
"""
SKIPS = "import pytest\ndef test_good(): pass\ndef test_not(): pytest.skip('not here')"


def test_each_file_has_its_line_and_the_last_one_is_pytests(tmp_path: Path) -> None:
    for name in ("test_first.py", "test_second.py"):
        (tmp_path / name).write_text(TESTS if name == "test_first.py" else SKIPS)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    (tmp_path / "conftest.py").write_text("from tests import queue; queue.KEPT = queue.Path('kept.json')")
    options = ["-qra", "-p", "tests.queue", "-p", "no:cacheprovider", "-n", "2", "--no-loadscope-reorder", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        env={**own, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [" ".join(line.split()[3:]) for line in lines if line.startswith("test_first.py ")] == ["FAILED (1)"]
    assert [line.split()[3] for line in lines if line.startswith("test_second.py ")] == ["ok"]
    assert "FAILED test_first.py::test_both[bad]" in lines
    assert [line for line in lines if "not here" in line] == ["SKIPPED [1] test_second.py:3: not here"]
    assert lines[-1].startswith("1 failed, 3 passed, 1 skipped in ")
    assert queue.durations(tmp_path / "kept.json").keys() == {"test_first.py", "test_second.py"}


def test_the_whole_run_has_every_file_of_tests_and_every_step() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PODLAB_VM_"))}
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *check.WHOLE]
    done = subprocess.run(argv, cwd=ROOT, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {queue.group_of(line) for line in done.stdout.splitlines() if "::" in line}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert {path for path in there - found if not path.startswith("tests/vm/")} == set()
    steps = {f"tests/steps.py::test_scenario[{path.parent.name}]" for path in ROOT.glob("molecule/*/molecule.yml")}
    steps |= {f"tests/steps.py::test_lint[{name}]" for name in check.LINT}
    assert steps - found <= {"tests/steps.py::test_scenario[rootless]"}
    assert any(name.startswith("tests/steps.py::test_faults[") for name in found)


@pytest.mark.parametrize(
    ("script", "is_scenario", "wrong"),
    [
        ("echo 3 passed", True, ""),
        ("echo all is well", False, ""),
        ("echo all is well", True, "it proves nothing: no test has passed\nall is well"),
        ("echo out; echo err >&2; exit 1", False, "out\nerr"),
        ("exit 1", False, "it says nothing"),
    ],
)
def test_a_step_that_fails_or_proves_nothing_says_so(
    script: str, is_scenario: bool, wrong: str, tmp_path: Path
) -> None:
    after = tmp_path / "after"
    step = check.Step("x", ["sh", "-c", script], is_scenario=is_scenario, finally_=["touch", str(after)])
    assert check.failure_of(step, tmp_path) == wrong
    assert after.exists()


@pytest.mark.parametrize(
    "ordinary", [False, pytest.param(True, marks=pytest.mark.skipif(os.getuid() != 0, reason="root's"))]
)
def test_the_lab_that_a_scenario_lights_is_the_one_that_is_put_off(ordinary: bool, tmp_path: Path) -> None:
    step = check.scenario("pods", str(tmp_path), ordinary=ordinary)
    settings = (ROOT / ".config" / "molecule" / "config.yml").read_text("utf-8")
    lit = re.findall(r"^ +PODLAB_LAB: (.*)$", settings, re.MULTILINE)
    assert {name.replace("${MOLECULE_SCENARIO_NAME}", "pods") for name in lit} == {step.environment["PODLAB_LAB"]}
    assert step.finally_[-2:] == ["cli", "down"]

"""One queue for all that ``./lab test`` runs: files of tests, and each of the steps of ``tests/steps.py``.

What took longest the last time comes first, so that what is short fills the end, and as soon as a file or a step is
done its line is printed. The times are kept in the clone, beside the code that they are of; a fresh clone has those of
``USUAL``.

Not ``--dist=loadfile`` alone: that takes the file with the most tests for the longest, and all steps for one file.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

KEPT = Path(__file__).parents[1] / ".durations.json"
# Seconds, by the longest beginning of a name.
USUAL = {
    "tests/unit/": 1.0,
    "tests/unit/test_kubelet.py": 23.0,
    "tests/lab/": 20.0,
    "tests/lab/test_check.py": 40.0,
    "tests/lab/test_containers.py": 50.0,
    "tests/lab/test_docs.py": 110.0,
    "tests/lab/test_lab_command.py": 50.0,
    "tests/lab/test_readiness.py": 45.0,
    "tests/lab/test_repair.py": 70.0,
    "tests/lab/test_sealed.py": 60.0,
    "tests/lab/test_security.py": 50.0,
    "tests/lab/test_services_sync.py": 70.0,
    "tests/lab/test_short_cut.py": 80.0,
    "tests/lab/test_thirty": 90.0,
    "tests/lab/test_verify.py": 45.0,
    "tests/steps.py::": 30.0,
    "tests/steps.py::test_lint": 10.0,
    "tests/steps.py::test_scenario[scale]": 80.0,
    "tests/steps.py::test_scenario[services-change]": 70.0,
    "tests/steps.py::test_scenario[ssh]": 65.0,
}


def group_of(nodeid: str) -> str:
    """What one worker does in one go: a file, whose tests may share a lab, or a step."""
    return nodeid if nodeid.startswith("tests/steps.py::") else nodeid.partition("::")[0]


def expected(group: str, kept: Mapping[str, float]) -> float:
    usual = max((start for start in USUAL if group.startswith(start)), key=len, default="")
    return kept.get(group, USUAL.get(usual, 1.0))


def in_order(names: list[str], kept: Mapping[str, float]) -> list[str]:
    """The longest first; tests of a file stay together and in their order."""
    return sorted(names, key=lambda name: (-expected(group_of(name), kept), group_of(name)))


def durations(path: Path | None = None) -> dict[str, float]:
    """Those of the last run; nothing if there are none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        return {str(name): float(seconds) for name, seconds in json.loads((path or KEPT).read_text("utf-8")).items()}
    return {}


def keep(found: Mapping[str, float], path: Path | None = None) -> None:
    """Beside those of what has not run now. Somebody who may not write there has no use for them."""
    rounded = {name: round(seconds, 1) for name, seconds in sorted({**durations(path), **found}.items())}
    with contextlib.suppress(OSError):
        (path or KEPT).write_text(json.dumps(rounded, indent=0) + "\n", "utf-8")


class Board:
    """What is done and how long it took, on the controller."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.left: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.done: dict[str, float] = {}

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        from xdist.scheduler import LoadScopeScheduling  # before this, pytest wants to have imported it itself

        scheduler = LoadScopeScheduling(config, log)
        scheduler._split_scope = group_of  # type: ignore[method-assign]
        return scheduler

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.left = Counter(map(group_of, ids))

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """No letters between the lines."""
        if report.when == "call" or report.skipped:
            return report.outcome, "", "" if report.passed else report.outcome.upper()
        return ("error", "", "ERROR") if report.failed else ("", "", "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        group = group_of(report.nodeid)
        self.seconds[group] += report.duration
        if report.failed:
            self.wrong[group] += 1
            self.say(f"FAILED {report.nodeid}", "red")

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        group = group_of(nodeid)
        self.left[group] -= 1
        if not self.left[group]:
            self.done[group] = self.seconds[group]
            wrong, name = self.wrong[group], group.removeprefix("tests/steps.py::test_")
            word = f"FAILED ({wrong})" if wrong else "ok"
            self.say(f"{name:45} {self.seconds[group]:6.1f} s  {word}", "red" if wrong else "green")

    def say(self, words: str, colour: str) -> None:
        writer = self.config.pluginmanager.getplugin("terminalreporter")
        writer.ensure_newline()
        writer.line(words, **{colour: True})

    def pytest_sessionfinish(self) -> None:
        keep(self.done)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Board(config), "podlab-board")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """After everybody else: all workers have to come to the same order."""
    yield
    kept = durations()
    places = {name: place for place, name in enumerate(in_order([item.nodeid for item in items], kept))}
    items.sort(key=lambda item: places[item.nodeid])

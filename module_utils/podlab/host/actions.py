"""How actions are run: one registry, action kind -> its runner.

A runner is registered where it is written, so that a module imports no more than its own kinds need.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from ..changes import actions
from ..changes.actions import Action
from ..changes.netfilter.rules import WriteRules, restore_text
from .network.network import write_sysctl
from .record import write_file
from .run import HostError, batch, run, run_all


class Todo(NamedTuple):
    """What a module has to do, and warnings, which may grow while it is done."""

    actions: Sequence[Action]
    warnings: Sequence[str] = ()


Runner = Callable[[Sequence[Any]], "list[str] | None"]
"""Runs neighbours of one kind. What it returns is what went wrong with some of them and keeps nothing else from being
done; what nothing may come after it raises."""

RUNNERS: dict[type[Action], Runner] = {}
CHECKS: dict[type[Action], Callable[[Sequence[Any]], None]] = {}
"""Asked before the first action of a list is run; they raise what would make one fail."""

R = TypeVar("R", bound=Callable[[Sequence[Any]], Any])


def runs(kind: type[Action]) -> Callable[[R], R]:
    """Register a function as the runner of a kind."""

    def register(runner: R) -> R:
        RUNNERS[kind] = runner
        return runner

    return register


def checks(kind: type[Action]) -> Callable[[R], R]:
    def register(check: R) -> R:
        CHECKS[kind] = check
        return check

    return register


def apply(todo: Iterable[Action]) -> None:
    """Run actions in their order.

    :raises HostError: at the first one that nothing may come after, or in the end.
    """
    batches = [(kind, [*neighbours]) for kind, neighbours in itertools.groupby(todo, type)]
    for kind, neighbours in batches:
        if kind in CHECKS:
            CHECKS[kind](neighbours)
    failed: list[str] = []
    for kind, neighbours in batches:
        failed += RUNNERS[kind](neighbours) or []
    if failed:
        raise HostError("\n".join(failed))


def _batch(lines: Sequence[actions.BatchLine]) -> None:
    batch(lines[0].program, [line.words for line in lines])


for _kind in (actions.Ip, actions.Bridge, actions.Tc):
    runs(_kind)(_batch)


@runs(actions.NetnsIp)
def _inside(lines: Sequence[actions.NetnsIp]) -> None:
    """One process a namespace, started in it: that is what "ip -n" does, but for the mounts that it makes for it."""
    words: dict[str, list[str]] = {}
    for line in lines:
        words.setdefault(line.netns, []).append(line.words)
    commands = [(["ip", "-batch", "-"], "\n".join(todo) + "\n") for todo in words.values()]
    answers = run_all(commands, [*words])
    failed = [
        f"network namespace {netns}: {err.strip()}"
        for netns, (code, _, err) in zip(words, answers, strict=True)
        if code
    ]
    if failed:
        raise HostError("\n".join(failed))


@runs(actions.Sysctl)
def _sysctls(settings: Sequence[actions.Sysctl]) -> None:
    for setting in settings:
        write_sysctl(setting.key, setting.value)


@runs(actions.Run)
def _commands(commands: Sequence[actions.Run]) -> None:
    for command in commands:
        run(command.argv)


@checks(actions.Require)
def _are_there(found: Sequence[actions.Require]) -> None:
    raise HostError("\n".join(words for one in found for words in one.lacking))


@runs(WriteRules)
def _write_rules(found: Sequence[WriteRules]) -> None:
    for rules in found:
        run(["iptables-restore", "--wait", "5", "--noflush"], restore_text(rules.tables))


@runs(actions.WriteFile)
def _write_files(files: Sequence[actions.WriteFile]) -> None:
    for file in files:
        os.makedirs(os.path.dirname(file.path), exist_ok=True)
        write_file(file.path, file.text, 0o644)


@runs(actions.RemoveFile)
def _remove_files(files: Sequence[actions.RemoveFile]) -> None:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.path)


@runs(actions.RemoveEmptyDirectory)
def _remove_empty_directories(directories: Sequence[actions.RemoveEmptyDirectory]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            os.rmdir(directory.path)


@runs(actions.RemoveTree)
def _remove_trees(trees: Sequence[actions.RemoveTree]) -> None:
    for tree in trees:
        if os.path.isdir(tree.path) and not os.path.islink(tree.path):
            shutil.rmtree(tree.path)
        else:
            os.unlink(tree.path)

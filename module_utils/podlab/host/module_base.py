"""The shape that every module of a component has: observe, work out, apply, tell."""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..changes import actions
from . import lease
from .actions import Todo, apply
from .ansible_module import ansible_module
from .boot import last_configs, rebooted
from .run import HostError, words_of

Work = Callable[[dict[str, Any]], Todo]
"""Parameters in, what is to be done out. Nothing is written before that is run."""


def run_module(argument_spec: dict[str, Any], work: Work, component: str = "", **otherwise: Any) -> None:
    """Run one component's module: no lines, no change; in check mode the lines alone.

    :param argument_spec: with ``caller`` where the module writes as a part of a run, which has the host to itself.

    :param component: the name that what it is told is kept by, for a boot to replay; without one it is not.
    :param otherwise: what is kept in place of parameters that are about this call alone.
    """
    module = ansible_module(argument_spec)
    params = {name: value for name, value in module.params.items() if name != "caller"}
    try:
        with locked():
            take = functools.partial(lease.take, module.params["caller"]) if "caller" in argument_spec else None
            lines, warnings = perform(work, params, component, otherwise, take, check_mode=module.check_mode)
            if component and lines and not module.check_mode:
                rebooted.over()
    except (HostError, OSError) as error:
        module.fail_json(msg=words_of(error))
    diff = {"prepared": "".join(f"{line}\n" for line in lines)} if lines else {}
    for words in warnings:
        module.warn(words)
    module.exit_json(changed=bool(lines), diff=diff)


@contextmanager
def locked() -> Iterator[None]:
    """A run that was cut off may still be at work here; the next one waits for its end."""
    lock = os.open("/run", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def perform(
    work: Work,
    params: dict[str, Any],
    component: str,
    otherwise: Mapping[str, Any],
    take: Callable[[], None] | None = None,
    *,
    check_mode: bool = False,
) -> tuple[list[str], list[str]]:
    """Work out and apply; the lines, and warnings. What was told is kept once it is true.

    :param take: is called before the first write.
    """
    told = {**params, **otherwise}
    todo = work(params)
    lines = actions.lines(todo.actions)
    is_news = bool(component) and last_configs.differs(component, told)
    if not check_mode:
        if take and (is_news or lines):
            take()
        if is_news:
            last_configs.begin(component, told)
        if lines:
            apply(todo.actions)
        if is_news:
            last_configs.settle(component)
    found = [*lines, *([f"# write {last_configs.path(component)}: what a boot replays"] if is_news else [])]
    return found, [*todo.warnings]

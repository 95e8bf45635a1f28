"""Waits for pods and tells meanwhile on whom; documentation is with the module of the same name."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean

from podlab.controller.module_action import ModuleAction
from podlab.controller.status_line import StatusLine, terminal_of_run
from podlab.printable import printable

PARTIAL = 1.0
"""Seconds after which a wait may end with a part of its pods. Most pods are there by then, all at once."""


class ActionModule(ModuleAction):
    """One call of the module for each word: a module's output comes at its end. A wait that is short is one call."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given, began = dict(self._task.args), time.monotonic()
        host = (task_vars or {}).get("inventory_hostname", "")
        is_partial, news = boolean(given.get("partial", False), strict=False), News(self._task._uuid)
        with contextlib.ExitStack() as held:
            teller = Teller(held, terminal_of_run(held), self._display.display)
            told = began
            while True:
                self._task.args = {**given, "report_after": PARTIAL if is_partial else teller.every}
                result = super().run(tmp, task_vars)
                if result.get("arrived"):
                    news.tell()
                if "waiting" not in result or (is_partial and news.are_told):
                    return result
                given["state"] = result["state"]
                if (now := time.monotonic()) - told >= teller.every:
                    teller.tell(host, result["waiting"], now - began)
                    told = now


class News:
    """Whether a pod has become ready on any host of a task. Each host has a process of its own, which ends with its
    part of the task: so it is a file, in the directory that goes with the run."""

    def __init__(self, task: str) -> None:
        self._path = os.path.join(constants.DEFAULT_LOCAL_TMP, f"podlab-ready-{os.getppid()}-{task}")

    def tell(self) -> None:
        with open(self._path, "w", encoding="ascii"):
            pass

    @property
    def are_told(self) -> bool:
        return os.path.exists(self._path)


class Teller(StatusLine):
    def tell(self, host: str, waiting: Sequence[Mapping[str, Any]], seconds: float) -> None:
        if waiting:  # or the time of the last one has ended between two looks
            self.show(line(host, waiting, seconds))


def line(host: str, waiting: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """On whom it waits, for how long, and what its probe said last; nothing of it can command a terminal."""
    first, more = waiting[0], len(waiting) - 1
    others = f" and {more} more" if more else ""
    said = " ".join(first["words"].splitlines())
    words = f"waiting for {first['pod']} on {host}{others}, {seconds:.0f} s, at most {first['left']} s more"
    return printable(f"{words}: {said}" if said else words)

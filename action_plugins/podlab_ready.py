"""Waits for pods and tells meanwhile on whom; documentation is with the module of the same name."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from podlab.controller.module_action import ModuleAction
from podlab.controller.status_line import StatusLine, terminal_of_run
from podlab.printable import printable


class ActionModule(ModuleAction):
    """One call of the module for each word: a module's output comes at its end. A wait that is short is one call."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given, began = dict(self._task.args), time.monotonic()
        host = (task_vars or {}).get("inventory_hostname", "")
        with contextlib.ExitStack() as held:
            teller = Teller(held, terminal_of_run(held), self._display.display)
            state: dict[str, Any] = {}
            while True:
                self._task.args = {**given, "report_after": teller.every, **state}
                result = super().run(tmp, task_vars)
                if "state" not in result:
                    return result
                state = {"state": result.pop("state")}
                teller.tell(host, result["waiting"], time.monotonic() - began)


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

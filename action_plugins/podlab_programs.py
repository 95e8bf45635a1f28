"""Installs packages and tells meanwhile how far they are; documentation is with the module of the same name."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from podlab.controller.module_action import ModuleAction
from podlab.controller.status_line import StatusLine, terminal_of_run
from podlab.printable import printable


class ActionModule(ModuleAction):
    """A line a host, and how far it is. The pages of apt-get are for ``-v``."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        given, began, is_started = dict(self._task.args), time.monotonic(), False
        host = (task_vars or {}).get("inventory_hostname", "")
        if not self._task.check_mode:
            self._display.display(printable(f"{host}: installing {len(given.get('packages', ()))} packages"))
        with contextlib.ExitStack() as held:
            line = StatusLine(held, terminal_of_run(held), self._display.display)
            while True:
                self._task.args = {**given, "report_after": line.every, "is_started": is_started}
                result = super().run(tmp, task_vars)
                if "progress" not in result:
                    break
                is_started = True
                words = f"installing on {host}: {result.pop('progress')}, {time.monotonic() - began:.0f} s"
                line.show(printable(words))
        log = str(result.pop("log", ""))
        if self._display.verbosity > 0:
            self._display.display(printable("".join(f"{host}: {line}\n" for line in log.splitlines())))
        return result

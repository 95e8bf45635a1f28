"""Tells which hosts a run waits for, where a task takes long."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.callback import CallbackBase

from podlab.controller.waiting import Waiting, terminal_of

DOCUMENTATION = """
name: podlab_waiting
type: aggregate
short_description: Tells which hosts a run waits for
description:
  - On a terminal, a task that takes more than a few seconds is named in one line that is written over, with the hosts
    that it waits for. Elsewhere there is a line of its own now and then.
  - Tasks that tell by themselves how far they are do so instead.
author: podlab
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "podlab_waiting"

    def __init__(self) -> None:
        super().__init__()
        shown = self._display.display
        self._waiting = Waiting(terminal_of(1), shown)

        def display(msg: str, *args: Any, **options: Any) -> None:
            self._waiting.clear()
            shown(msg, *args, **options)

        self._display.display = display

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._waiting.starts(host.get_name(), task.name or task.action, task.action)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._waiting.ends(result.host.get_name())

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._waiting.ends(result.host.get_name())

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._waiting.ends(result.host.get_name())

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._waiting.ends(result.host.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._waiting.end()

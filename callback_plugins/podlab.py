"""What ansible-playbook prints: Ansible's own callback, but for tasks of podlab's that fail. They say it once."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

from podlab.controller import screen
from podlab.controller.guarded import Guarded
from podlab.printable import printable_value

DOCUMENTATION = """
name: podlab
type: stdout
short_description: Ansible's default output, with errors said once
description:
  - Ansible prints the message of a failed task twice, as C([ERROR]) with the place of the task and in C(fatal), there
    broken into YAML. What is wrong with a manifest is neither in a task nor in YAML, so it is printed once, as it is.
  - Everything else, and every task that is not podlab's, is as with M(ansible.builtin.default). C(-vvv) shows that of
    podlab's as well.
  - What would steer a terminal is written out, whoever has said it.
  - Where standard output cannot be written to, the run comes to its end all the same, and ends with 1 or, where nobody
    reads it, 141.
author: podlab
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

MODULES = ("podlab_", "embedded_lab")


class CallbackModule(Default):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "podlab"

    def __init__(self) -> None:
        super().__init__()
        if not isinstance(sys.stdout, Guarded):
            sys.stdout = Guarded(sys.stdout)
        screen.keep_printable(self._display)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        screen.coloured(self._display, lambda: super(CallbackModule, self).v2_playbook_on_stats(stats))
        if isinstance(sys.stdout, Guarded) and (code := sys.stdout.exit_code()):
            raise SystemExit(code)

    def _get_diff(self, difflist: Any) -> str:
        return screen.Coloured(super()._get_diff(printable_value(difflist)))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        words = _message(result)
        if words is None or ignore_errors or self._display.verbosity > 2:
            super().v2_runner_on_failed(result, ignore_errors)
            return
        if self._last_task_banner != result.task._uuid:
            self._print_task_banner(result.task)
        self._handle_warnings(result.result)
        self._display.display(
            f"fatal: [{self.host_label(result)}]: FAILED!\n{words}",
            color=constants.COLOR_ERROR,
            stderr=self.get_option("display_failed_stderr"),
        )


def _message(result: Any) -> str | None:
    """What a task of podlab's has to say; None where it did not get as far as that."""
    is_ours = result.task.action.rpartition(".")[2].startswith(MODULES)
    crash = result.exception and getattr(result.exception.event, "formatted_traceback", None)
    words = result.result.get("msg")
    return words if is_ours and not crash and isinstance(words, str) and "results" not in result.result else None

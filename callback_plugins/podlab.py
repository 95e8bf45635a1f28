"""What ansible-playbook prints: Ansible's own callback, but for tasks of podlab's that fail, which say it once, and for
what has become of each host, which is said in the end."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible import constants, context
from ansible.plugins.callback.default import CallbackModule as Default

from podlab.controller import module_action, process, screen
from podlab.controller.guarded import Guarded
from podlab.controller.outcomes import RUN
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
  - In the end each host is named with what has become of it - unchanged, mended (what), refused (why), failed,
    unreachable, or lost in this run. The exit code is 0 for the first two, 2 where any host was refused or failed, and
    4 where any host did not answer, which is the worst.
  - What would steer a terminal is written out, whatever its source.
  - Where standard output cannot be written to, the run comes to its end all the same, and ends with 1 or, where nobody
    reads it, 141.
author: podlab
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

MODULES = ("podlab_", "embedded_lab")
ON_CONTROLLER = ("group_by", "include_tasks")  # they are done where no host is asked


class CallbackModule(Default):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "podlab"

    def __init__(self) -> None:
        super().__init__()
        if not isinstance(sys.stdout, Guarded):
            sys.stdout = Guarded(sys.stdout)
        screen.keep_printable(self._display)
        process.keep_connections_apart()
        # Before the first of the workers is forked: all of them have it then.
        process.end_workers_with_run()
        module_action.preload()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        screen.coloured(self._display, lambda: super(CallbackModule, self).v2_playbook_on_stats(stats))
        RUN.keeps_failed(stats.failures)
        hosts = sorted({*stats.processed, *RUN.refused, *RUN.changed})
        for line in RUN.lines(hosts, is_check=bool(context.CLIARGS.get("check"))):
            self._display.display(line)
        self._display.display("")
        code = sys.stdout.exit_code() if isinstance(sys.stdout, Guarded) else 0
        if code := code or RUN.exit_code():
            raise SystemExit(code)

    def v2_runner_on_ok(self, result: Any) -> None:
        super().v2_runner_on_ok(result)
        name = result.host.get_name()
        if not (result.task.run_once or result.task.action.rpartition(".")[2] in ON_CONTROLLER):
            RUN.answers(name)
        if result.task.action.rpartition(".")[2] == "podlab_plan":  # no host may say that of another one
            RUN.refuses(result.result.get("refused", {}))
        if result.is_changed():
            for host in _switched(result) or [name]:
                RUN.changes(host, _component(result.task))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        super().v2_runner_on_unreachable(result)
        if not result.task.ignore_unreachable:
            RUN.is_silent(result.host.get_name(), _why(result.result.get("msg", "")))

    def _get_diff(self, difflist: Any) -> str:
        return screen.Coloured(super()._get_diff(printable_value(difflist)))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            RUN.fails("" if result.task.run_once else result.host.get_name(), result.task.get_name())
        words = _message(result)
        if words is None or self._display.verbosity > 2:
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
        if ignore_errors:
            self._display.display("...ignoring", color=constants.COLOR_SKIP)


def _message(result: Any) -> str | None:
    """What a task of podlab's has to say; None where it did not get as far as that."""
    is_ours = result.task.action.rpartition(".")[2].startswith(MODULES)
    crash = result.exception and getattr(result.exception.event, "formatted_traceback", None)
    words = result.result.get("msg")
    return words if is_ours and not crash and isinstance(words, str) and "results" not in result.result else None


def _component(task: Any) -> str:
    """What a task is about, in the words of site.yml's tags."""
    name = task._role.get_name() if task._role else task.action.rpartition(".")[2].removeprefix("podlab_")
    return "power" if name == "embedded_lab" else str(name)


def _switched(result: Any) -> list[str]:
    """The hosts that were powered on, halted or plugged in: one task does it for all of them."""
    if result.task.action.rpartition(".")[2] != "embedded_lab":
        return []
    done = [line.removeprefix("power on ").split() for line in result.result.get("done", [])]
    return [words[1] if words[0] in ("halt", "plug") else words[0] for words in done if words != ["power", "off"]]


def _why(words: object) -> str:
    """Why a host does not answer: the last of what ssh says, if it says anything, or the first of what podlab does."""
    lines = [line.strip() for line in str(words).splitlines() if line.strip()]
    return re.sub(".*(via|over) ssh: ?|^Task failed: ", "", lines[-1]) if lines else ""

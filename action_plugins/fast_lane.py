"""Runs podlab's modules without AnsiballZ. Every module of podlab's has this plugin under its own name.

The modules in library/ are ordinary ones and run without this plugin as well, only slower: building AnsiballZ
takes 0.16 s a module, and importing AnsibleModule out of it 0.13 s a call. A run has twenty calls; this
plugin halves its time. docs/decisions.md has the figures.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.vars.clean import remove_internal_keys

from podlab.controller import luggage, process
from podlab.controller.outcomes import RUN
from podlab.printable import printable_result

KILLED = (-9, 137)

process.end_workers_with_run()  # Ansible loads this before it forks the first of them


class ActionModule(ActionBase):
    """Sends one program text to the host's Python over the task's own connection, become included."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        name = self._task.action.rpartition(".")[2]
        self._begin_anew(self._task.delegate_to or (task_vars or {}).get("inventory_hostname"))
        if not (self._connection.has_pipelining and self._is_pipelining_enabled("new", wrap_async=False)):
            return printable_result({**result, **self._execute_module(task_vars=task_vars)})
        text = luggage.program(ROOT / "library", name, self._task.args, self._task.check_mode)
        python = constants.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars)
        answer = self._low_level_execute_command(shlex.join([str(python), "-IS", "-"]), in_data=text.encode())
        try:
            result.update(believable(answer["stdout"].strip().rpartition("\n")[2]))
        except ValueError:
            words = answer["stderr"].strip() or answer["stdout"].strip()
            if not words and answer["rc"] in KILLED:
                words = "it was killed while it was at work"
            if words.startswith("Traceback") and self._display.verbosity < 1:
                words = f"{words.splitlines()[-1]} (-v shows where)"
            result.update(failed=True, msg=f"{name} ended with {answer['rc']}: {words}")
        if name == "podlab_observe":
            result["_ansible_verbose_override"] = True  # not even with -v: values of Secrets are in it
        return printable_result(result)

    def _begin_anew(self, host: Any) -> None:
        """Leave what an earlier run has left of a connection, once a run: the host may have gone meanwhile, and been
        made anew, with another key. Who asks by a dead connection waits for its end, and is told that the host is
        unreachable. Trying twice instead would let a dead host take twice as long."""
        if self._connection.transport == "ssh" and host not in RUN.reached:
            self._connection.reset()


def believable(words: str) -> dict[str, Any]:
    """What a host says of itself, without what only the controller may say: a host that lies could add another one
    whose connection is this machine (``add_host``), and have its commands run here.

    :raises ValueError: it is no answer of a module.
    """
    try:
        answer = json.loads(words)
    except RecursionError:
        raise ValueError("it is no answer of a module: its lists and objects are too deep") from None
    if not isinstance(answer, dict):
        raise ValueError(f"it is no answer of a module: {words}")
    answer.pop("ansible_facts", None)  # none of podlab's modules has any
    remove_internal_keys(answer)
    return answer

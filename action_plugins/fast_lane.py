"""Runs podlab's modules without AnsiballZ. Every module of podlab's has this plugin under its own name.

The modules in library/ are ordinary ones and run without this plugin as well, only slower: building AnsiballZ
takes 0.16 s a module, and importing AnsibleModule out of it 0.13 s a call. A run has twenty calls; this
plugin halves its time. docs/decisions.md has the figures.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible import constants
from ansible.plugins.action import ActionBase

from podlab.controller import answers, caller, module_bundle, process
from podlab.printable import printable_result

WRITERS = {
    f"podlab_{name}"
    for name in ("bridge", "claim", "iptables", "namespaces", "node", "pods", "routes", "services", "system")
}
"""Modules that have to know whose run it is: of two at once, one is refused (``host.lease``)."""

# Ansible loads this before it forks the first of its workers.
process.end_workers_with_run()
module_bundle.packed()

KILLED = (-9, 137)


class ActionModule(ActionBase):
    """Sends one program text to the host's Python over the task's own connection, become included."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        if self._name in WRITERS:
            known = task_vars or {}
            leases = known.get("podlab_plan", {}).get("leases", {})
            args = {**args, "caller": caller.told(leases.get(known.get("inventory_hostname")))}
        if not (self._connection.has_pipelining and self._is_pipelining_enabled("new", wrap_async=False)):
            return printable_result({**result, **self._execute_module(module_args=args, task_vars=task_vars)})
        name = self._name
        text = module_bundle.program(ROOT / "library", name, args, self._task.check_mode)
        python = constants.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars)
        answer = self._low_level_execute_command(shlex.join([str(python), "-IS", "-"]), in_data=text.encode())
        last = answer["stdout"].strip().rpartition("\n")[2]
        try:
            result.update(answers.read(name, last))
        except answers.Unbelievable as error:
            result.update(failed=True, msg=f"{name}: {error}")
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

    @property
    def _name(self) -> str:
        return str(self._task.action.rpartition(".")[2])

    def _parse_returned_data(self, res: dict[str, Any], profile: str) -> dict[str, Any]:
        """Where Ansible runs the module in its own way: before it looks at what is in the answer.

        What a module tells there by Ansible's own classes are warnings, and in ``exception`` where it has failed.
        """
        data: dict[str, Any] = super()._parse_returned_data(res, profile)
        if not data["_ansible_parsed"]:
            return data
        warnings, exception = data.get("warnings"), data.pop("exception", None)
        if isinstance(warnings, list):
            data["warnings"] = [one.event.msg if hasattr(one, "event") else one for one in warnings]
        try:
            told = answers.believed(self._name, data)
        except answers.Unbelievable as error:
            return {"failed": True, "msg": f"{self._name}: {error}", "_ansible_parsed": True}
        has_crashed = bool(told.get("failed")) and hasattr(exception, "event")
        return told | {"_ansible_parsed": True} | ({"exception": exception} if has_crashed else {})

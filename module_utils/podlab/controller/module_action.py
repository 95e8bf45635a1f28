"""Runs podlab's modules without AnsiballZ: the work of ``action_plugins/podlab.py``.

The modules in library/ are ordinary ones and run without this as well, only slower: docs/decisions.md has the figures.
Only how a module is packed is podlab's own; how its parameters are checked, how the interpreter is found, the task's
environment, become and what is done with the answer are Ansible's. Where Ansible packs a module in a way that this one
does not know (async, no pipelining, an interpreter that is yet to be discovered), it does so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.executor.interpreter_discovery import InterpreterDiscoveryRequiredError
from ansible.executor.module_common import _BuiltModule, _get_shebang
from ansible.plugins.action import ActionBase

from ..host.lease import Caller
from ..printable import printable_result
from . import answers, argument_spec, caller, module_bundle

CALLER = "caller"
"""The parameter of modules that have to know whose run it is: of two at once, one is refused (``host.lease``)."""

KILLED = (-9, 137)


def preload() -> None:
    """Let this process have what all modules need, so that those which it forks need not make it again: Ansible itself
    loads an action plugin for a prefix in each of its workers, which takes 0.06 s of a processor's time with what it
    imports."""
    module_bundle.packed()


class ModuleAction(ActionBase):  # type: ignore[misc]
    """As ``ansible.builtin.normal``, but for ``_configure_module``, which packs, and ``_parse_returned_data``, which
    believes a host no more than what its module tells."""

    _supports_check_mode = True
    _supports_async = True

    _program: str | None = None
    """The text for the host's Python, if the short cut is taken."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables, path = task_vars or {}, self._module_path()
        spec = argument_spec.read(path)
        args = dict(self._task.args)
        if CALLER in spec[argument_spec.ARGUMENT_SPEC]:
            args[CALLER] = self._caller(variables)
        wrap_async = bool(self._task.async_val and not self._connection.has_native_async)
        self._program, checked = None, None
        if self._can_go_short(spec):
            checked = argument_spec.validate(self._task.action, spec, args)
            if checked.problem:
                return printable_result({**result, **checked.notes(), "failed": True, "msg": checked.problem})
            self._program = module_bundle.program(path, checked.params, self._task.check_mode)
        answer = self._execute_module(module_args=args, task_vars=variables, wrap_async=wrap_async)
        result |= checked.completed(answer) if checked else answer
        if self._name == "podlab_observe":
            result["_ansible_verbose_override"] = True  # not even with -v: values of Secrets are in it
        return printable_result(result)

    @property
    def _name(self) -> str:
        return str(self._task.action.rpartition(".")[2])

    def _module_path(self) -> Path:
        """Where Ansible finds it, too."""
        loader = self._shared_loader_obj.module_loader
        found = loader.find_plugin_with_context(self._task.action, collection_list=self._task.collections)
        if not found.resolved:
            raise AnsibleActionFail(f"The module {self._task.action} was not found in configured module paths")
        return Path(found.plugin_resolved_path)

    def _caller(self, variables: Mapping[str, Any]) -> Caller:
        leases = variables.get("podlab_plan", {}).get("leases", {})
        return caller.told(leases.get(self._task.delegate_to or variables.get("inventory_hostname")))

    def _can_go_short(self, spec: Mapping[str, Any]) -> bool:
        """What async runs reads no standard input, and its answer does not come back here."""
        if self._task.async_val or argument_spec.needs_host(spec[argument_spec.ARGUMENT_SPEC]):
            return False
        return bool(self._is_pipelining_enabled("new"))

    def _configure_module(self, module_name: str, module_args: Any, task_vars: dict[str, Any]) -> tuple[Any, str]:
        """Where Ansible packs a module and finds the interpreter for it."""
        shebang = None if self._program is None else self._shebang(task_vars)
        if shebang is None or self._program is None:
            self._program = None
            packed: tuple[Any, str] = super()._configure_module(module_name, module_args, task_vars)
            return packed
        text = self._program.encode()
        profile = argument_spec.PROFILE
        built = _BuiltModule(b_module_data=text, module_style="new", shebang=shebang, serialization_profile=profile)
        return built, str(self._module_path())

    def _shebang(self, task_vars: dict[str, Any]) -> str | None:
        """The interpreter, by Ansible's own rules; None if it is yet to be discovered on this host, which Ansible does
        where it packs a module, once."""
        to = self._task.delegate_to
        variables = task_vars["ansible_delegated_vars"][to] if to else task_vars
        is_local = bool(getattr(self._connection, "_remote_is_local", False))
        try:
            shebang, _ = _get_shebang("/usr/bin/python", variables, self._templar, remote_is_local=is_local)
        except InterpreterDiscoveryRequiredError:
            return None
        return str(shebang)

    def _low_level_execute_command(
        self, cmd: str, *args: Any, in_data: bytes | None = None, **more: Any
    ) -> dict[str, Any]:
        """Python without site-packages and variables of its own, which starts in half of the time. Ansible takes a
        shebang for one word."""
        command = f"{cmd} -IS -" if self._program is not None and in_data is not None else cmd
        done: dict[str, Any] = super()._low_level_execute_command(command, *args, in_data=in_data, **more)
        return done

    def _parse_returned_data(self, res: dict[str, Any], profile: str) -> dict[str, Any]:
        found = self._own_answer(res) if self._program is not None else self._answer_of_ansible(res, profile)
        return {"_ansible_parsed": True} | found

    def _own_answer(self, res: Mapping[str, Any]) -> dict[str, Any]:
        last = res["stdout"].strip().rpartition("\n")[2]
        try:
            return answers.read(self._name, last)
        except answers.Unbelievable as error:
            return {"failed": True, "msg": f"{self._name}: {error}"}
        except ValueError:
            words = res["stderr"].strip() or res["stdout"].strip()
        if not words and res["rc"] in KILLED:
            words = "it was killed while it was at work"
        if words.startswith("Traceback") and self._display.verbosity < 1:
            words = f"{words.splitlines()[-1]} (-v shows where)"
        return {"failed": True, "msg": f"{self._name} ended with {res['rc']}: {words}"}

    def _answer_of_ansible(self, res: dict[str, Any], profile: str) -> dict[str, Any]:
        """What a module tells there by Ansible's own classes are warnings, and in ``exception`` where it has failed."""
        data: dict[str, Any] = super()._parse_returned_data(res, profile)
        if not data["_ansible_parsed"]:
            return data
        if self._task.async_val:
            return answers.job(data)
        exception, deprecations = data.pop("exception", None), data.pop("deprecations", None)
        if isinstance(data.get("warnings"), list):
            data["warnings"] = [one.event.msg if hasattr(one, "event") else one for one in data["warnings"]]
        try:
            told = answers.believed(self._name, data)
        except answers.Unbelievable as error:
            return {"failed": True, "msg": f"{self._name}: {error}"}
        if isinstance(deprecations, list) and deprecations:
            told["deprecations"] = [_as_dict(one) for one in deprecations if hasattr(one, "event")]
        has_crashed = bool(told.get("failed")) and hasattr(exception, "event")
        return told | ({"exception": exception} if has_crashed else {})


def _as_dict(deprecation: Any) -> dict[str, Any]:
    """As a module may tell it, without what else Ansible's class has of the host."""
    collection = getattr(deprecation.deprecator, "resolved_name", None)
    when = {"version": deprecation.version, "date": deprecation.date}
    return {"msg": deprecation.event.msg, **when, "collection_name": collection}

"""The power switch of the embedded hosts; documentation is with the module of the same name."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.controller import process, settings
from podlab.embedded import Lab, PowerError
from podlab.planner.inputs.variables import Variables, misnamed
from podlab.planner.preflight.listing import listed
from podlab.printable import printable

process.end_workers_with_run()  # Ansible loads this before it forks the first of them


class ActionModule(ActionBase):
    """Runs on the controller, in its own process: the hosts that it starts are not there to run a module."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _, args = self.validate_argument_spec(argument_spec={"state": {"choices": ["on", "off"], "default": "on"}})
        lab = Lab(ROOT, str(task_vars.get("podlab_lab") or os.environ.get("PODLAB_LAB") or "default"))
        check = self._task.check_mode
        process.forget_the_shell()
        try:
            variables = settings.of_hosts(task_vars, task_vars["groups"]["all"])
            refuse_old_names(variables, task_vars["groups"], only="podlab_keep_power" if args["state"] == "off" else "")
            if args["state"] == "off":
                off = lab.lab_init() is not None if check else lab.power_off()
                done = ["power off"] if off else []
            else:
                hosts = embedded_hosts(variables, task_vars["groups"])
                # The worker's parent is ansible-playbook: a lab that check mode starts ends with it.
                done = lab.power_on(hosts, check=check, until_exit_of=os.getppid()) if hosts else []
        except (PowerError, BadInventory) as error:
            return {"failed": True, "msg": printable(str(error))}
        return {"changed": bool(done), "done": done, "diff": {"prepared": "".join(f"{line}\n" for line in done)}}


class BadInventory(ValueError):
    """What is wrong with the variables of an inventory; one line each."""


def refuse_old_names(variables: Variables, groups: Mapping[str, Sequence[str]], *, only: str) -> None:
    """Before a host is made: what has an old name would be passed over.

    :param only: a setting that alone matters; teardown needs no other one.
    """
    wrong = [line for line, meant in misnamed(variables, groups).items() if only in ("", meant)]
    if wrong:
        raise BadInventory("\n".join(listed(wrong)))


def embedded_hosts(hostvars: Variables, groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Embedded hosts of the inventory with their interfaces; an interface is an address with the prefix of its segment.

    A host with one interface sends everything else to the gateway of its segment.
    """
    interfaces, wrong = {}, []
    for name, variables in hostvars.items():
        if variables.get("ansible_connection") == "embedded":
            written = variables.get("interfaces", [f"{variables.get('ansible_host', name)}/24"])
            interfaces[name] = [str(interface) for interface in written] if isinstance(written, list) else []
            if not interfaces[name] or not all(map(_is_interface, interfaces[name])):
                shown = json.dumps(written, default=str)
                wrong.append(
                    f"inventory: {name}: interfaces: Invalid value: {shown}: must be a list of IPv4 addresses with "
                    "prefix length (e.g. 10.100.0.2/24); without it, ansible_host is the one"
                )
    if wrong:
        raise BadInventory("\n".join(wrong))
    gateways = {
        IPv4Interface(interface).network: str(IPv4Interface(interface).ip)
        for name in groups.get("gateways", [])
        for interface in interfaces.get(name, [])
    }
    return [
        {
            "name": name,
            "interfaces": ends,
            "gateway": gateways.get(IPv4Interface(ends[0]).network) if len(ends) == 1 else None,
        }
        for name, ends in interfaces.items()
    ]


def _is_interface(text: str) -> bool:
    try:
        IPv4Interface(text)
    except ValueError:
        return False
    return "/" in text

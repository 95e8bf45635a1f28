"""Ends a run for one host; documentation is with the module of the same name."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.printable import printable


class ActionModule(ActionBase):
    """It fails for its host, which Ansible leaves out of the rest of the run then. Not ``ansible.builtin.fail``: its
    message is printed as Ansible's, twice and in YAML."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            argument_spec={"words": {"type": "list", "elements": "str", "required": True}}
        )
        host = (task_vars or {}).get("inventory_hostname")
        words = "\n".join(printable(f"{host}: {line}") for line in args["words"])
        return {"failed": True, "msg": words, "refused": args["words"]}

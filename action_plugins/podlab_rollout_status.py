"""Says which pods are not ready; documentation is with the module of the same name."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.controller import rollout_report
from podlab.printable import printable


class ActionModule(ActionBase):
    """Runs once on the controller, over what ``podlab_ready`` registered as ``rollout_ready`` on every host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self.validate_argument_spec(argument_spec={})
        unready = rollout_report.unready(task_vars)
        if not unready and not rollout_report.pending(task_vars):
            return {"changed": False, "unready": []}
        rollout_report.tell_in_place()
        words = printable("\n".join(rollout_report.lines(unready, task_vars)))
        return {"failed": True, "msg": words, "unready": unready}

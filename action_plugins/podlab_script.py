"""Writes the hosts of the plan as shell scripts; documentation is with the module of the same name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.controller import script, transport
from podlab.records.observation import sound_observation


class ActionModule(ActionBase):
    """Runs once on the controller, after the plan."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _, args = self.validate_argument_spec(argument_spec={"directory": {"type": "path", "required": True}})
        plan, headings = task_vars["podlab_plan"], script.play_names(ROOT)
        written = []
        for name, rows in plan["hosts"].items():
            if "node" not in rows:  # it does not answer, or is nobody that podlab changes
                continue
            told = transport.decode(task_vars["hostvars"][name]["observe_result"]["observation"])
            seen, _, _ = sound_observation(told, {})  # what is wrong with it the plan has told
            role = "node" if name in task_vars["groups"]["nodes"] else "gateway"
            opened = transport.opened_rows(rows)
            # As hosts keep it, for it is signed.
            opened["node"]["record"] |= json.loads(rows["node"]["cluster"])
            host = script.HostPlan(name, role, opened, seen, tuple(plan["unfinished"]))
            for suffix, text in (("", script.script(host, headings)), ("-undo", script.undo(host, headings))):
                path = Path(args["directory"], f"{name}{suffix}.sh")
                path.touch(mode=0o600)
                path.chmod(0o600)  # before the text is in it: values of Secrets are among it
                path.write_text(text, encoding="utf-8")
                written.append(str(path))
        return {"changed": False, "written": written}

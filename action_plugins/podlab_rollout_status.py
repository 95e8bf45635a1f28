"""Says which pods are not ready; documentation is with the module of the same name."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils"))

from ansible.plugins.action import ActionBase

from podlab.printable import printable


class ActionModule(ActionBase):
    """Runs once on the controller, over what ``podlab_ready`` registered as ``rollout_ready`` on every host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self.validate_argument_spec(argument_spec={})
        unready = [
            {**pod, "node": host}
            for host in task_vars["ansible_play_hosts"]
            for pod in task_vars["hostvars"][host].get("rollout_ready", {}).get("unready", [])
        ]
        if not unready:
            return {"changed": False, "unready": []}
        lines = [line for pod in unready for line in (f"pod {pod['pod']} on {pod['node']}:", *_indented(pod["words"]))]
        rolling = [f"unfinished: {words}" for words in task_vars["podlab_plan"]["rolling"]]
        head = f"{len(unready)} {'pod is' if len(unready) == 1 else 'pods are'} not ready; everything else is in place"
        return {"failed": True, "msg": printable("\n".join([head, *lines, *rolling])), "unready": unready}


def _indented(words: list[str]) -> list[str]:
    return [f"  {line}" for line in words]

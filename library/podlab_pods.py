"""Pods of a node: namespaces, wires, processes."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_pods
short_description: Give a node its pods
description:
  - Builds, mends and removes pods - their namespaces with a pause process, their wire to the bridge, their containers.
  - What is sound is not touched, so open connections of other pods survive.
author: podlab
options:
  pods:
    description: The pods of this node, from the plan. A pod of podlab's that is not among them is removed.
    type: json
    required: true
  programs:
    description: podlab's own programs that containers run; file name -> text.
    type: dict
    default: {}
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: This node has no pods
  podlab_pods:
    pods: []
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import json
from typing import Any

from ansible.module_utils.podlab.changes import script_text
from ansible.module_utils.podlab.changes.pods import pod_commands, pods, s6_commands
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import containers, lost_supervisors
from ansible.module_utils.podlab.host.pods import pods as host_pods

ARGUMENT_SPEC = {
    "pods": {"type": "json", "required": True},
    "programs": {"type": "dict", "default": {}},
    "caller": {"type": "dict"},
}


def work(rows: dict[str, Any]) -> Any:
    steps = pods.changes(network.links(), host_pods.observe(), json.loads(rows["pods"]))
    stale = containers.stale_programs(rows["programs"])
    # One that is about to be started or taken away needs no telling.
    is_stale = not {"kubelet", "enter"}.isdisjoint(stale)  # it runs the text of both
    restart = is_stale and steps.kubelet not in ("start", "stop") and containers.kubelet_lives()
    lines = script_text.brief(s6_commands.programs({name: rows["programs"][name] for name in stale}))
    lines += [s6_commands.BUSYBOX] if lines and containers.lacks_busybox() else []
    lines += [*(lost_supervisors.lines() if steps else []), *pod_commands.lines(steps)]
    lines += [f"s6-svc -t {s6_commands.KUBELET}"] if restart else []

    def apply() -> None:
        containers.write_programs(rows["programs"])
        host_pods.apply(steps)
        if restart:
            containers.restart_kubelet()

    return lines, apply


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "pods", programs={})  # they lie on the disk

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

from ansible.module_utils.podlab.changes.pods import pods
from ansible.module_utils.podlab.changes.pods.actions import (
    InstallBusybox,
    InstallProgram,
    RestartKubelet,
    StartKubelet,
    StopKubelet,
)
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import kubelet_service, lost_supervisors, programs
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.pods import runners as runners

ARGUMENT_SPEC = {
    "pods": {"type": "json", "required": True},
    "programs": {"type": "dict", "default": {}},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    found = pods.changes(network.links(), host_pods.observe(), json.loads(params["pods"]))
    stale = programs.stale(params["programs"])
    install = [InstallProgram(name, params["programs"][name]) for name in stale]
    busybox = [InstallBusybox()] if (stale or found) and programs.lacks_busybox() else []
    lost = lost_supervisors.actions() if found else []
    # It runs the text of both. One that is about to be started or taken away needs no telling.
    is_stale = not {"kubelet", "enter"}.isdisjoint(stale)
    stays = not any(isinstance(action, (StartKubelet, StopKubelet)) for action in found)
    restart = [RestartKubelet()] if is_stale and stays and kubelet_service.lives() else []
    return actions.Todo([*install, *busybox, *lost, *found, *restart])


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "pods", programs={})  # they lie on the disk

"""Service rules of a node: what kube-proxy does."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_services
short_description: Turn service addresses into addresses of pods
description:
  - Writes the KUBE chains of a node as kube-proxy has them, from what the node is told about Services and endpoints. It
    works them out itself, because they are several times as long.
  - A chain that is right is not named, so its counters and open connections stay; rules of others are left alone.
  - Ends UDP connections to endpoints that have gone, and serves the health checks of Services and of kube-proxy.
  - Whichever iptables the host uses is used. Rules found in the other kind are a warning.
author: podlab
options:
  row:
    description: What the plan tells this node, as it is or packed by C(kube_record.pack), which is much faster.
    type: raw
    required: true
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type, 200 of each table at most.}
"""

EXAMPLES = """
- name: Turn service addresses into addresses of pods
  podlab_services:
    row: "{{ podlab_plan.hosts[inventory_hostname].services }}"
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import gc
from typing import Any

from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.kube_proxy import runners as runners
from ansible.module_utils.podlab.host.kube_proxy import services
from ansible.module_utils.podlab.host.module_base import run_module

ARGUMENT_SPEC = {"row": {"type": "raw", "required": True}, "caller": {"type": "dict"}}


def work(params: dict[str, Any]) -> actions.Todo:
    gc.disable()  # a hundred thousand rules are looked through again and again, and none of them is garbage
    return services.changes(params["row"])


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "services")

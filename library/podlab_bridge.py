"""The bridge that joins the pods of a node."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_bridge
short_description: Give a node the bridge of its pods
description:
  - Makes the bridge with its address and a pinned MAC, and mends it. It never touches a link of another name, but for
    queueing disciplines of podlab's own links.
author: podlab
options:
  row:
    description: The bridge, from the plan.
    type: dict
    required: true
    options:
      name: {description: Name of the bridge., type: str, required: true}
      address: {description: First address of the pod CIDR with its prefix length., type: str, required: true}
      mac: {description: MAC address., type: str, required: true}
      mtu: {description: Largest packet in bytes., type: int, required: true}
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: The bridge of node1's pods
  podlab_bridge:
    row: {name: cbr0, address: 10.1.1.1/24, mac: '0a:58:0a:01:01:01', mtu: 1500}
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

from typing import Any

from ansible.module_utils.podlab.changes.network import bridge
from ansible.module_utils.podlab.changes.network.link_state import KNOBS, knob
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network

ARGUMENT_SPEC = {
    "row": {
        "type": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "mac": {"type": "str", "required": True},
            "mtu": {"type": "int", "required": True},
        },
    },
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    row = params["row"]
    seen = network.read_sysctls(knob(name, key) for name in (row["name"], "default") for key in KNOBS)
    return actions.Todo(bridge.actions(network.links(), row, network.routes(), seen))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "bridge")

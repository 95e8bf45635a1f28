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
  name: {description: Name of the bridge., type: str, default: cbr0}
  address: {description: 'Its address with prefix length, the gateway of the pods.', type: str, required: true}
  mac: {description: 'MAC address, by default C(0a:58) and the four bytes of the address.', type: str}
  mtu: {description: 'Largest packet in bytes, by default what the link of the default route has.', type: int}
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
    address: 10.1.1.1/24
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

from typing import Any

from ansible.module_utils.podlab.changes.network import bridge, bridge_config
from ansible.module_utils.podlab.changes.network.link_state import KNOBS, knob
from ansible.module_utils.podlab.host import actions, record
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.run import HostError

ARGUMENT_SPEC = {
    "name": {"type": "str", "default": "cbr0"},
    "address": {"type": "str", "required": True},
    "mac": {"type": "str"},
    "mtu": {"type": "int"},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    links, routes, wrong = network.links(), network.routes(), list(bridge_config.problems(params))
    is_by_hand = not record.has_cluster()
    if not wrong and is_by_hand:  # in a cluster it is the plan that looks
        wrong = bridge_config.in_the_way(params["name"], params["address"], links, routes)
    if wrong:
        raise HostError("\n".join(wrong))
    row = bridge_config.complete(params, links, routes)
    seen = network.read_sysctls(knob(name, key) for name in (row["name"], "default") for key in KNOBS)
    if is_by_hand and seen.get(knob("default", "forwarding")) == "0":
        seen.pop(knob(row["name"], "forwarding"), None)  # it is the role node that makes the host forward
    return actions.Todo(bridge.actions(links, row, routes, seen))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "bridge")

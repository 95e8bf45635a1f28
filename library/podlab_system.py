"""What systemd and the network daemons of a host are told."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_system
short_description: Let a host put podlab's things back after a reboot, and its network daemons leave them alone
description:
  - Makes the unit C(podlab-boot.service), which replays what the host was told last, and the place where the other
    modules leave what they are told; or takes both away.
  - Writes drop-ins for systemd-networkd and NetworkManager, as far as they are installed, so that they leave podlab's
    links and routes alone. C(ManageForeignRoutes=no) is for all routes of the host.
author: podlab
options:
  row:
    description: What the host is told, from the plan.
    type: dict
    required: true
    options:
      boot: {description: Whether it puts everything back after a reboot., type: bool, required: true}
      links: {description: Names of podlab's links, as patterns., type: list, elements: str, required: true}
  code:
    description: podlab's own code as a zip file that Python runs, in base64.
    type: str
    default: ''
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: The network daemons leave podlab's links alone
  podlab_system:
    row: {boot: false, links: [cbr0, 'veth????????']}
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import base64
import hashlib
from typing import Any

from ansible.module_utils.podlab.changes.system import systemd
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.system import systemd as host_system

ARGUMENT_SPEC = {
    "row": {
        "type": "dict",
        "required": True,
        "options": {
            "boot": {"type": "bool", "required": True},
            "links": {"type": "list", "elements": "str", "required": True},
        },
    },
    "code": {"type": "str", "default": ""},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    code = base64.b64decode(params["code"])
    steps = systemd.steps(host_system.observe(), params["row"], hashlib.sha256(code).hexdigest())
    return actions.Todo(steps.actions(code))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work)

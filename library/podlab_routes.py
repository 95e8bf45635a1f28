"""Routes to the pods of other nodes."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_routes
short_description: Show a host the way to the pods of others
description:
  - Writes routes with podlab's protocol number, and removes what else leads into the cluster CIDR.
  - It does so in three parts, so that no packet is lost where each of them is done on all hosts before the next one.
author: podlab
options:
  routes:
    description: The routes to have. One of podlab's that is not among them is removed.
    type: list
    elements: dict
    required: true
    options:
      to: {description: Destination network., type: str, required: true}
      via: {description: Next hop., type: str, required: true}
      dev: {description: Link of a next hop that no address of the link leads to., type: str}
  within:
    description: A network in which every route is podlab's, as the cluster CIDR is. What else leads into it is removed.
    type: str
  foreign:
    description: Routes inside of it that were there before podlab and are left alone; by default those of the record.
    type: list
    elements: str
  vxlan:
    description: The overlay's end on this host; none in the other ways.
    type: dict
  relay:
    description: Whether it is others who send by these routes, as on a gateway.
    type: bool
    default: false
  part:
    description:
      - C(make) is what packets will need on their way, C(switch) are the routes of those who send them, C(break) is
        what nobody sends by any more. All of it in this order if left out.
    type: str
    choices: [make, switch, break]
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: The gateway knows which node holds which pod CIDR
  podlab_routes:
    within: 10.1.0.0/16
    routes:
      - {to: 10.1.1.0/24, via: 10.100.0.2}

- name: A node of two in an overlay
  podlab_routes:
    within: 10.1.0.0/16
    routes:
      - {to: 10.1.2.0/24, via: 10.1.2.0, dev: vxlan.1}
    vxlan:
      {name: vxlan.1, id: 1, port: 8472, local: 10.100.0.2, link: eth0, address: 10.1.1.0/32,
       mac: '0a:58:0a:01:01:00', mtu: 1450, peers: [{address: 10.1.2.0, mac: '0a:58:0a:01:02:00', node: 10.100.0.3}]}
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

from typing import Any

from ansible.module_utils.podlab.changes.actions import Require
from ansible.module_utils.podlab.changes.network import routes, routes_config
from ansible.module_utils.podlab.host import actions, record
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.run import HostError

ARGUMENT_SPEC = {
    "routes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "to": {"type": "str", "required": True},
            "via": {"type": "str", "required": True},
            "dev": {"type": "str"},
        },
    },
    "within": {"type": "str"},
    "foreign": {"type": "list", "elements": "str"},
    "vxlan": {"type": "dict"},
    "relay": {"type": "bool", "default": False},
    "part": {"type": "str", "choices": ["make", "switch", "break"]},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    links, observed, is_by_hand = network.links(), network.routes(), not record.has_cluster()
    wrong = list(routes_config.problems(params))
    row = routes_config.complete(params, record.known().get("foreign", []) if params["foreign"] is None else [])
    if not wrong and is_by_hand:  # in a cluster it is the plan that looks
        wrong = routes_config.in_the_way(row, observed)
    if wrong:
        raise HostError("\n".join(wrong))
    lost = network.lost_overlays(links, row["vxlan"])
    steps = routes.steps(links, network.tunnels(links), observed, row, lost)
    if params["part"]:
        steps = steps.part(params["part"])
    todo, has_hops = steps.actions(), not is_by_hand or row["vxlan"]
    lacking = [] if has_hops else routes_config.unreachable(row["routes"], links, observed)
    return actions.Todo([*([Require(lacking)] if lacking else []), *todo])


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "routes", part=None)

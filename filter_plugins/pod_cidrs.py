"""A pod CIDR for each node: the door to ``podlab.planner.ipam.pod_cidrs``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Ansible puts local module_utils on the path of modules, not of filters.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from podlab.planner.ipam.pod_cidrs import pod_cidrs

DOCUMENTATION = r"""
name: pod_cidrs
short_description: Give every node a pod CIDR of its own
description:
  - Cuts the cluster CIDR into blocks of one size and gives each node one, in the order of the input.
  - A node that has one keeps it. Adding or removing a node never renumbers another.
  - The first block is given out last, so that C(node1) of C(10.1.0.0/16) has C(10.1.1.0/24).
  - Everything wrong with the input is reported at once.
positional: cluster_cidr, prefix, reserved, present
options:
  _input:
    description: Names of the nodes, each once.
    type: list
    elements: str
    required: true
  cluster_cidr:
    description: The IPv4 range of all pods.
    type: str
    required: true
  prefix:
    description: Prefix length of a node's CIDR, from the cluster's own to 28.
    type: int
    default: 24
  reserved:
    description:
      - Ranges that no new CIDR may touch, written as C(ip route) does. The service CIDR, the node network,
        whatever a host routes elsewhere.
      - A default route is no reservation.
    type: list
    elements: str
    default: []
  present:
    description: The CIDR each node has now. Entries of other nodes are ignored.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Give two nodes their pod CIDRs
  ansible.builtin.debug:
    msg: "{{ ['node1', 'node2'] | pod_cidrs('10.1.0.0/16') }}"
# ok: [localhost] => {
#     "msg": {
#         "node1": "10.1.1.0/24",
#         "node2": "10.1.2.0/24"
#     }
# }

- name: Take node1 out and put node3 in, with 10.1.1.0/26 routed elsewhere
  ansible.builtin.debug:
    msg: "{{ ['node2', 'node3'] | pod_cidrs('10.1.0.0/16', reserved=['10.1.1.0/26'], present=now) }}"
  vars:
    now: {node1: 10.1.1.0/24, node2: 10.1.2.0/24}
# ok: [localhost] => {
#     "msg": {
#         "node2": "10.1.2.0/24",
#         "node3": "10.1.3.0/24"
#     }
# }
"""

RETURN = r"""
_value:
  description: The pod CIDR of each node, in the order of the input.
  type: dict
"""


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pod_cidrs": pod_cidrs}

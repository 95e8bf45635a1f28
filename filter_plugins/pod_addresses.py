"""An address for each pod of a node: the door to ``podlab.planner.ipam.pod_addresses``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Ansible puts local module_utils on the path of modules, not of filters.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from podlab.planner.ipam.pod_addresses import pod_addresses as allocate

DOCUMENTATION = r"""
name: pod_addresses
short_description: Give every pod of one node an address
description:
  - Goes round the node's pod CIDR, as the host-local CNI plugin does.
  - The network address, the first address (the pods' gateway) and the broadcast address are never given out.
  - A pod that has an address keeps it. One that is freed is not the next one given out.
  - Everything wrong with the input is reported at once.
positional: pod_cidr, present, cursor, taken
options:
  _input:
    description: Names of the node's pods, each once.
    type: list
    elements: str
    required: true
  pod_cidr:
    description: The node's pod CIDR.
    type: str
    required: true
  present:
    description: The address each pod has now. Those of pods that are not in the input are freed.
    type: dict
    default: {}
  cursor:
    description: C(cursor) of the last call's result. Without it, the circle starts behind the gateway.
    type: str
  taken:
    description: Addresses that no other pod may be given.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Give two pods their addresses
  ansible.builtin.debug:
    msg: "{{ ['default/web', 'default/db'] | pod_addresses('10.1.1.0/24') }}"
# ok: [localhost] => {
#     "msg": {
#         "addresses": {
#             "default/db": "10.1.1.3",
#             "default/web": "10.1.1.2"
#         },
#         "cursor": "10.1.1.3"
#     }
# }

- name: Replace one of them, which gets an address of its own
  ansible.builtin.debug:
    msg: "{{ ['default/db', 'default/cache'] | pod_addresses('10.1.1.0/24', now, cursor='10.1.1.8') }}"
  vars:
    now: {default/web: 10.1.1.2, default/db: 10.1.1.3}
# ok: [localhost] => {
#     "msg": {
#         "addresses": {
#             "default/cache": "10.1.1.9",
#             "default/db": "10.1.1.3"
#         },
#         "cursor": "10.1.1.9"
#     }
# }
"""

RETURN = r"""
_value:
  description:
    - The key C(addresses) holds the address of each pod.
    - The key C(cursor) is where the next call has to go on.
  type: dict
"""


def pod_addresses(
    pods: Sequence[str],
    pod_cidr: str,
    present: Mapping[str, str] | None = None,
    cursor: str | None = None,
    taken: Iterable[str] = (),
) -> dict[str, Any]:
    """The planner's pair with names on it: a template should not have to count."""
    assigned, cursor = allocate(pods, pod_cidr, present, cursor, taken)
    return {"addresses": assigned, "cursor": cursor}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"pod_addresses": pod_addresses}

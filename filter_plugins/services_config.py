"""What a node is told about Services: the door to ``podlab.planner.services.standalone.services_config``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Ansible puts local module_utils on the path of modules, not of filters.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from podlab.planner.model import Invalid
from podlab.planner.services import standalone

DOCUMENTATION = r"""
name: services_config
short_description: Work out what a node is told about Services
description:
  - Turns objects of kind Service, EndpointSlice and Endpoints into what the module C(podlab_services) writes rules of.
  - A Service that names no cluster IP or node port is given one, the same on every node.
  - Everything wrong with the objects is found at once, in the words of Kubernetes. It is a value, which the module
    fails with, as Ansible tells three times what a filter raises.
positional: cluster_cidr, node_name, service_cidr, zone
options:
  _input:
    description: The objects as Kubernetes has them.
    type: list
    elements: dict
    required: true
  cluster_cidr:
    description: The IPv4 range of all pods.
    type: str
    required: true
  node_name:
    description: Name of the node, as C(nodeName) of endpoints has it.
    type: str
    required: true
  service_cidr:
    description: The IPv4 range of cluster IPs.
    type: str
    default: 10.96.0.0/16
  zone:
    description: The node's zone, for hints of endpoints.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: A Service without endpoints
  ansible.builtin.debug:
    msg: "{{ [web] | services_config('10.1.0.0/16', 'node1') | json_query('ports[].cluster_ip') }}"
  vars:
    web: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}}
# ok: [localhost] => {
#     "msg": [
#         "10.96.0.10"
#     ]
# }
"""

RETURN = r"""
_value:
  description: The parameter C(config) of C(podlab_services), without the node's addresses, which the host adds; or
    C(problems), a list of sentences.
  type: dict
"""


def services_config(
    objects: Any, cluster_cidr: str, node_name: str, service_cidr: str = "10.96.0.0/16", zone: str = ""
) -> dict[str, Any]:
    try:
        return standalone.services_config(objects, cluster_cidr, node_name, service_cidr, zone)
    except Invalid as error:
        return {"problems": error.problems}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"services_config": services_config}

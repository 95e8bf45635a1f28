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
  config:
    description:
      - What the node is told. The filter C(services_config) makes it of Service and EndpointSlice objects.
      - A plan hands it over in one word, packed by C(kube_record.pack), which is much faster.
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
    config: "{{ [web] | services_config('10.1.0.0/16', 'node1') }}"
  vars:
    web:
      apiVersion: v1
      kind: Service
      metadata: {name: web}
      spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
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

ARGUMENT_SPEC = {"config": {"type": "raw", "required": True}, "caller": {"type": "dict"}}


def work(params: dict[str, Any]) -> actions.Todo:
    gc.disable()  # a hundred thousand rules are looked through again and again, and none of them is garbage
    told = params["config"]
    return services.changes(told if isinstance(told, str) else services.of_this_host(told))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "services")

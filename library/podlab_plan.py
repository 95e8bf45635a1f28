"""Plan every address, route and rule. The work is done by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_plan
short_description: "Plan: addresses, routes and rules from inventory and manifests"
description:
  - Reads the manifests and what M(podlab_observe) registered as C(observe_result) on every host, and plans the
    cluster. It runs on the controller and writes nothing.
  - Settings are variables of the hosts; the argument specification of the role C(plan) describes them.
  - Everything that is wrong with inventory, settings, manifests or hosts is reported together.
author: podlab
options:
  time:
    description: The time of the run, as in RFC 3339; what is new is said to be made then. The present one if left out.
    type: str
  whole:
    description: Whether the plan is to be written down - the row of services comes along even where a node has it
      already, and leads to pods that are yet to be made, as it will once they are ready.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: It never changes anything.}
"""

EXAMPLES = """
- name: Plan every address, route and rule
  podlab_plan:
  run_once: true
"""

RETURN = """
hosts:
  description: Host -> row of every component, and C(pending), the components that have anything to do there.
  returned: success
  type: dict
verify:
  description: What the probes have to find.
  returned: success
  type: dict
refused:
  description: Hosts that the run cannot change -> why, a sentence each. The rest of the plan is without them.
  returned: success
  type: dict
writes:
  description: Whether anything is going to be written.
  returned: success
  type: bool
leases:
  description: Host -> the run that was at work there last, and when, as it was found.
  returned: success
  type: dict
notes:
  description: What the user should know.
  returned: success
  type: list
  elements: str
unfinished:
  description: Workloads that need another step once these pods are ready, in words.
  returned: success
  type: list
  elements: str
has_services:
  description: Whether there are Services, which lead to pods that are ready.
  returned: success
  type: bool
turn:
  description: Which C(step) of its run this plan is, from 0 on, and the C(limit) by which a rollout has to be finished.
  returned: success
  type: dict
pods_changed:
  description: Whether this step does anything to pods, so that there is somebody to wait for.
  returned: success
  type: bool
"""

"""Documentation of the action plugin ``podlab_rollout_status``; it runs on the controller alone."""

DOCUMENTATION = """
module: podlab_rollout_status
short_description: Say which pods are not ready, and fail if there are any
description:
  - Reads what C(podlab_ready) registered as C(rollout_ready) on every host, and what the plan says of workloads.
  - The last word of a run, so that a pod that never gets ready keeps nothing else from being put in place.
author: podlab
attributes:
  check_mode: {support: full, description: Check mode waits for nobody, so there is nothing to say.}
"""

EXAMPLES = """
- name: Status of the rollout
  podlab_rollout_status:
  run_once: true
"""

RETURN = """
unready:
  description: The pods that are not ready, each with the reason and its last log lines.
  returned: always
  type: list
  elements: dict
"""

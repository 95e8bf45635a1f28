"""Wait until pods are ready, and tell why one is not."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_ready
short_description: Wait until this host's pods are ready
description:
  - Waits for all given pods at once, and ends as soon as nothing is left that waiting could change.
  - A pod that has failed for good is not waited for, nor one whose back-off outlasts the rest of the time.
  - It changes nothing, and it does not fail when a pod is not ready. Who is left is told.
  - What comes up may wait for what has come up, through a Service that does not lead there yet. With C(partial) a wait
    ends on all hosts as soon as that may be so on one of them.
author: podlab
options:
  pods:
    description:
      - Network namespace -> what its pod is waited for. C(Ready) is the condition of that name, or the phase Succeeded.
        C(Ended) is the phase Succeeded or Failed.
    type: dict
    required: true
  timeout:
    description:
      - Seconds that a pod may take, all of them side by side. They count from when it could be ready first,
        by the delays of its probes. C(0) looks once.
    type: float
    default: 60
  available:
    description: Network namespace -> for how many seconds its pod has to be ready (C(minReadySeconds)).
    type: dict
    default: {}
  partial:
    description:
      - Whether it also ends, after a second, when a pod has become ready on any host of this task and others have not.
        Then there is C(waiting) in the answer.
    type: bool
    default: false
  report_after:
    description: Seconds after which it tells how far it is, though it has not come to an end. C(0) is never.
    type: float
    default: 0
  state: {description: The C(state) of an earlier answer. The wait goes on from there., type: dict}
attributes:
  check_mode: {support: full, description: It never changes anything; in check mode it does not wait.}
"""

EXAMPLES = """
- name: Wait for the web server, and for the job to be done
  podlab_ready:
    pods: {default_web: Ready, default_migrate-0: Ended}
    timeout: 120
"""

RETURN = """
unready:
  description:
    - The pods that have not become what they were waited for. C(pod) is namespace/name, C(words) are lines for people,
      for each container that holds the pod up - its state, what its probes said, and its last log lines.
  returned: always
  type: list
  elements: dict
waiting:
  description:
    - Where the wait is not over, those that may still come, the longest wait first. C(pod) is namespace/name, C(left)
      the seconds that it has at most, C(words) what holds it up and the last answer of its probe.
  returned: when it has told how far it is
  type: list
  elements: dict
arrived:
  description: How many pods have become what they were waited for since the C(state) that was given, or in this call.
  returned: always
  type: int
state:
  description: What the next call needs to go on, for these pods or for others.
  returned: always
  type: dict
"""

from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.pods.ready import Wait
from ansible.module_utils.podlab.host.run import words_of

ARGUMENT_SPEC = {
    "pods": {"type": "dict", "required": True},
    "timeout": {"type": "float", "default": 60},
    "available": {"type": "dict", "default": {}},
    "partial": {"type": "bool", "default": False},
    "report_after": {"type": "float", "default": 0},
    "state": {"type": "dict"},
}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    given = module.params
    timeout = 0.0 if module.check_mode else float(given["timeout"])
    waiting = Wait(given["pods"], timeout, given["available"], given["state"])
    try:
        is_over = waiting.run(given["report_after"] or float("inf"))
        more = {} if is_over else {"waiting": waiting.progress()}
        told = {"unready": waiting.unready(), "arrived": waiting.arrived, "state": waiting.state}
        module.exit_json(changed=False, **told, **more)
    except OSError as error:
        module.fail_json(msg=words_of(error))


if __name__ == "__main__":
    main()

"""Wait until pods are ready, and tell why one is not."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_ready
short_description: Wait until this host's pods are ready
description:
  - Waits for all given pods at once, and ends as soon as nothing is left that waiting could change.
  - A pod that has failed for good is not waited for, nor one whose back-off outlasts the rest of the time.
  - It changes nothing, and it does not fail when a pod is not ready. Who is left is told.
author: podlab
options:
  pods:
    description:
      - Network namespace -> what its pod is waited for. C(Ready) is the condition of that name, or the phase Succeeded.
        C(Ended) is the phase Succeeded or Failed.
    type: dict
    required: true
  timeout: {description: Seconds that the wait may take, for all pods together., type: float, default: 60}
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.podlab.host.ready import wait


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pods": {"type": "dict", "required": True},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    timeout = 0.0 if module.check_mode else float(module.params["timeout"])
    try:
        module.exit_json(changed=False, unready=wait(module.params["pods"], timeout))
    except OSError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()

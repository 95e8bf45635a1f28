"""Ask from inside every pod of a host who answers."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_probe
short_description: Find out who reaches whom, and with which source address
description:
  - Opens a listener at every end of this host, calls every target from every source, and returns what was seen.
  - It runs on all hosts at the same time and leaves no process behind. It changes nothing.
author: podlab
options:
  port: {description: TCP port of the listeners., type: int, required: true}
  ends: {description: Pods and hosts to speak for., type: json, required: true}
  asks: {description: Source -> target -> address., type: json, required: true}
  callers: {description: How many calls each end waits for., type: json, required: true}
  deadline: {description: Seconds after which it gives up., type: float, default: 10}
attributes:
  check_mode: {support: full, description: It never changes anything; in check mode it asks nothing.}
"""

EXAMPLES = """
- name: Call node2 from node1
  podlab_probe:
    port: 20256
    ends: [{name: node1, netns: null}]
    asks: {node1: {node2: 10.100.0.3}}
    callers: {node1: 0}
"""

RETURN = """
answers:
  description: Source -> target -> C(seen), the source address that the target saw, or C(error).
  returned: always
  type: dict
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.podlab.host.probe import probe


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "required": True},
            "ends": {"type": "json", "required": True},
            "asks": {"type": "json", "required": True},
            "callers": {"type": "json", "required": True},
            "deadline": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, answers={})
    long = {key: json.loads(module.params[key]) for key in ("ends", "asks", "callers")}
    try:
        module.exit_json(changed=False, answers=probe(**{**module.params, **long}))
    except OSError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()

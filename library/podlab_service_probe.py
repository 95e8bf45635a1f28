"""Call Services from inside every pod of a host, and tell where the calls went."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_service_probe
short_description: Find out which endpoints of Services are met, and with which source address
description:
  - Calls addresses of Services from the network namespaces of pods, and from the host itself.
  - Tells of the host's connection tracking what became of calls that it has seen. It changes nothing.
author: podlab
options:
  asks:
    description: What to call, as JSON - a list of C(id), C(netns), C(address), C(port), C(protocol), C(tries), C(lane),
      C(until).
    type: str
    default: '[]'
  watched:
    description: Addresses and ports of connections to tell of, as JSON; none on a host that does not turn addresses.
    type: str
    default: '[]'
  deadline: {description: Seconds after which it gives up., type: float, default: 30}
attributes:
  check_mode: {support: full, description: It never changes anything; in check mode it calls nobody.}
"""

EXAMPLES = """
- name: Call a cluster IP from node1
  podlab_service_probe:
    asks: '[{"id": 0, "netns": null, "address": "10.96.0.10", "port": 80, "protocol": "tcp", "tries": 1, "lane": "",
      "until": ""}]'
    watched: '[["10.96.0.10", 80]]'
"""

RETURN = """
heard:
  description: JSON - of each ask by its id a list of what was heard (C(answer), C(refused), C(silence)) and of the port
    that was called from.
  returned: always
  type: str
flows:
  returned: always
  type: str
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.podlab.host.run import HostError
from ansible.module_utils.podlab.host.service_probe import call


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "asks": {"type": "str", "default": "[]"},
            "watched": {"type": "str", "default": "[]"},
            "deadline": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, heard="{}", flows="[]")
    try:
        heard, flows = call(
            json.loads(module.params["asks"]), json.loads(module.params["watched"]), module.params["deadline"]
        )
    except (HostError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, heard=json.dumps(heard), flows=json.dumps(flows))


if __name__ == "__main__":
    main()

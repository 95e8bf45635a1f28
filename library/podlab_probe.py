"""Ask from inside every pod of a host who answers."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_probe
short_description: Find out who reaches whom, and with which source address
description:
  - Opens a listener at every end of this host, calls every target from every source, and returns what was seen.
  - It runs on all hosts at the same time. It changes nothing.
  - With C(watch) it leaves a process that writes down connections, for C(podlab_service_probe), and ends by itself.
author: podlab
options:
  port: {description: TCP port of the listeners., type: int, required: true}
  ends: {description: Pods and hosts to speak for., type: json, required: true}
  asks: {description: Source -> target -> address., type: json, required: true}
  callers: {description: How many calls each end waits for., type: json, required: true}
  deadline: {description: Seconds after which it gives up., type: float, default: 10}
  watch: {description: Seconds to write down connections of this host; 0 - not at all., type: float, default: 0}
  endpoints:
    description: Endpoints of Services on this host, as C(podlab_service_probe) has them.
    type: json
    default: '[]'
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
deaf: {description: Ends at which the port cannot be listened at, and why., returned: always, type: dict}
watcher: {description: Number of the process that writes down connections., returned: always, type: int}
listening: {description: As C(podlab_service_probe) has it., returned: always, type: str}
"""

import json

from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.run import words_of
from ansible.module_utils.podlab.host.verify import connection_events, listeners
from ansible.module_utils.podlab.host.verify.pod_probe import probe

ARGUMENT_SPEC = {
    "port": {"type": "int", "required": True},
    "ends": {"type": "json", "required": True},
    "asks": {"type": "json", "required": True},
    "callers": {"type": "json", "required": True},
    "deadline": {"type": "float", "default": 10},
    "watch": {"type": "float", "default": 0},
    "endpoints": {"type": "json", "default": "[]"},
}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    if module.check_mode:
        module.exit_json(changed=False, answers={}, deaf={}, watcher=0, listening="{}")
    long = {key: json.loads(module.params[key]) for key in ("ends", "asks", "callers")}
    try:
        watcher = connection_events.watch(module.params["watch"]) if module.params["watch"] else 0
        answers, deaf = probe(port=module.params["port"], deadline=module.params["deadline"], **long)
        # Before any host calls a Service, and so before anything can be refused.
        listening = {to: [state] for to, state in listeners.look(json.loads(module.params["endpoints"])).items()}
    except OSError as error:
        module.fail_json(msg=words_of(error))
    module.exit_json(changed=False, answers=answers, deaf=deaf, watcher=watcher, listening=json.dumps(listening))


if __name__ == "__main__":
    main()

"""Call Services from inside every pod of a host, and tell where the calls went."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_service_probe
short_description: Find out which endpoints of Services are met, and with which source address
description:
  - Calls addresses of Services from the network namespaces of pods, and from the host itself.
  - Tells of the host's connection tracking what became of calls that it has seen, and at which of its endpoints a
    program listens. It changes nothing.
author: podlab
options:
  asks:
    description: What to call, as JSON - a list of C(id), C(netns), C(address), C(port), C(protocol), C(tries),
      C(serial_key), C(until), C(service), C(together), C(patience).
    type: str
    default: '[]'
  watched:
    description: Addresses and ports of connections to tell of, as JSON; none on a host that does not turn addresses.
    type: str
    default: '[]'
  endpoints:
    description: Endpoints of Services on this host, as JSON - a list of C(netns), C(address), C(port), C(protocol).
    type: str
    default: '[]'
  watcher:
    description: Number of the process that C(podlab_probe) has left to write down connections; it is ended.
    type: int
    default: 0
  deadline: {description: Seconds after which it gives up., type: float, default: 30}
attributes:
  check_mode: {support: full, description: It never changes anything; in check mode it calls nobody.}
"""

EXAMPLES = """
- name: Call a cluster IP from node1
  podlab_service_probe:
    asks: '[{"id": 0, "netns": null, "address": "10.96.0.10", "port": 80, "protocol": "tcp", "tries": 1,
      "serial_key": "", "until": "", "service": "default/web", "together": 1, "patience": 7.5}]'
    watched: '[["10.96.0.10", 80]]'
"""

RETURN = """
outcomes:
  description: JSON - of each ask by its id a list of what was heard (C(answer), C(refused), C(silence)) and of the port
    that was called from.
  returned: always
  type: str
flows:
  description: JSON - connections to what is watched.
  returned: always
  type: str
is_whole: {description: Whether no event of a connection got lost., returned: but in check mode, type: bool}
listening:
  description: JSON - endpoint (C(10.1.1.2:80/tcp)) -> what was there at each look (C(listens), C(nothing), C(full),
    C(only at ADDRESS)).
  returned: always
  type: str
"""

import json

from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.run import HostError, words_of
from ansible.module_utils.podlab.host.verify import connection_events, connections
from ansible.module_utils.podlab.host.verify.service_probe import call

ARGUMENT_SPEC = {
    "asks": {"type": "str", "default": "[]"},
    "watched": {"type": "str", "default": "[]"},
    "endpoints": {"type": "str", "default": "[]"},
    "watcher": {"type": "int", "default": 0},
    "deadline": {"type": "float", "default": 30},
}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    if module.check_mode:
        module.exit_json(changed=False, outcomes="{}", flows="[]", listening="{}")
    asks, watched, endpoints = (json.loads(module.params[name]) for name in ("asks", "watched", "endpoints"))
    try:
        found = call(asks, watched, module.params["deadline"], endpoints)
        watcher = module.params["watcher"]
        told = connection_events.collect(watcher) if watcher else connection_events.Told([], is_whole=True)
    except (HostError, OSError) as error:
        module.fail_json(msg=words_of(error))
    module.exit_json(
        changed=False,
        outcomes=json.dumps(found.outcomes),
        flows=json.dumps([*connections.among(watched, told.flows), *found.flows]),
        is_whole=told.is_whole,
        listening=json.dumps(found.listening),
    )


if __name__ == "__main__":
    main()

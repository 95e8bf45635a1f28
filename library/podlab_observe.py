"""One call a host reads every table."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_observe
short_description: Read what a host holds of podlab, and what stands beside it
description:
  - Reads links, routes, iptables rules, kernel settings, pods and podlab's record in one call, and changes nothing.
  - The plan is worked out from what this module returns.
author: podlab
options:
  role:
    description: Which programs the host needs.
    choices: [node, gateway]
    default: node
    type: str
attributes:
  check_mode: {support: full, description: It never changes anything.}
"""

EXAMPLES = """
- name: See what the host holds
  podlab_observe:
    role: node
  register: podlab_observation
"""

RETURN = """
observation:
  description:
    - The tables; C(record) is null on a host that podlab has not marked.
    - As JSON text, since Ansible walks through every leaf of a result several times.
  returned: always
  type: str
  contains:
    record: {description: What podlab wrote down on this host., type: dict}
    runtime: {description: Whether podlab has its own file system at /run/podlab where it needs one., type: bool}
    modes: {description: Paths of podlab's own whose mode is not what it shall be -> that mode., type: dict}
    links: {description: Links by name, type: dict}
    routes: {description: The main routing table., type: list, elements: dict}
    rules: {description: Table -> chain -> rules; podlab's chains and the built-in ones., type: dict}
    services: {description: Which services were applied last and whether all of that is there., type: dict}
    kubernetes: {description: How a kubelet or kube-proxy of a real cluster shows here, type: str}
    policy_rules: {description: What C(ip rule) has beside the kernel's own., type: list, elements: str}
    forward_drops: {description: Whether a gateway's FORWARD has the policy DROP., type: bool}
    firewalls: {description: Base chains of others that packets of the cluster run through., type: list, elements: dict}
    flows: {description: Commands that end UDP connections which go past a host port., type: list, elements: list}
    sysctls: {description: Kernel settings that matter., type: dict}
    pods: {description: Pods by the name of their network namespace., type: dict}
    programs: {description: podlab's own programs, type: dict}
    kernel: {description: What the kernel can do., type: dict}
    ids: {description: The user and group ids of the host's user namespace., type: dict}
    resolv_conf: {description: The host's own resolv.conf., type: str}
missing:
  description: Needed programs that are not on PATH -> their Debian package. They are part of the observation as well.
  returned: always
  type: dict
"""

import json

from ansible.module_utils.podlab.host.ansible_module import ansible_module
from ansible.module_utils.podlab.host.observe import observe
from ansible.module_utils.podlab.host.run import HostError, words_of

ARGUMENT_SPEC = {"role": {"type": "str", "choices": ["node", "gateway"], "default": "node"}}


def main() -> None:
    module = ansible_module(ARGUMENT_SPEC)
    try:
        observation = observe(module.params["role"])
    except (HostError, OSError) as error:
        module.fail_json(msg=words_of(error))
    module.exit_json(changed=False, missing=observation["missing"], observation=json.dumps(observation))


if __name__ == "__main__":
    main()

"""Single network namespaces, in the three modes that people learn first."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_namespaces
short_description: Give a host single network namespaces, isolated, host-only or bridged
description:
  - Makes the namespaces of a list with their links, addresses and the way out, and repairs them. Those that it has
    made before, and that the list does not name, go.
  - Everything wrong with the list, and everything in the way on the host, is reported at once, before the first write.
  - What bears a wanted name without podlab's mark is in the way, and stays.
author: podlab
options:
  namespaces:
    description: All namespaces that there shall be. Needed but where C(state) is C(absent).
    type: list
    elements: dict
    options:
      name: {description: 'Its name, up to 10 characters.', type: str, required: true}
      mode:
        description:
          - C(isolated) has a dummy link and reaches itself alone; where the kernel has no dummy links, a bridge without
            ports stands in for it, and a warning says so.
          - C(host-only) has a veth pair, and reaches the host.
          - C(bridged) has a veth pair to a bridge of the host, a default route, and leaves with the host's address.
        type: str
        required: true
      address: {description: Its IPv4 address with prefix length., type: str, required: true}
      host_address: {description: 'The host''s address in the same network, but for C(isolated).', type: str}
      bridge:
        description: Name of the bridge of a C(bridged) one, by default C(br-) and its name; several may share one.
        type: str
  state:
    description: With C(absent) none of podlab's single namespaces stays on the host.
    type: str
    choices: [present, absent]
    default: present
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: One namespace of each mode
  podlab_namespaces:
    namespaces:
      - {name: alone, mode: isolated, address: 192.168.222.10/24}
      - {name: near, mode: host-only, address: 192.168.202.11/24, host_address: 192.168.202.1}
      - {name: out, mode: bridged, address: 192.168.212.11/24, host_address: 192.168.212.1}

- name: None of them
  podlab_namespaces:
    state: absent
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

from collections.abc import Sequence
from typing import Any

from ansible.module_utils.podlab.changes.namespaces import configs, namespaces, problems
from ansible.module_utils.podlab.changes.namespaces.links import isolated_kind
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network, single_namespaces
from ansible.module_utils.podlab.host.run import HostError
from ansible.module_utils.podlab.host.system import kernel

ARGUMENT_SPEC = {
    "namespaces": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "mode": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "host_address": {"type": "str"},
            "bridge": {"type": "str"},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "caller": {"type": "dict"},
}

NO_LIST = "namespaces_list is missing: say which there shall be, or namespaces_state: absent for none"
NO_DUMMY = "this kernel has no dummy links: eth0 of {} is a bridge without ports, which reaches as little"


def work(params: dict[str, Any]) -> actions.Todo:
    is_absent = params["state"] == "absent"
    items = [] if is_absent else [configs.item(given) for given in params["namespaces"] or []]
    wanted = problems.sound(items)
    isolated = [one.name for one in wanted if one.mode == configs.ISOLATED]
    seen = single_namespaces.observe(has_dummy=bool(isolated) and kernel.can("dummy"))
    wrong = [NO_LIST] if params["namespaces"] is None and not is_absent else problems.problems(items)
    wrong += [*problems.in_the_way(seen, wanted), *_missing(wanted)]
    if wrong:
        raise HostError("\n".join(wrong))
    found = namespaces.changes(seen, wanted, single_namespaces.restored())
    warnings = [NO_DUMMY.format(", ".join(isolated))] if isolated and isolated_kind(seen) != "dummy" else []
    return actions.Todo(found, warnings)


def _missing(wanted: Sequence[configs.NamespaceConfig]) -> list[str]:
    """What this host lacks for them."""
    found = kernel.features()["missing"] if any(one.veth for one in wanted) else []
    if any(one.bridge for one in wanted):
        found += [
            f"{name}: command not found, and mode bridged needs it; install iptables"
            for name in network.missing_programs(["iptables-save", "iptables-restore"])
        ]
    return found


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "namespaces")

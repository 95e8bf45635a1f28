"""Kernel settings of a host, and podlab's record on it."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_node
short_description: Let a host carry packets that are not its own
description:
  - Writes kernel settings and loads the kernel modules that they need, and remembers the old values in podlab's record.
  - A setting that is wanted no more gets its old value back.
  - Closes what podlab keeps on the host to everybody but root, where somebody has opened it.
  - One that a rule of iptables has to guard is only remembered; the component that writes the rule makes it afterwards.
author: podlab
options:
  sysctls:
    description: Key -> value, in the notation of C(sysctl). By default what a node needs that has pods.
    type: dict
  modules:
    description: Kernel modules to load, by default those that pods need and that the kernel has on disk only.
    type: list
    elements: str
  assumed:
    description: What the settings were before podlab, for a host whose record has lost that.
    type: dict
    default: {}
  runtime:
    description: Whether this host is going to have pods, and so needs podlab's own file system at C(/run/podlab).
    type: bool
    default: false
  record:
    description: What this host shall remember of itself besides the old kernel settings; by default what it does.
    type: dict
  cluster:
    description: >-
      What it shall remember of the cluster, where C(record) is given, as parts of it: C(network), C(cluster), and
      C(pods) by node.
    type: json
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: Let the node forward
  podlab_node:
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.podlab.changes.actions import Run, set_sysctls
from ansible.module_utils.podlab.changes.network.link_state import knob
from ansible.module_utils.podlab.changes.system import node_sysctls, sysctls
from ansible.module_utils.podlab.changes.system.record import BeginRecord, SettleRecord
from ansible.module_utils.podlab.host import actions, record
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.system import file_modes, kernel, run_directory
from ansible.module_utils.podlab.host.system import runners as runners
from ansible.module_utils.podlab.records.host_record import HostRecord

ARGUMENT_SPEC = {
    "sysctls": {"type": "dict"},
    "modules": {"type": "list", "elements": "str"},
    "assumed": {"type": "dict", "default": {}},
    "runtime": {"type": "bool", "default": False},
    "record": {"type": "dict"},
    "cluster": {"type": "json"},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    modules = kernel.features()["loadable"] if params["modules"] is None else params["modules"]
    found = record.read()
    known = found.record or {}
    recorded = known["sysctls"] if "sysctls" in known else params["assumed"]
    wanted = _default(recorded) if params["sysctls"] is None else params["sysctls"]
    off = sysctls.switched_on_by(modules)
    observed = network.read_sysctls([*wanted, *recorded]) | off
    values = sysctls.changes(observed, wanted, recorded) | {key: off[key] for key in off if key not in wanted}
    told = known if params["record"] is None else _told(params)
    remembered = {**told, "sysctls": sysctls.originals(observed, wanted, recorded), "version": record.VERSION}
    loads = [Run(("modprobe", "-a", *modules))] if modules else []
    unseen = [key for key in wanted if key not in observed] if modules else []
    todo = [
        *(run_directory.actions() if params["runtime"] else []),
        *file_modes.actions(),
        *loads,
        BeginRecord(remembered, recorded, unseen),
        *set_sysctls(values),
        SettleRecord(remembered, [*wanted], is_news=known != remembered or bool(found.damage)),
    ]
    return actions.Todo(todo)


def _told(params: dict[str, Any]) -> HostRecord:
    return {**params["record"], **json.loads(params["cluster"] or "{}")}


def _default(recorded: Mapping[str, str]) -> dict[str, str]:
    """The settings of a node, for a person who names none."""
    links = network.links()
    keys = (*node_sysctls.RP_FILTERS, *(knob(name, kind) for name in links for kind in ("forwarding", "rp_filter")))
    return node_sysctls.of_node(links, network.routes(), network.read_sysctls(keys), recorded)


if __name__ == "__main__":
    run_module(
        ARGUMENT_SPEC,
        work,
        "node",
        modules=[],  # those that are not loaded by then
        assumed={},  # the record is there
    )

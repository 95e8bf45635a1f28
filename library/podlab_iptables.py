"""Chains of podlab's own, and the jumps into them."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_iptables
short_description: Write podlab's iptables chains
description:
  - Compares podlab's chains with the wanted ones and writes those that differ in one C(iptables-restore) for all
    tables.
  - Rules of others, and counters of chains that did not change, are left alone.
  - Ends UDP connections that would go past a host port which has come, gone or moved.
author: podlab
options:
  tables:
    description: Table -> C(chains) (name -> rules as C(iptables-save) prints them) and C(jumps) (built-in chain ->
      rules).
    type: dict
    required: true
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: Packets to the world leave with the node's address
  podlab_iptables:
    tables:
      nat:
        chains: {PODLAB-EGRESS: ['-d 10.1.0.0/16 -j RETURN', '-j MASQUERADE --random-fully']}
        jumps: {POSTROUTING: ['-s 10.1.0.0/16 -j PODLAB-EGRESS']}
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.podlab.changes.kube_proxy import conntrack
from ansible.module_utils.podlab.changes.kube_proxy.conntrack import Frontends
from ansible.module_utils.podlab.changes.netfilter import rules
from ansible.module_utils.podlab.changes.netfilter.rules import HOST_PORTS
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.kube_proxy import conntrack as host_conntrack
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import guarded_sysctls, network

ARGUMENT_SPEC = {"tables": {"type": "dict", "required": True}, "caller": {"type": "dict"}}


def work(params: dict[str, Any]) -> actions.Todo:
    tables, wanted = network.saved(), params["tables"]
    observed = network.rules(tables)
    lines = {table: rules.changes(observed[table], row) for table, row in wanted.items()}
    of_services = bool(tables.get("filter", {}).get("KUBE-FIREWALL"))
    before, after = guarded_sysctls.changes(rules.sysctls(wanted), guarded_by_others=of_services)
    ports = _host_ports(observed["nat"]), _host_ports(wanted.get("nat", {}).get("chains", {}))
    flows = host_conntrack.actions(*ports, is_changed=any(lines.values()))
    return actions.Todo([*before, *rules.write(lines), *after, *flows])


def _host_ports(chains: Mapping[str, Sequence[str]]) -> Frontends:
    return conntrack.host_ports(chains.get(HOST_PORTS, ()))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "egress")

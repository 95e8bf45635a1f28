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
  cluster_cidr:
    description: The network of all pods. What they send elsewhere leaves with the host's address. Needed without
      O(tables).
    type: str
  non_masquerade_cidrs:
    description: Networks that see the pods' own addresses all the same.
    type: list
    elements: str
    default: [10.0.0.0/8]
  bridge:
    description: The link that pods' packets come and go by, besides that of the default route.
    type: str
    default: cbr0
  tables:
    description: In place of these, table -> C(chains) (name -> rules as C(iptables-save) prints them) and C(jumps)
      (built-in chain -> rules).
    type: dict
  caller:
    description: The run that writes; the action plugin tells it. Of two at once one is refused.
    type: dict
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: Packets to the world leave with the host's address
  podlab_iptables:
    cluster_cidr: 10.1.0.0/16

- name: The same, rule by rule
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
from ansible.module_utils.podlab.changes.netfilter import egress, rules
from ansible.module_utils.podlab.changes.netfilter.rules import HOST_PORTS
from ansible.module_utils.podlab.configs import EgressConfig
from ansible.module_utils.podlab.host import actions
from ansible.module_utils.podlab.host.kube_proxy import conntrack as host_conntrack
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import guarded_sysctls, network
from ansible.module_utils.podlab.host.run import HostError

ARGUMENT_SPEC = {
    "cluster_cidr": {"type": "str"},
    "non_masquerade_cidrs": {"type": "list", "elements": "str", "default": ["10.0.0.0/8"]},
    "bridge": {"type": "str", "default": "cbr0"},
    "tables": {"type": "dict"},
    "caller": {"type": "dict"},
}


def work(params: dict[str, Any]) -> actions.Todo:
    wanted = _complete(params) if params["tables"] is None else params["tables"]
    tables = network.saved()
    observed = network.rules(tables)
    lines = {table: rules.changes(observed[table], row) for table, row in wanted.items()}
    of_services = bool(tables.get("filter", {}).get("KUBE-FIREWALL"))
    before, after = guarded_sysctls.changes(rules.sysctls(wanted), guarded_by_others=of_services)
    ports = _host_ports(observed["nat"]), _host_ports(wanted.get("nat", {}).get("chains", {}))
    flows = host_conntrack.actions(*ports, is_changed=any(lines.values()))
    return actions.Todo([*before, *rules.write(lines), *after, *flows])


def _complete(params: dict[str, Any]) -> EgressConfig:
    """:raises HostError: with all that is wrong."""
    if wrong := list(egress.problems(params)):
        raise HostError("\n".join(wrong))
    return egress.complete(params, network.links(), network.routes())


def _host_ports(chains: Mapping[str, Sequence[str]]) -> Frontends:
    return conntrack.host_ports(chains.get(HOST_PORTS, ()))


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work, "egress")

"""What teardown has left on this host of what is podlab's, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..changes.kube_proxy import diff as kube_proxy_diff
from ..changes.kube_proxy.diff import Change
from ..changes.namespaces import namespaces
from ..changes.netfilter.iptables_save import target
from ..changes.system.marks import marks
from .network import network, single_namespaces
from .pods import pods, volumes
from .run import HostError


def complain_of_services(rules: Mapping[str, Change]) -> None:
    """Before the marks go by which the next run will know whose these are.

    :param rules: what was to go of kube-proxy's names; where nothing was, such chains are somebody else's.
    :raises HostError: some are still there. Chains stay that rules of others lead into, and those that these need.
    """
    tables = network.saved() if rules else {}
    left = [(table, name) for table, chains in tables.items() for name in chains if kube_proxy_diff.is_ours(name)]
    _raise([f"chain {name} of table {table}{_used_by(name, tables[table])}" for table, name in left])


def _used_by(name: str, chains: Mapping[str, Sequence[str]]) -> str:
    users = [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules if target(rule) == name]
    return f", since a rule leads there that podlab has not made: {users[0]}" if users else ""


def complain(folders: Sequence[str]) -> None:
    """:raises HostError: anything is left that bears a mark, or in these directories."""
    found = marks(network.links(), network.routes(), network.rules(), pods.observe())
    found += namespaces.marks(single_namespaces.observe())
    found += [f"mount {path}" for path in volumes.mounted(folders)]
    _raise([*found, *(f"directory {folder}" for folder in folders if os.path.isdir(folder))])


def _raise(found: Sequence[str]) -> None:
    if found:
        raise HostError("\n".join(["this is left of podlab's; mend what keeps it, and run it again:", *found]))

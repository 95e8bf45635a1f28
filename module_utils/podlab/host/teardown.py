"""How the actions of teardown are run, and what it has left on this host of what is podlab's, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..changes.kube_proxy import diff as kube_proxy_diff
from ..changes.namespaces import namespaces
from ..changes.netfilter.iptables_save import target
from ..changes.pods.paths import LOGS
from ..changes.pods.s6_commands import KUBE_PROXY
from ..changes.system.marks import marks
from ..changes.system.teardown import (
    AssertNoKubeChains,
    AssertNothingLeft,
    EndSupervision,
    RemoveNetnsMount,
    UnmountBeneath,
)
from .actions import runs
from .network import network, single_namespaces
from .pods import kubelet_service, mount_table, pods, sandboxes, supervisor
from .run import HostError


@runs(EndSupervision)
def _end_supervision(_: Sequence[EndSupervision]) -> None:
    kubelet_service.stop()
    supervisor.stop_daemon(KUBE_PROXY)
    supervisor.stop()


@runs(UnmountBeneath)
def _unmount_beneath(found: Sequence[UnmountBeneath]) -> None:
    for it in found:
        mount_table.unmount_beneath(it.directories)


@runs(RemoveNetnsMount)
def _remove_netns_mount(_: Sequence[RemoveNetnsMount]) -> None:
    sandboxes.drop_names_mount()


@runs(AssertNoKubeChains)
def _assert_no_kube_chains(found: Sequence[AssertNoKubeChains]) -> None:
    """Chains stay that rules of others lead into, and those that these need.

    :raises HostError: some are still there.
    """
    tables = network.saved() if any(it.tables for it in found) else {}
    left = [(table, name) for table, chains in tables.items() for name in chains if kube_proxy_diff.is_ours(name)]
    _raise([f"chain {name} of table {table}{_used_by(name, tables[table])}" for table, name in left])


def _used_by(name: str, chains: Mapping[str, Sequence[str]]) -> str:
    users = [f"-A {chain} {rule}" for chain, rules in chains.items() for rule in rules if target(rule) == name]
    return f", since a rule leads there that podlab has not made: {users[0]}" if users else ""


@runs(AssertNothingLeft)
def _assert_nothing_left(actions: Sequence[AssertNothingLeft]) -> None:
    """:raises HostError: anything is left that bears a mark, or in these directories."""
    folders = [folder for it in actions for folder in it.directories]
    if os.path.isdir(LOGS) and not os.listdir(LOGS):
        os.rmdir(LOGS)
    found = marks(network.links(), network.routes(), network.rules(), pods.observe())
    found += namespaces.marks(single_namespaces.observe())
    found += [f"mount {path}" for path in mount_table.mounted(folders)]
    _raise([*found, *(f"directory {folder}" for folder in folders if os.path.lexists(folder))])


def _raise(found: Sequence[str]) -> None:
    if found:
        raise HostError("\n".join(["this is left of podlab's; mend what keeps it, and run it again:", *found]))

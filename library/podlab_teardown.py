"""Take away everything that podlab made on a host."""

from __future__ import annotations

DOCUMENTATION = """
module: podlab_teardown
short_description: Take away what podlab made on a host, and nothing else
description:
  - Removes pods, bridge, routes, iptables chains and files that carry podlab's mark, and gives kernel settings their
    old values back. It needs no manifests and no plan; a second run finds nothing to do.
  - What bears a mark goes with or without the record. A kernel setting whose old value was lost with it gets the
    kernel's default.
  - The service layer's KUBE chains bear kube-proxy's names and no mark; they are podlab's where anything else is, and
    no kubelet or kube-proxy of a real cluster. Else they stay, with a warning.
  - Directories of claims stay, and a warning names them.
  - It fails if anything else of podlab's is left, and names it.
author: podlab
options:
  volumes:
    description: Whether claims' directories go as well.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: Works out the same lines and applies none.}
  diff_mode: {support: full, description: The diff is the commands that a person would type.}
"""

EXAMPLES = """
- name: Leave the host as it was
  podlab_teardown:
"""

RETURN = """
diff:
  description: C(prepared) holds the commands that a person would type for the same effect, a line each, in their order.
  returned: when anything changes
  type: dict
"""

import os
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.podlab.changes.actions import Action, Ip, RemoveTree, set_sysctls
from ansible.module_utils.podlab.changes.namespaces import links as links_of_namespaces
from ansible.module_utils.podlab.changes.namespaces import namespaces
from ansible.module_utils.podlab.changes.namespaces.links import Observed
from ansible.module_utils.podlab.changes.netfilter import rules
from ansible.module_utils.podlab.changes.network import bridge, routes, vxlan
from ansible.module_utils.podlab.changes.pods import pods
from ansible.module_utils.podlab.changes.pods.paths import CLAIMS, PODS, RUN
from ansible.module_utils.podlab.changes.system import marks, sysctls, systemd
from ansible.module_utils.podlab.changes.system.teardown import (
    AssertNoKubeChains,
    AssertNothingLeft,
    EndSupervision,
    RemoveNetnsMount,
    UnmountBeneath,
)
from ansible.module_utils.podlab.host import actions, record
from ansible.module_utils.podlab.host import teardown as teardown
from ansible.module_utils.podlab.host.kube_proxy import runners as kube_proxy_runners
from ansible.module_utils.podlab.host.kube_proxy import services
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network, single_namespaces
from ansible.module_utils.podlab.host.pods import lost_supervisors, mount_table, sandboxes, supervisor, volumes
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.pods import runners as pods_runners
from ansible.module_utils.podlab.host.system import systemd as host_system

ARGUMENT_SPEC = {"volumes": {"type": "bool", "default": False}}

RUNNERS = (kube_proxy_runners, pods_runners, teardown)


def work(params: dict[str, Any]) -> actions.Todo:
    kept = [] if params["volumes"] else volumes.claims()
    folders = [RUN, *(_all_but_claims() if kept else [record.HOME])]
    links, found, ways, tables = network.links(), host_pods.observe(), network.routes(), network.saved()
    observed = network.rules(tables)
    # Gateways have neither links nor rules of nat, and no KUBE chains: such are somebody else's there.
    is_node = bool(marks.marks(links, [], {"nat": observed["nat"]}, found))
    kube = services.removal(tables, is_marked=is_node)
    known, single = record.read(), single_namespaces.observe(links, tables)
    originals = (known.record or {}).get("sysctls")
    if originals is None:
        is_marked = bool(marks.marks(links, ways, observed, found))
        originals = sysctls.forgotten(network.read_sysctls(sysctls.candidates(links))) if is_marked else {}
    originals = {**originals, **_forwarding_before(single)}
    todo = [
        *systemd.removal(host_system.observe()).actions(),
        *lost_supervisors.actions(),
        *pods.changes(links, found, []),
        EndSupervision(supervisor.is_running()),
        *(Ip(line) for name in links for line in bridge.removal(links, name)),
        *map(Ip, [*routes.removal(ways), *vxlan.removal(links)]),
        *namespaces.changes(single, []),
        # Some of them are guarded by the rules.
        *set_sysctls(sysctls.changes(network.read_sysctls(originals), {}, originals)),
        *kube.actions,
        AssertNoKubeChains(kube.rules),
        # These bear podlab's mark, and so say until the end whose the others were.
        *rules.write({table: rules.removal(observed[table]) for table in network.TABLES}),
        *_files([*found, *links_of_namespaces.own_names(single)], folders),
        AssertNothingLeft(folders),
    ]
    return actions.Todo(todo, [*known.damage, *kube.warnings, *_told(kept)])


def _all_but_claims() -> list[str]:
    """What lies beside claims' directories, the record last."""
    others = [name for name in os.listdir(record.HOME) if f"{record.HOME}/{name}" != CLAIMS]
    return sorted((f"{record.HOME}/{name}" for name in others), key=lambda path: path == record.PATH)


def _told(kept: Sequence[str]) -> list[str]:
    names = ", ".join(directory.replace("_", "/", 1) for directory in kept)
    return [f"claims stay in {CLAIMS}: {names}; ./lab down --volumes removes them"] if kept else []


def _files(names: Sequence[str], folders: Sequence[str]) -> list[Action]:
    """The record goes last: who is killed before still knows what the host was.

    :param names: namespaces that are gone by then.
    """
    there = [folder for folder in folders if os.path.lexists(folder)]
    has_names = (RUN in there or bool(names)) and sandboxes.names_mount(names)
    return [
        UnmountBeneath(folders, [path for path in (PODS, RUN) if path in mount_table.mounted([path])]),
        *([RemoveNetnsMount()] if has_names else []),
        *map(RemoveTree, there),
    ]


def _forwarding_before(seen: Observed) -> dict[str, str]:
    """What it was before bridged namespaces: the earliest value, where a cluster came after them. The kernel's default
    where there are such, and that is lost."""
    known = single_namespaces.remembered()
    if known or not any(link["kind"] == "bridge" for link in links_of_namespaces.own_links(seen).values()):
        return known
    return sysctls.forgotten({sysctls.FORWARD: seen["ip_forward"]})


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work)

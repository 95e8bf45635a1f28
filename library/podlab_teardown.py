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
  - It fails if anything of podlab's is left, and names it.
author: podlab
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
import shutil
from typing import Any

from ansible.module_utils.podlab.changes.namespaces import links as links_of_namespaces
from ansible.module_utils.podlab.changes.namespaces import namespaces
from ansible.module_utils.podlab.changes.namespaces.links import Observed
from ansible.module_utils.podlab.changes.netfilter import rules
from ansible.module_utils.podlab.changes.network import bridge, routes, vxlan
from ansible.module_utils.podlab.changes.pods import pod_commands, pods
from ansible.module_utils.podlab.changes.pods.containers import LOGS, NETNS, RUN
from ansible.module_utils.podlab.changes.system import marks, sysctls, systemd
from ansible.module_utils.podlab.host import leftovers, record
from ansible.module_utils.podlab.host.kube_proxy import health_checks, services
from ansible.module_utils.podlab.host.module_base import run_module
from ansible.module_utils.podlab.host.network import network, single_namespaces
from ansible.module_utils.podlab.host.pods import containers, lost_supervisors, volumes
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.run import ip_batch, run
from ansible.module_utils.podlab.host.system import systemd as host_system

ARGUMENT_SPEC = {}


def work(params: dict[str, Any]) -> Any:
    links = network.links()
    found, ways = host_pods.observe(), network.routes()
    steps = pods.changes(links, found, [])
    ip_lines = [line for name in links for line in bridge.removal(links, name)]
    ip_lines += routes.removal(ways) + vxlan.removal(links)
    tables = network.saved()
    observed = network.rules(tables)
    is_marked = bool(marks.marks(links, ways, observed, found))
    # Gateways have neither links nor rules of nat, and no KUBE chains: such are somebody else's there.
    is_node = bool(marks.marks(links, [], {"nat": observed["nat"]}, found))
    kube = services.removal(tables, is_marked=is_node)
    chains = {table: rules.removal(observed[table]) for table in network.TABLES}
    known = record.read()
    originals = (known.record or {}).get("sysctls")
    if originals is None:
        originals = sysctls.forgotten(network.read_sysctls(sysctls.candidates(links))) if is_marked else {}
    single = single_namespaces.observe(links, tables)
    apart = namespaces.changes(single, [])
    originals = {**originals, **_forwarding_before(single)}
    settings = sysctls.changes(network.read_sysctls(originals), {}, originals)
    told = systemd.removal(host_system.observe())
    folders = (RUN, record.HOME)
    names = links_of_namespaces.own_names(single)
    has_names = (os.path.isdir(RUN) or bool(names)) and host_pods.names_mount([*steps.gone, *names])
    typed = [
        *told.lines(),
        *lost_supervisors.lines(),
        *pod_commands.lines(steps),
        *([f"s6-svscanctl -t {pods.SERVICES}"] if containers.supervisor_runs() else []),
        *(f"ip {line}" for line in ip_lines),
        *apart.lines(),
        # Some of them are guarded by the rules.
        *(sysctls.line(key, value) for key, value in settings.items()),
        *kube.lines(),
        *(line for table, lines in chains.items() for line in rules.commands(table, lines)),
        *(f"umount {path}" for path in (pods.PODS, RUN) if path in volumes.mounted([path])),
        *([f"umount {NETNS} && rmdir {NETNS}"] if has_names else []),
        *(f"rm -r {folder}" for folder in folders if os.path.isdir(folder)),
    ]

    def apply() -> None:
        host_system.apply(told, b"")
        lost_supervisors.end()
        host_pods.apply(steps)
        containers.stop_kubelet()
        health_checks.stop()
        containers.stop_supervisor()
        ip_batch(ip_lines)
        single_namespaces.apply(apart)
        for key, value in settings.items():
            network.write_sysctl(key, value)
        services.remove(kube)
        leftovers.complain_of_services(kube.rules)
        # These bear podlab's mark, and so say until the end whose the others were.
        if any(chains.values()):
            run(["iptables-restore", "--wait", "5", "--noflush"], rules.restore_text(chains))
        # The record goes last: who is killed before this line still knows what the host was.
        volumes.unmount_beneath(folders)
        for folder in filter(os.path.isdir, folders):
            shutil.rmtree(folder)
        if has_names:
            host_pods.drop_names_mount()
        if os.path.isdir(LOGS) and not os.listdir(LOGS):
            os.rmdir(LOGS)
        leftovers.complain(folders)

    return typed, apply, [*known.damage, *kube.warnings]


def _forwarding_before(seen: Observed) -> dict[str, str]:
    """What it was before bridged namespaces: the earliest value, where a cluster came after them. The kernel's default
    where there are such, and that is lost."""
    known = single_namespaces.remembered()
    if known or not any(link["kind"] == "bridge" for link in links_of_namespaces.own_links(seen).values()):
        return known
    return sysctls.forgotten({sysctls.FORWARD: seen["ip_forward"]})


if __name__ == "__main__":
    run_module(ARGUMENT_SPEC, work)

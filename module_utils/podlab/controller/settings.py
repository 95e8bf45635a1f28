"""Settings from the variables of Ansible's hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..planner.inputs.cluster import manifests_of
from ..planner.inputs.settings import SETTINGS
from ..planner.inputs.variables import Variables, cluster_settings, misnamed


def of_hosts(task_vars: Mapping[str, Any], names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Variables of hosts. Ansible merges them anew for each host that it is asked for: ask once."""
    return {name: task_vars["hostvars"][name] for name in names}


def of_cluster(
    task_vars: Mapping[str, Any], hosts: Variables, template: Callable[[Any], Any]
) -> tuple[list[str], dict[str, Any], list[str]]:
    """Where manifests are, the cluster's settings, and what is wrong with names and values.

    What a play or an imported playbook sets (``vars``) no host has; it holds for all of them.
    """
    found, problems = cluster_settings(hosts)
    here = task_vars["inventory_hostname"]
    own = hosts.get(here, {})
    for name in SETTINGS:
        if name in task_vars and SETTINGS[name].of == "cluster":
            value = template(task_vars[name])
            if name not in own or own[name] != value:
                found[name] = value
                problems = [line for line in problems if not line.startswith(f"{name}:")]
    directory, wrong = manifests_of(found)
    return directory, found, [*misnamed({**hosts, here: task_vars}, task_vars["groups"]), *problems, *wrong]

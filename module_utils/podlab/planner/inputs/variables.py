"""The variables of an inventory's hosts: those that have another name now, and what all hosts agree on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .settings import PREFIX, SETTINGS

Variables = Mapping[str, Mapping[str, Any]]
"""Host -> its variables."""

REGISTERED = ("podlab_plan",)  # results of tasks that have the prefix as well
NAMES = [name for name in SETTINGS if name.startswith(PREFIX)]
OLD = {setting.old: setting.name for setting in SETTINGS.values() if setting.old}
GUESSED = {"podlab_cidr": "podlab_cluster_cidr"}  # as near to podlab_service_cidr
SHOWN = 3  # hosts that a line names


def misnamed(hosts: Variables, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What is wrong -> the setting that is meant, or an empty string: old names, and unknown ones with the prefix.

    A variable with an old name would otherwise be passed over, and the default taken.
    """
    found: dict[str, str] = {}
    of_hosts: dict[str, list[str]] = {}
    for host, variables in hosts.items():
        for name in variables:
            if name in OLD and SETTINGS[OLD[name]].of == "host":
                of_hosts.setdefault(name, []).append(host)
            elif name in OLD:
                found[f"{name}: renamed; write {OLD[name]}"] = OLD[name]
            elif name.startswith(PREFIX) and name not in SETTINGS and name not in REGISTERED:
                found[_unknown(name)] = _nearest(name)
        if "cluster" in variables:
            found |= _members(variables["cluster"])
    for name, theirs in of_hosts.items():
        found[f"{name}: renamed; write {OLD[name]} ({_some(theirs)})"] = OLD[name]
    inside = {host for name in ("nodes", "gateways", "external") for host in groups.get(name, ())}
    if outside := [host for host in groups.get("outsiders", ()) if host not in inside]:
        words = "the group is renamed; write external, or make it a child of external"
        found[f"outsiders: {words} ({_some(outside)})"] = ""
    return found


def cluster_settings(hosts: Variables) -> tuple[dict[str, Any], list[str]]:
    """The settings of the cluster that any host has, and what is wrong where two hosts have different ones.

    A host that does not have a setting takes the others' one: it may stand in the variables of one group.
    """
    found: dict[str, Any] = {}
    problems = []
    for name in [setting.name for setting in SETTINGS.values() if setting.of == "cluster"]:
        values: list[tuple[Any, list[str]]] = []
        for host, variables in hosts.items():
            if name in variables:
                value = variables[name]
                alike = next((theirs for other, theirs in values if other == value), None)
                if alike is None:
                    values.append((value, [host]))
                else:
                    alike.append(host)
        if values:
            found[name] = values[0][0]
        if len(values) > 1:
            each = "; ".join(f"{json.dumps(value, default=str)} ({_some(theirs)})" for value, theirs in values)
            problems.append(f"{name}: Invalid value: the hosts of a cluster have one value, not {each}")
    return found, problems


def _members(cluster: object) -> dict[str, str]:
    """What to write instead of the variable ``cluster``, which held most settings once."""
    if not isinstance(cluster, dict) or not cluster:
        words = "settings are variables of their own; write podlab_cluster_cidr for cluster.cidr, and so on"
        return {f"cluster: {words}": ""}
    found = {}
    for key in cluster:
        name = f"cluster.{key}"
        found[f"{name}: renamed; write {OLD[name]}" if name in OLD else _unknown(name)] = OLD.get(name, "")
    return found


def _unknown(name: str) -> str:
    near = _nearest(name)
    hint = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(NAMES))}"
    return f"{name}: unknown setting; {hint}"


def _nearest(name: str) -> str:
    words = [known.removeprefix(PREFIX) for known in NAMES]
    near = difflib.get_close_matches(name.removeprefix("cluster.").removeprefix(PREFIX), words, 1)
    return GUESSED.get(name) or next((PREFIX + word for word in near), "")


def _some(hosts: Iterable[str]) -> str:
    names = list(hosts)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more

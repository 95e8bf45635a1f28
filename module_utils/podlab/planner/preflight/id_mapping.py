"""Ids of processes and files: what a manifest asks for, and what a host's user namespace has (user_namespaces(7)).

A host has all ids, or those of its lab's user namespace: 65536 of them, and in an ordinary user's lab one. A container
that asks for another one gets a user namespace of its own, in which its only id is that one: files of podlab's and of
volumes, which are the node's root's, are its own there. Such a namespace has no supplementary groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ...configs import ContainerConfig
from ..inputs.host import Host
from ..model import Container, Pod, PodTemplate

Kind = Literal["uid", "gid"]
SHOWN = 3  # pods that a note names


def has(host: Host, kind: Kind, wanted: int) -> bool:
    return any(first <= wanted < first + count for first, count in host.seen["ids"][kind])


def mapped(row: ContainerConfig, host: Host, *, shares_processes: bool) -> ContainerConfig:
    """A container's row with what its host cannot give it in a user namespace of its own."""
    user, group, groups = row.get("user", 0), row.get("group", 0), row.get("groups", [])
    kept = [one for one in groups if has(host, "gid", one)]
    if has(host, "uid", user) and has(host, "gid", group):
        return row if kept == groups else {**row, "groups": kept}
    made: ContainerConfig = {**row, "user": user, "group": group, "user_namespace": True}
    made.pop("groups", None)
    if not shares_processes:
        return made
    del made["user"], made["group"], made["user_namespace"]
    return made  # /proc of the pod's processes cannot be mounted in another user namespace than theirs


def notes(pods: Sequence[Pod], placed: Mapping[str, str], hosts: Mapping[str, Host]) -> list[str]:
    """What of pods' ids is ignored, a sentence each."""
    groups: list[str] = []
    users: list[str] = []
    for pod in pods:
        host = hosts.get(placed.get(pod.key, ""))
        if pod.pinned or host is None or not host.is_managed:
            continue
        asked = list(_asked(pod.template))
        if not all(has(host, "gid", one) for wanted in asked for one in wanted.groups):
            groups.append(pod.key)
        if pod.template.share_processes and not all(_fits(host, wanted) for wanted in asked):
            users.append(pod.key)
    found = []
    if groups:
        words = "fsGroup and supplementalGroups are ignored where a node has no such ids, as in an ordinary user's lab"
        found.append(f"{words}: pod {_some(groups)}")
    if users:
        words = "runAsUser and runAsGroup are ignored where a node has no such ids and containers share processes"
        found.append(f"{words}: pod {_some(users)}")
    return found


class _Ids:
    def __init__(self, container: Container, fs_group: int | None) -> None:
        wanted = container.security
        self.user, self.group = wanted.user or 0, wanted.group or 0
        self.groups = {*wanted.groups, *([fs_group] if fs_group is not None else [])}


def _asked(template: PodTemplate) -> Iterator[_Ids]:
    for container in (*template.init_containers, *template.containers):
        yield _Ids(container, template.fs_group)


def _fits(host: Host, wanted: _Ids) -> bool:
    return has(host, "uid", wanted.user) and has(host, "gid", wanted.group)


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")

"""Ids of processes and files: what a manifest asks for, and what a host's user namespace has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ..inputs.host import Host
from ..model import Pod, PodTemplate

Kind = Literal["uid", "gid"]


def unmapped(
    pods: Sequence[Pod], placed: Mapping[str, str], hosts: Mapping[str, Host]
) -> tuple[list[str], dict[str, list[str]]]:
    """Every id that the pod's node does not have (user_namespaces(7)): nothing could run with it there.

    :return: problems, of manifests that ask for what no host has; and the hosts that lack what another one has.
    """
    problems: list[str] = []
    lacking: dict[str, list[str]] = {}
    said: set[tuple[str, str, str]] = set()  # replicas of one template have the same mistake
    for pod in pods:
        host = hosts.get(placed.get(pod.key, ""))
        if pod.pinned or host is None or not host.is_managed:
            continue
        for kind, path, wanted in _asked(pod.template):
            having = [name for name, other in hosts.items() if other.is_managed and _has(other, kind, wanted)]
            whose = host.name if having else ""
            if host.name in having or (pod.where, path, whose) in said:
                continue
            said.add((pod.where, path, whose))
            (lacking.setdefault(host.name, []) if having else problems).append(
                f"{pod.where}: {_subject(pod)} is invalid: {_prefix(pod)}{path}: Invalid value: {wanted}: "
                f"{host.name} has {_words(host.seen['ids'][kind])} in its user namespace and nothing "
                "else; leave it out, or run the lab as root"
            )
    return problems, lacking


def _has(host: Host, kind: Kind, wanted: int) -> bool:
    return any(first <= wanted < first + count for first, count in host.seen["ids"][kind])


def _subject(pod: Pod) -> str:
    kind, _, name = (pod.owner or f"Pod/{pod.namespace}/{pod.name}").split("/", 2)
    return f'The {kind} "{name}"'


def _prefix(pod: Pod) -> str:
    return "spec.template.spec." if pod.owner else "spec."


def _asked(template: PodTemplate) -> Iterator[tuple[Kind, str, int]]:
    """Kind of id, path, id."""
    if template.fs_group is not None:
        yield "gid", "securityContext.fsGroup", template.fs_group
    for field, containers in (("initContainers", template.init_containers), ("containers", template.containers)):
        for index, container in enumerate(containers):
            wanted, path = container.security, f"{field}[{index}].securityContext"
            if wanted.user is not None:
                yield "uid", f"{path}.runAsUser", wanted.user
            if wanted.group is not None:
                yield "gid", f"{path}.runAsGroup", wanted.group
            for group in sorted(set(wanted.groups) - {template.fs_group}):
                yield "gid", "securityContext.supplementalGroups", group


def _words(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"id {first}" if count == 1 else f"ids {first} to {first + count - 1}" for first, count in ranges)

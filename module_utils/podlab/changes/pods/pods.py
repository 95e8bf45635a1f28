"""Pods of a node: what separates them from what they shall be, as a list of actions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

from ...configs import PodConfig
from ...records.observation import Link
from ...records.observation import ObservedPod as Pod
from ..actions import Action
from . import veths
from .actions import (
    AnnouncePod,
    DropVolume,
    MakeSandbox,
    MakeVolume,
    ReloadKubelet,
    ResumeContainer,
    RewriteVolume,
    StartContainer,
    StartKubelet,
    StopKubelet,
)
from .paths import PODS as PODS
from .paths import SCAN_DIR as SCAN_DIR
from .paths import is_own_volume
from .pod_changes import PodChanges
from .sandbox import alias as alias
from .sandbox import veth_name as veth_name
from .unchanged import all_hold

ABSENT: Pod = {
    "sandbox": False,
    "row": None,
    "services": [],
    "facts": {},
    "eth0": None,
    "lo_up": False,
    "routes": [],
}


def changes(links: Mapping[str, Link], pods: Mapping[str, Pod], rows: Sequence[PodConfig]) -> list[Action]:
    """What separates the node from its rows. What is sound is not named."""
    wanted = {row["netns"]: row for row in rows}
    actions = [] if all_hold(links, pods, wanted) else differences(links, pods, wanted)
    return [*actions, *_kubelet(pods, rows, is_changed=bool(actions))]


def differences(links: Mapping[str, Link], pods: Mapping[str, Pod], wanted: Mapping[str, PodConfig]) -> list[Action]:
    """:param wanted: rows by the names of their pods."""
    sound = {netns for netns, row in wanted.items() if netns in pods and _can_stay(pods[netns], row)}
    found = PodChanges(removed={netns: pods[netns]["services"] for netns in sorted(pods.keys() - sound)})
    with_link = {netns for netns, row in wanted.items() if not row.get("host_network")}
    found.links, there = veths.gc(links, with_link, sound & with_link, found.removed)
    for netns, row in wanted.items():
        if netns in sound:
            _repair(found, row, pods[netns], there.get(veth_name(netns)))
        else:
            _create(found, row, pods.get(netns, ABSENT))
    return found.actions({netns: told for netns, pod in pods.items() if (told := pod.get("row"))})


def _kubelet(pods: Mapping[str, Pod], rows: Sequence[PodConfig], *, is_changed: bool) -> list[Action]:
    is_needed, lives = any(map(needs_kubelet, rows)), any(pod.get("kubelet") for pod in pods.values())
    if is_needed != lives:
        return [StartKubelet() if is_needed else StopKubelet()]
    return [ReloadKubelet()] if is_needed and is_changed else []


_CARED_FOR = frozenset({"readiness", "liveness", "startup", "post_start"})
"""Keys of a container's row that are the kubelet's."""


def needs_kubelet(row: PodConfig) -> bool:
    """Whether a pod needs more than a supervisor: init containers in their order, probes, a postStart hook, an end."""
    if row.get("init") or "deadline" in row:
        return True
    return not all(map(_CARED_FOR.isdisjoint, row["containers"].values()))


# --- sandboxes --------------------------------------------------------------------------------------------


def _can_stay(pod: Pod, row: PodConfig) -> bool:
    """Whether a pod's namespaces will do. What is set when they are made its processes have read since, and
    init containers are done once in a sandbox."""
    before = pod.get("row")
    if pod.get("lost"):
        return False  # what mounts them, and what init containers have put there, begins anew
    if before is None:  # cut off on the way: nobody knows what its namespaces are, unless they are a plain pod's
        return pod["sandbox"] and not any(_of_sandbox(row)[1:])
    return pod["sandbox"] and (before is row or _of_sandbox(before) == _of_sandbox(row))


def _of_sandbox(row: PodConfig) -> tuple[object, ...]:
    init = {name: row["containers"][name] for name in row.get("init", [])}
    return (
        row["hostname"],
        row.get("revision", ""),
        list(init.items()),
        row.get("host_network", False),
        row.get("share_processes", False),
        row.get("host_pid", False),
        row.get("host_ipc", False),
        row.get("sysctls", {}),
    )


def _create(found: PodChanges, row: PodConfig, pod: Pod) -> None:
    netns, before = row["netns"], pod.get("row")
    # As on Kubernetes, an emptyDir lives as long as the pod and not only as long as its sandbox.
    keeps = before is not None and before.get("revision") == row.get("revision")
    if keeps:
        found.kept.add(netns)
    _plan_volumes(found, row, before if keeps else None, keeps=keeps, lost=pod.get("lost", ()))
    found.sandboxes.append(MakeSandbox(row))
    if not row.get("host_network"):
        _connect(found, row)
    over = _over(row, pod) if keeps else set()
    first = [name for name in row.get("init", []) if name not in over][:1]
    for name in row["containers"]:
        if name in over:
            found.resumed.append(ResumeContainer(row, name))
        else:
            found.started.append(StartContainer(row, name, bool(first) and name not in first, again=keeps))


def _over(row: PodConfig, pod: Pod) -> set[str]:
    """Containers that do not begin anew in a new sandbox, as they have ended for good. Init containers do, unless there
    is nobody left who needs them."""
    told = pod.get("row")
    before = told["containers"] if told else {}
    ended = {name for name, it in row["containers"].items() if before.get(name) == it and _has_ended(row, name, pod)}
    regular = row["containers"].keys() - set(row.get("init", []))
    return set(row["containers"]) if regular <= ended else ended & regular


def _repair(found: PodChanges, row: PodConfig, pod: Pod, veth: Link | None) -> None:
    if not row.get("host_network"):
        _repair_link(found, row, pod, veth)
    netns, before = row["netns"], pod.get("row")
    changed = _plan_volumes(found, row, before, keeps=True)
    for name in sorted({*(before["containers"] if before else {}), *pod["services"]} - row["containers"].keys()):
        found.stopped.append((netns, name))
    for name in row["containers"]:
        if not _runs_as_it_should(row, name, pod, changed):
            _start_again(found, row, name, pod)
    if before != row:
        found.refreshed.append(row)


# --- links ------------------------------------------------------------------------------------------------


def _connect(found: PodChanges, row: PodConfig, *, beside_old_eth0: bool = False) -> None:
    outside, inside = veths.create(row, beside_old_eth0=beside_old_eth0)
    found.links += outside
    found.netns_commands += inside
    found.announced.append(AnnouncePod(row))


def _repair_link(found: PodChanges, row: PodConfig, pod: Pod, veth: Link | None) -> None:
    eth0 = pod.get("eth0")
    if veth is None or eth0 is None:
        found.links += veths.delete(row) if veth else []
        _connect(found, row, beside_old_eth0=eth0 is not None)
        return
    found.links += veths.repair_outside(row, veth)
    found.narrowed += veths.narrow(row, veth)
    if inside := veths.repair_inside(row, pod, eth0):
        found.netns_commands += inside
        found.announced.append(AnnouncePod(row))


# --- volumes ----------------------------------------------------------------------------------------------


def _plan_volumes(
    found: PodChanges, row: PodConfig, before: PodConfig | None, *, keeps: bool, lost: Collection[str] = ()
) -> Set[str]:
    """Volumes of a pod. Returns those that are not what they were, so that whoever has them mounted starts anew.

    :param keeps: what the pod has written stays there, as far as it is wanted.
    :param lost: volumes that are not there any more.
    """
    old, new = dict(before.get("volumes", {})) if before else {}, row.get("volumes", {})
    for name in lost:
        old.pop(name, None)
    same = {name for name in new if keeps and name in old and _structure(old[name]) == _structure(new[name])}
    if keeps:
        gone = [name for name, volume in old.items() if name not in same and is_own_volume(volume)]
        found.dropped += [DropVolume(row["netns"], name) for name in gone]
    owner_differs = before is None or before.get("fs_group") != row.get("fs_group")
    for name, volume in new.items():
        if name not in same or owner_differs:
            found.volumes.append(MakeVolume(row, name))
        elif volume["kind"] == "files" and (files := _differing_files(old[name], volume)):
            found.rewritten.append(RewriteVolume(row, name, files))
    return (old.keys() | new.keys()) - same


def _structure(volume: Mapping[str, Any]) -> Mapping[str, Any]:
    """What cannot change under a container that has the volume mounted."""
    return {"kind": "files"} if volume["kind"] == "files" else volume


def _differing_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    paths = before["files"].keys() | now["files"].keys()
    return sorted(path for path in paths if before["files"].get(path) != now["files"].get(path))


# --- containers -------------------------------------------------------------------------------------------


def _runs_as_it_should(row: PodConfig, name: str, pod: Pod, changed_volumes: Collection[str]) -> bool:
    before = pod.get("row")
    if before is None or name not in pod["services"] or before["containers"].get(name) != row["containers"][name]:
        return False
    if _has_ended(row, name, pod):
        return True  # and what has changed around it is nothing to it any more
    if name in pod.get("incomplete", ()) or name in pod.get("unlogged", ()):
        return False
    mounted = {mount["volume"] for mount in row["containers"][name].get("mounts", [])}
    return _around(before) == _around(row) and not mounted & set(changed_volumes)


def _start_again(found: PodChanges, row: PodConfig, name: str, pod: Pod) -> None:
    netns, init, before = row["netns"], row.get("init", []), pod.get("row")
    same = before is not None and before["containers"].get(name) == row["containers"][name]
    is_init = name in init and policy_of(row, name) != "Always"
    if name in pod["services"]:
        found.stopped.append((netns, name))
    elif same and (_has_ended(row, name, pod) or (is_init and pod.get("initialized"))):
        found.resumed.append(ResumeContainer(row, name))
        return
    found.started.append(StartContainer(row, name, deferred=bool(init) and not pod.get("initialized")))


def policy_of(row: PodConfig, name: str) -> str:
    """A container's restart policy: its own, or its pod's."""
    return row["containers"][name].get("restart_policy", row["restart_policy"])


def _has_ended(row: PodConfig, name: str, pod: Pod) -> bool:
    """Whether a container has ended and its restart policy, as it is now, leaves it at that."""
    facts = pod.get("facts", {}).get(name)
    if not facts:
        return False
    last, policy = facts.get("last"), policy_of(row, name)
    if facts.get("failed"):
        return True  # with its pod, for good
    if facts.get("pid") or not last:
        return False
    return policy == "Never" or (policy == "OnFailure" and last["exit"] == 0)


def _around(row: PodConfig) -> tuple[object, ...]:
    """What a container reads of its pod when it starts."""
    return row["restart_policy"], row["etc"], row.get("fs_group")

"""Containers of this host: supervised processes, started, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ...changes.pods.actions import ContainerKey, ResumeContainer, StartContainer
from ...changes.pods.container_root import layers, mount_points
from ...changes.pods.containers import service_files
from ...changes.pods.paths import SCAN_DIR, log_directory, service_name
from ...configs import PodConfig
from ..kubelet import s6
from ..record import make_directory, private, text_of
from ..run import HostError, run, wait_until
from . import lost_supervisors, sub_paths
from .supervisor import is_running, is_supervised

OLD = f"{SCAN_DIR}/.old"  # what is on its way out; s6-svscan looks at no name with a dot in front
KEPT = ("last", "restarts", "started", "backoff", "failed")  # what tells how a container has fared
_NOTHING: Any = {"containers": {}}


def supervised() -> list[ContainerKey]:
    """Supervised containers: (network namespace, container). Without s6-svscan nobody watches the watchers."""
    if not is_running():
        return []
    try:
        names = sorted(name for name in os.listdir(SCAN_DIR) if not name.startswith("."))
    except FileNotFoundError:
        return []
    parted = [name.rpartition(".") for name in names if "." in name and is_supervised(f"{SCAN_DIR}/{name}")]
    return [(netns, container) for netns, _, container in parted]


def services_of(names: Iterable[str]) -> list[ContainerKey]:
    owners = set(names)
    try:
        parted = [name.rpartition(".") for name in os.listdir(SCAN_DIR) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    return [(netns, container) for netns, _, container in parted if netns in owners]


def start(found: Sequence[StartContainer]) -> list[str]:
    """Put containers under supervision that begin anew. Returns why some cannot be."""

    def build(it: StartContainer) -> None:
        more = {"down": ""} if it.deferred else {}
        if it.again:
            more["restarts"] = f"{max(starts(*it.key), default=-1) + 1}\n"
        else:
            shutil.rmtree(log_directory(*it.key), ignore_errors=True)
        _build_service(it.row, it.name, more)

    return _supervise(found, build)


def resume(found: Sequence[ResumeContainer]) -> list[str]:
    """Put containers under supervision that have ended, and stay so. What is known of them is kept."""

    def build(it: ResumeContainer) -> None:
        _build_service(it.row, it.name, {"down": ""}, kept=f"{OLD}/{service_name(*it.key)}")

    return _supervise(found, build)


C = TypeVar("C", StartContainer, ResumeContainer)


def _supervise(found: Sequence[C], build: Callable[[C], None]) -> list[str]:
    """Returns why some cannot be: what is in a volume is its pod's, and hinders no other."""
    make_directory(f"{SCAN_DIR}/.new")
    begun, failed = list[str](), list[str]()
    for it in found:
        try:
            sub_paths.bind_all(it.row, it.name)
        except HostError as error:
            failed.append(str(error))
            continue
        build(it)
        begun.append(f"{SCAN_DIR}/{service_name(*it.key)}")
    run(["s6-svscanctl", "-a", SCAN_DIR])
    wait_until(lambda: all(map(is_supervised, begun)), seconds=60.0)
    return failed


def starts(netns: str, name: str) -> list[int]:
    """The starts of a container that have logs: as the kubelet does, a restart is counted by them where nothing else is
    known of the starts before."""
    with contextlib.suppress(FileNotFoundError):
        return [int(entry) for entry in os.listdir(log_directory(netns, name)) if entry.isdigit()]
    return []


def _build_service(row: PodConfig, name: str, more: Mapping[str, str], *, kept: str = "") -> None:
    """:param more: files that another container has not, or that differ.
    :param kept: a service directory that this one takes the place of.
    """
    service = service_name(row["netns"], name)
    building, there = f"{SCAN_DIR}/.new/{service}", f"{SCAN_DIR}/{service}"
    shutil.rmtree(building, ignore_errors=True)
    os.makedirs(building)
    for file, text in {**service_files(row, name), **more}.items():
        write(f"{building}/{file}", text)
    _make_mount_points(row, name, there, building)
    if kept:
        for file in KEPT:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{kept}/{file}", f"{building}/{file}")
        shutil.rmtree(kept, ignore_errors=True)
    logs = log_directory(row["netns"], name)
    os.makedirs(os.path.dirname(logs), 0o700, exist_ok=True)  # what a container prints is its pod's
    os.makedirs(logs, exist_ok=True)
    os.symlink(logs, f"{building}/logs")
    # Into the scan directory as a whole: the supervisor never sees half a service.
    os.rename(building, there)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=private) as out:
        out.write(text)
    if text.startswith("#!"):
        os.chmod(path, 0o700)


def _make_mount_points(row: PodConfig, name: str, there: str, building: str) -> None:
    """Fill the layers that bring mount points to trees of the host which nobody can write to."""
    for layer in layers(row, name).values():
        os.makedirs(layer.replace(there, building, 1))
    for path, source in mount_points(row, name):
        point = path.replace(there, building, 1)
        if source is None or os.path.isdir(source):
            os.makedirs(point, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(point), exist_ok=True)
            os.mknod(point, 0o644)


def stop(services: Sequence[ContainerKey], rows: Mapping[str, PodConfig], *, leave: Container[str] = ()) -> None:
    """End containers by Kubernetes' rules, and then their supervisors, all side by side.

    :param rows: network namespace -> the pod's row as it was applied; it knows of hooks and patience.
    :param leave: services of which ``start`` will want to know how they have fared.
    """
    pairs = list(dict.fromkeys(services))
    known: list[tuple[Any, str]] = [
        (rows[netns], name) for netns, name in pairs if name in rows.get(netns, _NOTHING)["containers"]
    ]
    for pair in pairs:
        s6.control(f"{SCAN_DIR}/{service_name(*pair)}", b"O")  # once: whatever ends now stays down
    if known:
        from ..kubelet.termination import terminate_all  # brings asyncio along: 0.05 s, which most calls need not pay

        terminate_all(known)
    _end_supervisors(os.listdir(OLD) if os.path.isdir(OLD) else (), leave)  # of a run that was cut off
    if not pairs:
        return
    make_directory(OLD)
    names = [service_name(*pair) for pair in pairs]
    for name in names:
        # Out of s6-svscan's sight first: it would put another supervisor in the place of one that leaves.
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{SCAN_DIR}/{name}", f"{OLD}/{name}")
    _end_supervisors(names, leave)
    lost_supervisors.end()  # of services whose directory, or what it is controlled by, somebody has moved away
    for netns, name in pairs:
        sub_paths.release(netns, name)


def _end_supervisors(names: Iterable[str], leave: Container[str]) -> None:
    """End what is left of services that have been put aside. TERM has been said where anybody knew to whom."""
    paths = [f"{OLD}/{name}" for name in names]
    alive = [path for path in paths if is_supervised(path)]
    # Known by its mount namespace, a process cannot hide: not from a supervisor that was killed, not among others.
    roots = {root for path in paths if (root := _reported(path).get("mnt-namespace"))}
    for path in alive:
        s6.control(path, b"dxk")
    wait_until(lambda: all([_is_quiet(path) for path in alive]), seconds=10.0)
    _end_processes_in(roots)
    if alive and is_running():
        run(["s6-svscanctl", "-an", SCAN_DIR])
    for path in paths:
        if os.path.basename(path) not in leave:
            shutil.rmtree(path, ignore_errors=True)


def _end_processes_in(roots: set[int]) -> None:
    """Kill whoever lives in one of these mount namespaces. A round that finds nobody is the last one."""
    while roots and (left := [pid for pid in _pids() if _mount_namespace(pid) in roots]):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _mount_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return None


def _is_quiet(service: str) -> bool:
    """Whether a supervisor has gone. It stays for the pause before a next start, which a container that ends just now
    is about to make; s6-svc reaches the program and not the finish script."""
    if not is_supervised(service):
        return True
    pid = (text_of(f"{service}/waiting") or "").strip()
    with contextlib.suppress(OSError):
        if pid and os.readlink(f"/proc/{pid}/cwd") == service:  # or it is over, and somebody else has the pid
            os.kill(int(pid), signal.SIGKILL)
    return False


def _reported(service: str) -> dict[str, int]:
    """What bubblewrap has told of a container's latest start."""
    try:
        with open(f"{service}/status", encoding="utf-8") as file:
            facts = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError):
        return {}
    return {key: value for fact in facts for key, value in fact.items()}

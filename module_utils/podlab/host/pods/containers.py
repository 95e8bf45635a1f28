"""Containers of this host: supervised processes, started, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ... import seccomp
from ...changes.pods.containers import (
    IMAGES,
    SERVICES,
    kubelet_script,
    layers,
    log_directory,
    mount_points,
    service_files,
    service_name,
)
from ...changes.pods.s6_commands import KUBELET, SUPERVISOR, UNIT
from ...configs import PodRow
from ..kubelet import s6
from ..record import make_directory, private, text_of, write_file
from ..run import HostError, daemon, run, wait_until
from . import lost_supervisors, volumes

OLD = f"{SERVICES}/.old"  # what is on its way out; s6-svscan looks at no name with a dot in front
KEPT = ("last", "restarts", "started", "backoff", "failed")  # what tells how a container has fared
_NOTHING: Any = {"containers": {}}


def supervised() -> list[tuple[str, str]]:
    """Supervised containers: (network namespace, container). Without s6-svscan nobody watches the watchers."""
    if not supervisor_runs():
        return []
    try:
        names = sorted(name for name in os.listdir(SERVICES) if not name.startswith("."))
    except FileNotFoundError:
        return []
    parted = [name.rpartition(".") for name in names if "." in name and is_supervised(f"{SERVICES}/{name}")]
    return [(netns, container) for netns, _, container in parted]


def services_of(names: Iterable[str]) -> list[tuple[str, str]]:
    owners = set(names)
    try:
        parted = [name.rpartition(".") for name in os.listdir(SERVICES) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    return [(netns, container) for netns, _, container in parted if netns in owners]


def start(
    anew: Sequence[tuple[PodRow, str]],
    *,
    held: Container[tuple[str, str]] = (),
    again: Container[str] = (),
    resumed: bool = False,
) -> list[str]:
    """Put containers under supervision. Returns why some cannot be: what is in a volume is its pod's, and hinders no
    other.

    :param held: (network namespace, container) of those that only the kubelet starts.
    :param again: pods that were there before, in another sandbox: their containers keep their logs, and are restarted.
    :param resumed: they have ended and stay as they are; what is known of them is kept.
    """
    make_directory(f"{SERVICES}/.new")
    begun, failed = list[str](), list[str]()
    for row, name in anew:
        try:
            volumes.bind_sub_paths(row, name)
        except HostError as error:
            failed.append(str(error))
            continue
        down = resumed or (row["netns"], name) in held
        more = {"down": ""} if down else {}
        _build_service(row, name, more, resumed=resumed, again=row["netns"] in again)
        begun.append(f"{SERVICES}/{service_name(row['netns'], name)}")
    ensure_supervisor()
    run(["s6-svscanctl", "-a", SERVICES])
    wait_until(lambda: all(map(is_supervised, begun)), seconds=60.0)
    return failed


def starts(netns: str, name: str) -> list[int]:
    """The starts of a container that have logs: as the kubelet does, a restart is counted by them where nothing else is
    known of the starts before."""
    with contextlib.suppress(FileNotFoundError):
        return [int(entry) for entry in os.listdir(log_directory(netns, name)) if entry.isdigit()]
    return []


def _build_service(row: PodRow, name: str, more: Mapping[str, str], *, resumed: bool, again: bool) -> None:
    netns, service = row["netns"], service_name(row["netns"], name)
    more = {**more, "restarts": f"{max(starts(netns, name), default=-1) + 1}\n"} if again else more
    building, there = f"{SERVICES}/.new/{service}", f"{SERVICES}/{service}"
    shutil.rmtree(building, ignore_errors=True)
    os.makedirs(building)
    for file, text in {**service_files(row, name), **more}.items():
        _write(f"{building}/{file}", text)
    _make_mount_points(row, name, there, building)
    logs = log_directory(netns, name)
    if resumed:
        for file in KEPT:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{OLD}/{service}/{file}", f"{building}/{file}")
        shutil.rmtree(f"{OLD}/{service}", ignore_errors=True)
    elif not again:
        shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(os.path.dirname(logs), 0o700, exist_ok=True)  # what a container prints is its pod's
    os.makedirs(logs, exist_ok=True)
    os.symlink(logs, f"{building}/logs")
    # Into the scan directory as a whole: the supervisor never sees half a service.
    os.rename(building, there)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=private) as out:
        out.write(text)
    if text.startswith("#!"):
        os.chmod(path, 0o700)


def _make_mount_points(row: PodRow, name: str, there: str, building: str) -> None:
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


def stop(services: Sequence[tuple[str, str]], rows: Mapping[str, PodRow], *, leave: Container[str] = ()) -> None:
    """End containers by Kubernetes' rules, and then their supervisors, all side by side.

    :param rows: network namespace -> the pod's row as it was applied; it knows of hooks and patience.
    :param leave: services of which ``start`` will want to know how they have fared.
    """
    pairs = list(dict.fromkeys(services))
    known: list[tuple[Any, str]] = [
        (rows[netns], name) for netns, name in pairs if name in rows.get(netns, _NOTHING)["containers"]
    ]
    for pair in pairs:
        s6.control(f"{SERVICES}/{service_name(*pair)}", b"O")  # once: whatever ends now stays down
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
            os.rename(f"{SERVICES}/{name}", f"{OLD}/{name}")
    _end_supervisors(names, leave)
    lost_supervisors.end()  # of services whose directory, or what it is controlled by, somebody has moved away
    for netns, name in pairs:
        volumes.release_sub_paths(netns, name)


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
    if alive and supervisor_runs():
        run(["s6-svscanctl", "-an", SERVICES])
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


# --- the kubelet ------------------------------------------------------------------------------------------


def kubelet_lives() -> bool:
    """Whether the kubelet is supervised, and meant to run: its supervisor sees to the rest."""
    return is_supervised(KUBELET) and s6.is_wanted(KUBELET)


def start_kubelet() -> None:
    """Put the kubelet under supervision, in place of one that was stopped by hand.

    :raises HostError: its program is not there.
    """
    program = f"{IMAGES}/kubelet"
    if not os.path.exists(program):
        raise HostError(f"{program}: not found; pods with init containers, probes or hooks need it")
    stop_kubelet()
    building = f"{SERVICES}/.new/kubelet"
    shutil.rmtree(building, ignore_errors=True)
    make_directory(f"{building}/logs")
    _write(f"{building}/run", kubelet_script(sys.executable or "/usr/bin/python3", program))
    os.rename(building, KUBELET)
    ensure_supervisor()
    run(["s6-svscanctl", "-a", SERVICES])
    wait_until(kubelet_lives, seconds=60.0)


def reload_kubelet() -> None:
    """Tell it that rows have changed. It would see it within a second by itself."""
    s6.control(KUBELET, b"h")


def restart_kubelet() -> None:
    """Let it run the program that is there now. What it knows is in files."""
    s6.control(KUBELET, b"t")


def stop_kubelet() -> None:
    stop_daemon(KUBELET)  # with TERM: it takes its probes along


def stop_daemon(directory: str) -> None:
    """End one of podlab's own daemons, whether or not its supervisor can still be told to, and take it away."""
    if is_supervised(directory):
        s6.control(directory, b"dx")
        wait_until(lambda: not is_supervised(directory), seconds=10.0)
        if supervisor_runs():
            run(["s6-svscanctl", "-an", SERVICES])
    shutil.rmtree(directory, ignore_errors=True)
    lost_supervisors.end()


# --- supervision ------------------------------------------------------------------------------------------


def program_of(service: str) -> int | None:
    """Pid of a container's process 1 as this host counts, or None when it does not run."""
    facts = _reported(service)
    return facts.get("child-pid") if "exit-code" not in facts else None


def _reported(service: str) -> dict[str, int]:
    """What bubblewrap has told of a container's latest start."""
    try:
        with open(f"{service}/status", encoding="utf-8") as file:
            facts = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError):
        return {}
    return {key: value for fact in facts for key, value in fact.items()}


def is_supervised(service: str) -> bool:
    """Whether a supervisor listens at a service directory: what s6-svok asks, without a process for it."""
    return _fifo_has_reader(f"{service}/supervise/control")


def supervisor_runs() -> bool:
    return _fifo_has_reader(f"{SERVICES}/.s6-svscan/control")


def _fifo_has_reader(path: str) -> bool:
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def ensure_supervisor() -> None:
    """s6-svscan watches over every container of this host. Under systemd it is a unit of its own, so that
    it belongs to no login session; elsewhere a daemon. Both run the same command."""
    if supervisor_runs():
        return
    lost_supervisors.end()
    if os.path.isdir("/run/systemd/system"):
        run(["systemctl", "reset-failed", "podlab.service"]) if _unit_failed() else None
        run([*UNIT, *SUPERVISOR])
    else:
        daemon(SUPERVISOR, seccomp.installer(os.uname().machine))
    wait_until(supervisor_runs, seconds=10.0)
    if not supervisor_runs():
        raise HostError(f"s6-svscan does not answer at {SERVICES}")


def _unit_failed() -> bool:
    return subprocess.run(["systemctl", "is-failed", "--quiet", "podlab.service"]).returncode == 0


def stop_supervisor() -> None:
    if supervisor_runs():
        run(["s6-svscanctl", "-t", SERVICES])
        wait_until(lambda: not supervisor_runs(), seconds=10.0)


def write_programs(programs: Mapping[str, str]) -> None:
    """Put podlab's own programs, and busybox's names, where containers find them."""
    make_directory(IMAGES)
    for name in stale_programs(programs):
        os.makedirs(os.path.dirname(f"{IMAGES}/{name}"), exist_ok=True)
        write_file(f"{IMAGES}/{name}", programs[name], 0o755)
    if lacks_busybox():
        os.makedirs(f"{IMAGES}/busybox.new", exist_ok=True)
        for applet in run(["busybox", "--list"]).split():
            with contextlib.suppress(FileExistsError):
                os.symlink("/usr/bin/busybox", f"{IMAGES}/busybox.new/{applet}")
        os.rename(f"{IMAGES}/busybox.new", f"{IMAGES}/busybox")


def lacks_busybox() -> bool:
    return not os.path.isdir(f"{IMAGES}/busybox")


def stale_programs(programs: Mapping[str, str]) -> list[str]:
    """Names of podlab's programs that this host lacks or has in another version."""
    return [name for name, text in programs.items() if text_of(f"{IMAGES}/{name}") != text]

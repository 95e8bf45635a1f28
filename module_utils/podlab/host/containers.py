"""Containers of this host: supervised processes, started, watched and ended."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from ..changes.containers import IMAGES, log_directory, service_files, service_name
from ..changes.pods import PODS, SERVICES, PodRow
from .record import text_of, write_file
from .run import HostError, daemon, run, run_all, wait_until


def supervised() -> list[tuple[str, str]]:
    """Supervised containers: (network namespace, container). Without s6-svscan nobody watches the watchers."""
    if not supervisor_runs():
        return []
    try:
        names = sorted(name for name in os.listdir(SERVICES) if not name.startswith("."))
    except FileNotFoundError:
        return []
    parted = [name.rpartition(".") for name in names if is_supervised(f"{SERVICES}/{name}")]
    return [(netns, container) for netns, _, container in parted]


def services_of(names: Iterable[str]) -> list[tuple[str, str]]:
    owners = set(names)
    try:
        parted = [name.rpartition(".") for name in os.listdir(SERVICES) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    return [(netns, container) for netns, _, container in parted if netns in owners]


def start(anew: Sequence[tuple[PodRow, str]]) -> None:
    os.makedirs(f"{SERVICES}/.new", exist_ok=True)
    for row, name in anew:
        netns, pod = row["netns"], f"{PODS}/{row['netns']}"
        service = service_name(netns, name)
        building = f"{SERVICES}/.new/{service}"
        shutil.rmtree(building, ignore_errors=True)
        os.makedirs(building)
        files = service_files(netns, pod, row["hostname"], row["containers"][name], row["restart_policy"])
        for file, text in files.items():
            with open(f"{building}/{file}", "w", encoding="utf-8") as out:
                out.write(text)
            os.chmod(f"{building}/{file}", 0o755 if text.startswith("#!") else 0o644)
        logs = log_directory(netns, name)
        shutil.rmtree(logs, ignore_errors=True)
        os.makedirs(logs)
        os.symlink(logs, f"{building}/logs")
        # Into the scan directory as a whole: the supervisor never sees half a service.
        os.rename(building, f"{SERVICES}/{service}")
    _ensure_supervisor()
    run(["s6-svscanctl", "-a", SERVICES])
    services = [f"{SERVICES}/{service_name(row['netns'], name)}" for row, name in anew]
    wait_until(lambda: all(map(is_supervised, services)), seconds=60.0)


def stop(services: Sequence[tuple[str, str]]) -> None:
    """End containers and their supervisors side by side: TERM to the program, then KILL."""
    paths = list(dict.fromkeys(f"{SERVICES}/{service_name(netns, name)}" for netns, name in services))
    alive = [path for path in paths if is_supervised(path)]
    run_all([(["s6-svc", "-O", path], None) for path in alive])  # once: whatever ends now stays down
    programs = [pid for path in alive if (pid := program_of(path))]
    for pid in programs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in programs), seconds=1.0)
    run_all([(["s6-svc", "-dxk", path], None) for path in alive])
    for path in alive:
        _end_waiting(path)
    wait_until(lambda: not any(is_supervised(path) for path in alive), seconds=10.0)
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
    if alive and supervisor_runs():
        run(["s6-svscanctl", "-an", SERVICES])


def _end_waiting(service: str) -> None:
    """End the pause before a next start: s6-svc reaches the program and not the finish script."""
    pid = (text_of(f"{service}/waiting") or "").strip()
    with contextlib.suppress(OSError):
        if pid and os.readlink(f"/proc/{pid}/cwd") == service:  # or it is over, and somebody else has the pid
            os.kill(int(pid), signal.SIGKILL)


def program_of(service: str) -> int | None:
    """Pid of a container's process 1 as this host counts, or None when it does not run."""
    try:
        with open(f"{service}/status", encoding="utf-8") as file:
            facts = [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError):
        return None
    merged = {key: value for fact in facts for key, value in fact.items()}
    return merged.get("child-pid") if "exit-code" not in merged else None


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


def _ensure_supervisor() -> None:
    """s6-svscan watches over every container of this host. Under systemd it is a unit of its own, so that
    it belongs to no login session; elsewhere a daemon. Both run the same command."""
    if supervisor_runs():
        return
    argv = ["s6-svscan", "-c", "10000", SERVICES]
    if os.path.isdir("/run/systemd/system"):
        run(["systemctl", "reset-failed", "podlab.service"]) if _unit_failed() else None
        run(
            [
                "systemd-run",
                "--quiet",
                "--unit=podlab",
                "--description=podlab's containers",
                "--property=KillMode=mixed",
                "--property=LimitNOFILE=1048576",
                "--",
                *argv,
            ]
        )
    else:
        daemon(argv)
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
    os.makedirs(IMAGES, exist_ok=True)
    for name in stale_programs(programs):
        write_file(f"{IMAGES}/{name}", programs[name], 0o755)
    if not os.path.isdir(f"{IMAGES}/busybox"):
        os.makedirs(f"{IMAGES}/busybox.new", exist_ok=True)
        for applet in run(["busybox", "--list"]).split():
            with contextlib.suppress(FileExistsError):
                os.symlink("/usr/bin/busybox", f"{IMAGES}/busybox.new/{applet}")
        os.rename(f"{IMAGES}/busybox.new", f"{IMAGES}/busybox")


def stale_programs(programs: Mapping[str, str]) -> list[str]:
    """Names of podlab's programs that this host lacks or has in another version."""
    return [name for name, text in programs.items() if text_of(f"{IMAGES}/{name}") != text]

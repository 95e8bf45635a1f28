"""Pods of this host: find them, build them, mend them, take them away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..changes.containers import IMAGES, log_directory, service_files, service_name
from ..changes.pods import PODS, SERVICES, Pod, PodRow, Steps, pause_argv, pause_command, unshare_argv, veth_name
from .namespaces import NETNS, socket_in
from .network import link_facts
from .record import write_file
from .run import HostError, documents, ip_batch, run, run_all


def observe() -> dict[str, Pod]:
    """Every pod that has left a trace here, by the name of its network namespace."""
    names = sorted(os.listdir(PODS)) if os.path.isdir(PODS) else []
    pauses = _pauses()
    services = _services()
    pods: dict[str, Pod] = {}
    for netns in names:
        pods[netns] = {
            "sandbox": _sandbox_is_sound(netns, pauses.get(netns)),
            "row": _applied_row(netns),
            "services": [name for owner, name in services if owner == netns],
            "eth0": None,
            "lo_up": False,
            "routes": [],
        }
    sound = [netns for netns in names if pods[netns]["sandbox"]]
    # -d for the kind of link; one process a pod tells links, addresses and routes.
    question = "addr show\nroute show\n"
    answers = run_all([(["ip", "-n", netns, "-j", "-d", "-batch", "-"], question) for netns in sound])
    for netns, (_, out, _) in zip(sound, answers, strict=True):
        found = documents(out)
        links = {link["ifname"]: link for link in found[0]} if found else {}
        eth0 = links.get("eth0")
        pods[netns]["eth0"] = link_facts(eth0) if eth0 else None
        pods[netns]["lo_up"] = "UP" in links.get("lo", {}).get("flags", [])
        pods[netns]["routes"] = [
            _route_words(route) for route in (found[1] if len(found) > 1 else []) if route.get("protocol") != "kernel"
        ]
    return pods


def apply(steps: Steps) -> None:
    """Do what ``changes`` found, in its order: first what goes, then namespaces, wires, insides, processes."""
    # What a killed supervisor left behind goes before its container is started anew.
    anew = [(row["netns"], name) for row, name in steps.start]
    stop_services([*steps.stop, *_services_of(steps.gone), *anew])
    remove(steps.gone)
    _make_sandboxes(steps.sandboxes)
    ip_batch(steps.wires)
    lines = [(netns, lines) for netns, lines in steps.insides.items() if lines]
    answers = run_all([(["ip", "-n", netns, "-batch", "-"], "\n".join(todo) + "\n") for netns, todo in lines])
    failed = [f"pod {netns}: {err.strip()}" for (netns, _), (code, _, err) in zip(lines, answers, strict=True) if code]
    if failed:
        raise HostError("\n".join(failed))
    for row in steps.announce:
        _announce(row)
    for row in {row["netns"]: row for row in [*steps.sandboxes, *(row for row, _ in steps.start)]}.values():
        _write_etc(row)
    if steps.start:
        _start_services(steps.start)
    for row in {row["netns"]: row for row in [*steps.sandboxes, *steps.refresh]}.values():
        # Written last: a pod without its row was cut off on the way and is done again.
        write_file(f"{PODS}/{row['netns']}/pod.json", json.dumps(row))


def remove(names: Iterable[str]) -> None:
    """Take pods away whose services have been stopped. Every step may find its work done already."""
    names = list(names)
    # Wires go before pause: when the last process of a namespace dies the kernel takes the wire itself,
    # some time later.
    veths = [veth_name(netns) for netns in names]
    ip_batch([f"link del {veth}" for veth in veths if os.path.exists(f"/sys/class/net/{veth}")])
    pauses = _pauses()
    for netns in names:
        if netns in pauses:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pauses[netns], signal.SIGKILL)
    mounts = [path for netns in names for path in _named_namespaces(netns).values() if os.path.ismount(path)]
    if mounts:
        run(["umount", *mounts])
    for netns in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{NETNS}/{netns}")
        shutil.rmtree(f"{PODS}/{netns}", ignore_errors=True)
        shutil.rmtree(log_directory(netns, ""), ignore_errors=True)


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


# --- namespaces ---------------------------------------------------------------------------------


def _pauses() -> dict[str, int]:
    """Pause processes of this host: network namespace's name -> pid."""
    prefix = "\0".join(pause_command(""))
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry.name}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace")
                if line.startswith(prefix):
                    found[line[len(prefix) :].rstrip("\0")] = int(entry.name)
    return found


def _sandbox_is_sound(netns: str, pause: int | None) -> bool:
    """True if pause lives in the very namespaces that bear the pod's name."""
    if pause is None:
        return False
    names = _named_namespaces(netns)
    try:
        return all(os.stat(path).st_ino == os.stat(f"/proc/{pause}/ns/{kind}").st_ino for kind, path in names.items())
    except OSError:
        return False


def _named_namespaces(netns: str) -> dict[str, str]:
    """Kind of namespace -> the file that gives it a name."""
    return {"net": f"{NETNS}/{netns}", "ipc": f"{PODS}/{netns}/ipc", "uts": f"{PODS}/{netns}/uts"}


def _make_sandboxes(rows: Sequence[PodRow]) -> None:
    if not rows:
        return
    os.makedirs(NETNS, exist_ok=True)
    for row in rows:
        os.makedirs(f"{PODS}/{row['netns']}", exist_ok=True)
        for path in _named_namespaces(row["netns"]).values():
            with open(path, "a", encoding="ascii"):
                pass
    answers = run_all([(unshare_argv(row), None) for row in rows])
    failed = [f"pod {row['netns']}: {err.strip()}" for row, (code, _, err) in zip(rows, answers, strict=True) if code]
    if failed:
        raise HostError("\n".join(failed))
    for row in rows:
        daemon(pause_argv(row["netns"]))


def _announce(row: PodRow) -> None:
    """Tell the neighbours the pod's MAC, once the bridge lets its frames pass.

    Not arp_notify, which the CNI plugins use: the kernel sends its announcement while it brings the link
    up, and the port of the bridge begins to forward only after that.
    """
    state = f"/sys/class/net/{veth_name(row['netns'])}/brport/state"
    _wait_until(lambda: text_of(state) == "3\n", seconds=2.0)
    mac = bytes.fromhex(row["mac"].replace(":", ""))
    address = socket.inet_aton(row["address"].split("/")[0])
    ethernet = b"\xff" * 6 + mac + b"\x08\x06"
    reply = b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + address + mac + address
    with socket_in(row["netns"], socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        wire.send(ethernet + reply)


def daemon(argv: Sequence[str]) -> None:
    """Start a process that stays when this one, and the session that brought it here, has gone."""
    subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
    )


def _route_words(route: Mapping[str, Any]) -> str:
    via = f" via {route['gateway']}" if "gateway" in route else ""
    return f"{route['dst']}{via} dev {route['dev']}" if "dev" in route else f"{route['dst']}{via}"


# --- containers -----------------------------------------------------------------------------------


def _services() -> list[tuple[str, str]]:
    """Supervised containers: (network namespace, container). Without s6-svscan nobody watches the watchers."""
    if not supervisor_runs():
        return []
    try:
        names = sorted(name for name in os.listdir(SERVICES) if not name.startswith("."))
    except FileNotFoundError:
        return []
    parted = [name.rpartition(".") for name in names if is_supervised(f"{SERVICES}/{name}")]
    return [(netns, container) for netns, _, container in parted]


def _services_of(names: Iterable[str]) -> list[tuple[str, str]]:
    owners = set(names)
    try:
        parted = [name.rpartition(".") for name in os.listdir(SERVICES) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    return [(netns, container) for netns, _, container in parted if netns in owners]


def is_supervised(service: str) -> bool:
    """Whether a supervisor listens at a service directory: what s6-svok asks, without a process for it."""
    return _fifo_has_reader(f"{service}/supervise/control")


def _fifo_has_reader(path: str) -> bool:
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def stop_services(services: Sequence[tuple[str, str]]) -> None:
    """End containers and their supervisors side by side: TERM to the program, then KILL."""
    paths = list(dict.fromkeys(f"{SERVICES}/{service_name(netns, name)}" for netns, name in services))
    alive = [path for path in paths if is_supervised(path)]
    run_all([(["s6-svc", "-O", path], None) for path in alive])  # once: whatever ends now stays down
    programs = [pid for path in alive if (pid := program_of(path))]
    for pid in programs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    _wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in programs), seconds=1.0)
    run_all([(["s6-svc", "-dxk", path], None) for path in alive])
    for path in alive:
        _end_waiting(path)
    _wait_until(lambda: not any(is_supervised(path) for path in alive), seconds=10.0)
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


def _start_services(start: Sequence[tuple[PodRow, str]]) -> None:
    os.makedirs(f"{SERVICES}/.new", exist_ok=True)
    for row, name in start:
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
    services = [f"{SERVICES}/{service_name(row['netns'], name)}" for row, name in start]
    _wait_until(lambda: all(map(is_supervised, services)), seconds=60.0)


def supervisor_runs() -> bool:
    return _fifo_has_reader(f"{SERVICES}/.s6-svscan/control")


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
    _wait_until(supervisor_runs, seconds=10.0)
    if not supervisor_runs():
        raise HostError(f"s6-svscan does not answer at {SERVICES}")


def _unit_failed() -> bool:
    return subprocess.run(["systemctl", "is-failed", "--quiet", "podlab.service"]).returncode == 0


def stop_supervisor() -> None:
    if supervisor_runs():
        run(["s6-svscanctl", "-t", SERVICES])
        _wait_until(lambda: not supervisor_runs(), seconds=10.0)


def _write_etc(row: PodRow) -> None:
    pod = f"{PODS}/{row['netns']}"
    for name, text in row["etc"].items():
        with open(f"{pod}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    os.makedirs(f"{pod}/shm", exist_ok=True)
    os.chmod(f"{pod}/shm", 0o1777)


def _applied_row(netns: str) -> PodRow | None:
    try:
        with open(f"{PODS}/{netns}/pod.json", encoding="utf-8") as file:
            row: PodRow = json.load(file)
    except (OSError, ValueError):
        return None
    return row


def text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def _wait_until(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)

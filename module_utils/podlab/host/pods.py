"""Pods of this host: find them, build them, mend them, take them away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..changes.containers import log_directory
from ..changes.pods import PODS, Pod, PodRow, Steps, pause_argv, pause_command, unshare_argv, veth_name
from . import containers
from .namespaces import NETNS, socket_in
from .network import link_facts
from .record import text_of, write_file
from .run import HostError, daemon, documents, ip_batch, run, run_all, wait_until


def observe() -> dict[str, Pod]:
    """Every pod that has left a trace here, by the name of its network namespace."""
    names = sorted(os.listdir(PODS)) if os.path.isdir(PODS) else []
    pauses = _pauses()
    services = containers.supervised()
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


def namespaces_of_others() -> list[str]:
    """Named network namespaces that podlab has not made: its own have a directory first."""
    named = os.listdir(NETNS) if os.path.isdir(NETNS) else []
    return sorted(name for name in named if not os.path.isdir(f"{PODS}/{name}"))


def apply(steps: Steps) -> None:
    """Do what ``changes`` found, in its order: first what goes, then namespaces, wires, insides, processes."""
    # What a killed supervisor left behind goes before its container is started anew.
    anew = [(row["netns"], name) for row, name in steps.start]
    containers.stop([*steps.stop, *containers.services_of(steps.gone), *anew])
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
        containers.start(steps.start)
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


def _pauses() -> dict[str, int]:
    """Pause processes of this host: network namespace's name -> pid."""
    prefix = "\0".join(pause_command(""))
    here = os.readlink("/proc/self/ns/pid")  # a lab's pauses are seen from outside as well, and are not ours
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry.name}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace")
                if line.startswith(prefix) and os.readlink(f"/proc/{entry.name}/ns/pid") == here:
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
    wait_until(lambda: text_of(state) == "3\n", seconds=2.0)
    mac = bytes.fromhex(row["mac"].replace(":", ""))
    address = socket.inet_aton(row["address"].split("/")[0])
    ethernet = b"\xff" * 6 + mac + b"\x08\x06"
    reply = b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + address + mac + address
    with socket_in(row["netns"], socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        wire.send(ethernet + reply)


def _route_words(route: Mapping[str, Any]) -> str:
    via = f" via {route['gateway']}" if "gateway" in route else ""
    return f"{route['dst']}{via} dev {route['dev']}" if "dev" in route else f"{route['dst']}{via}"


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

"""Pods of this host: find them, build them, mend them, take them away."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...changes.pods.containers import SERVICES, SHM, log_directory, service_name, shm_path
from ...changes.pods.pods import (
    BIND_ON_ITSELF,
    PODS,
    SANDBOX_SYSCTLS,
    SHM_OPTIONS,
    Pod,
    Steps,
    is_plain,
    namespace_files,
    pause_argv,
    pause_command,
    unshare_argv,
    veth_name,
)
from ...configs import PodRow
from ...records import pod_path, pod_row
from ..kubelet.started import active_since
from ..network.namespaces import NETNS, give_name, more_namespaces, mount_tmpfs, socket_in, unshare
from ..network.network import is_written, link_facts, write_sysctl
from ..record import make_directory, text_of, write_file
from ..run import HostError, daemon, documents, ip_batch, run, run_all, wait_until
from . import containers, status, volumes


def observe(*, as_written: bool = False) -> dict[str, Pod]:
    """Every pod that has left a trace here, by the name of its network namespace.

    :param as_written: with rows that are damaged: the planner says so of each.
    """
    pauses, kubelet = status.pauses(), containers.kubelet_lives()
    named = os.listdir(PODS) if os.path.isdir(PODS) else []
    names = sorted({*named, *volumes.left_behind(), *pauses})  # a pause tells its pod's name, whatever has gone
    services: dict[str, list[str]] = {}
    for owner, name in containers.supervised():
        services.setdefault(owner, []).append(name)
    pods: dict[str, Pod] = {}
    with_own_net = set()
    for netns in names:
        told = _written_row(netns)
        row = _sound_row(told, netns)
        with_own_net |= {netns} if "net" in namespace_files(row, netns) else set()
        pods[netns] = {
            "sandbox": _sandbox_is_sound(netns, row, pauses.get(netns)),
            "row": told if as_written else row,
            "services": services.get(netns, []),
            "facts": _facts(netns, row, as_written=as_written),
            "initialized": _is_initialized(row),
            "lost": volumes.lost(row) if row else [],
            "unlogged": [name for name in services.get(netns, []) if not os.path.isdir(log_directory(netns, name))],
            "exposed": [name for name in services.get(netns, []) if not os.path.exists(f"{_service(netns, name)}/env")],
            "kubelet": kubelet,
            "age": _age(netns),
            "eth0": None,
            "lo_up": False,
            "routes": [],
            "neighbours": [],
            "connected": [],
        }
    wired = [netns for netns in names if pods[netns]["sandbox"] and netns in with_own_net]
    # -d for the kind of link; one process a pod tells links, addresses and routes.
    question = "addr show\nroute show\nneigh show nud permanent nud noarp\n"
    answers = run_all([(["ip", "-j", "-d", "-batch", "-"], question) for _ in wired], wired)
    for netns, (_, out, _) in zip(wired, answers, strict=True):
        addresses, routes, neighbours = [*documents(out), [], [], []][:3]
        links = {link["ifname"]: link for link in addresses}
        eth0 = links.get("eth0")
        pods[netns]["eth0"] = link_facts(eth0) if eth0 else None
        pods[netns]["lo_up"] = "UP" in links.get("lo", {}).get("flags", [])
        pods[netns]["routes"] = [route_words(route) for route in routes if route.get("protocol") != "kernel"]
        pods[netns]["connected"] = [
            route["dst"] for route in routes if route.get("protocol") == "kernel" and route.get("dev") == "eth0"
        ]
        pods[netns]["neighbours"] = [
            entry["dst"]
            for entry in neighbours
            if entry["dev"] == "eth0" and ":" not in entry["dst"] and is_written(entry)
        ]
    return pods


def _service(netns: str, container: str) -> str:
    return f"{SERVICES}/{service_name(netns, container)}"


def _facts(netns: str, row: PodRow | None, *, as_written: bool) -> dict[str, Any]:
    """How each container fares. What is damaged counts for as little here as it does to the planner."""
    told = {name: status.container(_service(netns, name)) for name in (row["containers"] if row else ())}
    return told if as_written else {name: pod_row.sound_facts(facts)[0] for name, facts in told.items()}


def _age(netns: str) -> float | None:
    """Seconds since its sandbox was made; None where that is not known."""
    found = active_since(netns)
    return None if found is None else time.time() - found


def _is_initialized(row: PodRow | None) -> bool:
    """Whether a container that comes after the init containers was started once: they have done their work."""
    init = row.get("init", []) if row else []
    if row is None or not init:
        return False
    after = [name for name in row["containers"] if name not in init]
    return any(os.path.exists(f"{_service(row['netns'], name)}/started") for name in after)


def namespaces_of_others() -> list[str]:
    """Named network namespaces that podlab has not made: its own have a directory first."""
    named = os.listdir(NETNS) if os.path.isdir(NETNS) else []
    return sorted(name for name in named if not os.path.isdir(f"{PODS}/{name}"))


def apply(steps: Steps) -> None:
    """Do what ``changes`` found, in its order: first what goes, then namespaces, wires, insides, processes.

    :raises HostError: before anything is done, if the host has not what a hostPath volume asks for.
    """
    volumes.check(steps.volumes)
    rows = {netns: row for netns in _rows_to_end(steps) if (row := applied_row(netns))}
    # What a killed supervisor left behind goes before its container is started anew.
    anew = [(row["netns"], name) for row, name in [*steps.start, *steps.resume]]
    kept = {service_name(row["netns"], name) for row, name in steps.resume}
    containers.stop([*steps.stop, *containers.services_of(steps.gone), *anew], rows, leave=kept)
    remove(steps.gone, coming_back=steps.kept)
    _make_sandboxes(steps.sandboxes)
    ip_batch(steps.wires)
    lines = [(netns, lines) for netns, lines in steps.insides.items() if lines]
    # Started in the namespace, which is what "ip -n" does, but for the mounts that it makes for nobody.
    answers = run_all(
        [(["ip", "-batch", "-"], "\n".join(todo) + "\n") for _, todo in lines], [netns for netns, _ in lines]
    )
    failed = [f"pod {netns}: {err.strip()}" for (netns, _), (code, _, err) in zip(lines, answers, strict=True) if code]
    if failed:
        raise HostError("\n".join(failed))
    ip_batch(steps.narrowed)
    _announce(steps.announce)
    for netns, volume in steps.drop:
        volumes.drop(netns, volume)
    for row, volume in steps.volumes:
        volumes.make(row, volume)
    for row, volume, _ in steps.rewrite:
        volumes.rewrite(row, volume)
    begun = {row["netns"]: row for row in [*steps.sandboxes, *(row for row, _ in steps.start)]}
    for row in begun.values():
        _write_etc(row)
    _mount_shm(begun)
    again = set(steps.kept)
    failed = containers.start(steps.start, held=set(steps.held), again=again) if steps.start else []
    failed += containers.start(steps.resume, resumed=True) if steps.resume else []
    for row in {row["netns"]: row for row in [*steps.sandboxes, *steps.refresh]}.values():
        # Written last: a pod without its row was cut off on the way and is done again.
        write_file(f"{PODS}/{row['netns']}/pod.json", json.dumps(row))
    if steps.kubelet:
        KUBELET[steps.kubelet]()
    if failed:
        raise HostError("\n".join(failed))


KUBELET = {
    "start": containers.start_kubelet,
    "reload": containers.reload_kubelet,
    "stop": containers.stop_kubelet,
}


def _rows_to_end(steps: Steps) -> set[str]:
    """Pods of which something ends, or was left behind."""
    begun = {row["netns"] for row, _ in [*steps.start, *steps.resume]}
    return {*steps.gone, *(netns for netns, _ in steps.stop), *begun}


def remove(names: Iterable[str], *, coming_back: Container[str] = ()) -> None:
    """Take pods away whose services have been stopped. Every step may find its work done already.

    :param coming_back: those whose volumes and logs stay.
    """
    names = list(names)
    if not names:
        return
    # Wires go before pause: when the last process of a namespace dies the kernel takes the wire itself,
    # some time later.
    veths = [veth_name(netns) for netns in names]
    ip_batch([f"link del {veth}" for veth in veths if os.path.exists(f"/sys/class/net/{veth}")])
    pauses = status.pauses()
    for netns in names:
        if netns in pauses:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pauses[netns], signal.SIGKILL)
    # Names of namespaces, and whatever else may be mounted there: nothing behind it is deleted.
    homes = [path for netns in names for path in (f"{NETNS}/{netns}", f"{PODS}/{netns}", shm_path(netns))]
    volumes.unmount_beneath(homes)
    volumes.remove(netns for netns in names if netns not in coming_back)
    for netns in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{NETNS}/{netns}")
        volumes.delete_tree(shm_path(netns))
        volumes.delete_tree(f"{PODS}/{netns}")  # the last trace: with /dev/shm, in a pod of an earlier podlab
        if netns not in coming_back:
            shutil.rmtree(log_directory(netns, ""), ignore_errors=True)


def names_mount(gone: Collection[str] = ()) -> bool:
    """Whether /run/netns is a mount in which nobody's name is left once these pods are gone. ``ip netns add`` makes one
    where there is none, so it is nothing to anybody else."""
    return NETNS in volumes.mounted([NETNS]) and set(os.listdir(NETNS)) <= set(gone)


def drop_names_mount() -> None:
    if names_mount():
        run(["umount", "--lazy", NETNS])
        os.rmdir(NETNS)


def _sandbox_is_sound(netns: str, row: PodRow | None, pause: int | None) -> bool:
    """True if pause lives in the very namespaces that bear the pod's name."""
    if pause is None:
        return False
    files = namespace_files(row, netns)
    try:
        return all(os.stat(path).st_ino == os.stat(f"/proc/{pause}/ns/{kind}").st_ino for kind, path in files.items())
    except OSError:
        return False


def _make_sandboxes(rows: Sequence[PodRow]) -> None:
    if not rows:
        return
    for directory in (NETNS, PODS):
        # A mount of its own, as "ip netns add" makes it: who need not see the names below can drop all of them at once.
        make_directory(directory)
        if directory not in volumes.mounted([directory]):  # ismount does not see that a directory is bound on itself
            run([*BIND_ON_ITSELF, directory, directory])
    for row in rows:
        os.makedirs(f"{PODS}/{row['netns']}", exist_ok=True)
        for path in namespace_files(row, row["netns"]).values():
            with open(path, "a", encoding="ascii"):
                pass
    plain = [row for row in rows if is_plain(row)]
    others = [row for row in rows if not is_plain(row)]
    answers = run_all([(unshare_argv(row), None) for row in others])
    failed = [
        f"pod {row['netns']}: {line}"
        for row, (code, _, err) in zip(others, answers, strict=True)
        for line in _why_no_sandbox(row, code, err)
    ]
    if failed:
        raise HostError("\n".join(failed))
    for row in others:
        daemon(pause_argv(row))
    # The thread leaves this host's namespaces for good, so it has to be one of its own.
    with ThreadPoolExecutor(max_workers=1) as guest:
        guest.submit(_make_plain_sandboxes, plain).result()
    # The name of a PID namespace comes from pause's parent, some time after pause itself.
    late = [files["pid"] for row in rows if "pid" in (files := namespace_files(row, row["netns"]))]
    wait_until(lambda: all(map(os.path.ismount, late)), seconds=10.0)


def _make_plain_sandboxes(rows: Sequence[PodRow]) -> None:
    """What the lines of ``sandbox_lines`` do, one pod after the other, with one process each instead of six."""
    for row in rows:
        files = namespace_files(row, row["netns"])
        unshare(list(files))
        for kind, path in files.items():
            give_name(kind, path)
        socket.sethostname(row["hostname"])
        for key, value in SANDBOX_SYSCTLS.items():
            write_sysctl(key, value)
        daemon(pause_command(row["netns"]))


def _why_no_sandbox(row: PodRow, code: int, err: str) -> list[str]:
    """sysctl(8) does what it can of its list, so each of its complaints is one setting's."""
    lines = [line for line in err.strip().splitlines() if line] or [f"exit code {code}"] * bool(code)
    words, kinds = [], [*namespace_files(row, row["netns"])]
    for line in lines:
        name = next((name for name in row.get("sysctls", {}) if name in line or name.replace(".", "/") in line), None)
        words.append(
            f"sysctl {name}={row['sysctls'][name]} is refused: {line}" if name else line + more_namespaces(line, kinds)
        )
    return words if code else []


def _announce(rows: Sequence[PodRow]) -> None:
    """Tell the neighbours each pod's MAC, once the bridge lets its frames pass.

    Not arp_notify, which the CNI plugins use: the kernel sends its announcement while it brings the link
    up, and the port of the bridge begins to forward only after that.
    """
    wires = []
    for row in rows:
        state = f"/sys/class/net/{veth_name(row['netns'])}/brport/state"
        wait_until(lambda state=state: text_of(state) == "3\n", seconds=2.0)  # type: ignore[misc]
        wire = socket_in(row["netns"], socket.AF_PACKET, socket.SOCK_RAW)
        wires.append(wire)
        wire.sendto(_gratuitous_arp(row), ("eth0", 0))
    # To close a packet socket the kernel waits until no processor uses it: for all of them at once.
    closing = [threading.Thread(target=wire.close) for wire in wires]
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join()


def _gratuitous_arp(row: PodRow) -> bytes:
    """A reply that nobody has asked for (RFC 5227, section 3), as a frame."""
    mac = bytes.fromhex(row["mac"].replace(":", ""))
    address = socket.inet_aton(row["address"].split("/")[0])
    ethernet = b"\xff" * 6 + mac + b"\x08\x06"
    return ethernet + b"\x00\x01\x08\x00\x06\x04\x00\x02" + mac + address + mac + address


def route_words(route: Mapping[str, Any]) -> str:
    via = f" via {route['gateway']}" if "gateway" in route else ""
    dev = f" dev {route['dev']}" if "dev" in route else ""
    metric = f" metric {route['metric']}" if "metric" in route else ""
    kind = "" if route.get("type", "unicast") == "unicast" else f"{route['type']} "
    more = "".join(f" {key} {value}" for item in route.get("metrics", ()) for key, value in item.items())
    return f"{kind}{route['dst']}{via}{dev}{metric}{more}"


def _write_etc(row: PodRow) -> None:
    pod = f"{PODS}/{row['netns']}"
    for name, text in row["etc"].items():
        with open(f"{pod}/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def _mount_shm(names: Iterable[str]) -> None:
    """Give pods their /dev/shm. Containers that run have it already."""
    there = set(volumes.mounted([SHM]))
    for netns in names:
        path, earlier = shm_path(netns), f"{PODS}/{netns}/shm"
        if path in there:
            continue
        os.makedirs(path, exist_ok=True)
        if os.path.isdir(earlier):  # a pod of an earlier podlab, whose other containers may share that one
            run(["mount", "--bind", earlier, path])
        else:
            mount_tmpfs(path, SHM_OPTIONS)


def applied_row(netns: str) -> PodRow | None:
    """What was applied last; None where that is not known: the pod was cut off on the way, or its record is damaged."""
    return _sound_row(_written_row(netns), netns)


def _sound_row(told: Any, netns: str) -> PodRow | None:
    return None if pod_row.misfit_of_row(told, netns) else told


def _written_row(netns: str) -> Any:
    """What stands in the file: JSON, or nothing of use."""
    try:
        with open(pod_path(netns), encoding="utf-8") as file:
            return json.load(file)
    except OSError:
        return None
    except (ValueError, RecursionError):
        return ""

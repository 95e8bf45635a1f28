"""Pods of this host, as they are found."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...changes.pods import pod_file
from ...changes.pods.containers import UNIT_FILES, unit_files
from ...changes.pods.paths import NETNS, PODS, SCAN_DIR, log_directory, service_name
from ...changes.pods.sandbox import namespace_files
from ...configs import PodConfig
from ...records import pod_path, pod_row
from ...records.observation import FactsByContainer, ObservedPod, PodInside
from ..kubelet.started import active_since
from ..network.network import is_written, link_facts
from ..run import documents, run_all
from . import containers, kubelet_service, status, volumes


def observe(*, as_written: bool = False) -> dict[str, ObservedPod]:
    """Every pod that has left a trace here, by the name of its network namespace.

    :param as_written: with rows that are damaged: the planner says so of each.
    """
    pauses, kubelet = status.pauses(), kubelet_service.lives()
    named = os.listdir(PODS) if os.path.isdir(PODS) else []
    names = sorted({*named, *volumes.left_behind(), *pauses})  # a pause tells its pod's name, whatever has gone
    services: dict[str, list[str]] = {}
    for owner, name in containers.supervised():
        services.setdefault(owner, []).append(name)
    pods: dict[str, ObservedPod] = {}
    with_own_net = list[str]()
    for netns in names:
        told = _written_row(netns)
        row = _sound_row(told, netns)
        with_own_net += [netns] if "net" in namespace_files(row, netns) else []
        pods[netns] = {
            "sandbox": _sandbox_is_sound(netns, row, pauses.get(netns)),
            "row": told if as_written else row,
            "services": services.get(netns, []),
            "facts": _facts(netns, row, as_written=as_written),
            "initialized": _is_initialized(row),
            "lost": volumes.lost(row) if row else [],
            "unlogged": [name for name in services.get(netns, []) if not os.path.isdir(log_directory(netns, name))],
            "incomplete": [name for name in services.get(netns, []) if _lacks_files(netns, name, row)],
            "kubelet": kubelet,
            "age": _age(netns),
            "eth0": None,
            "lo_up": False,
            "routes": [],
            "neighbours": [],
            "connected": [],
        }
    for netns, inside in _netns_contents([netns for netns in with_own_net if pods[netns]["sandbox"]]).items():
        pods[netns] = {**pods[netns], **inside}
    return pods


def _netns_contents(names: Sequence[str]) -> dict[str, PodInside]:
    """What network namespaces hold: one process each tells links with their kind, addresses, routes and neighbours."""
    question = "addr show\nroute show\nneigh show nud permanent nud noarp\n"
    answers = run_all([(["ip", "-j", "-d", "-batch", "-"], question) for _ in names], names)
    return {netns: _inside(out) for netns, (_, out, _) in zip(names, answers, strict=True)}


def _inside(answer: str) -> PodInside:
    addresses, routes, neighbours = [*documents(answer), [], [], []][:3]
    links = {link["ifname"]: link for link in addresses}
    by_kernel = [route for route in routes if route.get("protocol") == "kernel"]
    on_eth0 = [entry for entry in neighbours if entry["dev"] == "eth0" and ":" not in entry["dst"]]
    return {
        "eth0": link_facts(links["eth0"]) if links.get("eth0") else None,
        "lo_up": "UP" in links.get("lo", {}).get("flags", []),
        "routes": [route_words(route) for route in routes if route.get("protocol") != "kernel"],
        "connected": [route["dst"] for route in by_kernel if route.get("dev") == "eth0"],
        "neighbours": [entry["dst"] for entry in on_eth0 if is_written(entry)],
    }


def _service(netns: str, container: str) -> str:
    return f"{SCAN_DIR}/{service_name(netns, container)}"


def _lacks_files(netns: str, name: str, row: PodConfig | None) -> bool:
    """Whether a file of the container's s6 directory has gone, or an earlier podlab did not write it."""
    files = unit_files(row, name) if row and name in row["containers"] else UNIT_FILES
    return not all(os.path.exists(f"{_service(netns, name)}/{file}") for file in files)


def _facts(netns: str, row: PodConfig | None, *, as_written: bool) -> FactsByContainer:
    """How each container fares. What is damaged counts for as little here as it does to the planner."""
    told = {name: status.container(_service(netns, name)) for name in (row["containers"] if row else ())}
    return told if as_written else {name: pod_row.sound_facts(facts)[0] for name, facts in told.items()}


def _age(netns: str) -> float | None:
    """Seconds since its sandbox was made; None where that is not known."""
    found = active_since(netns)
    return None if found is None else time.time() - found


def _is_initialized(row: PodConfig | None) -> bool:
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


def _sandbox_is_sound(netns: str, row: PodConfig | None, pause: int | None) -> bool:
    """True if pause lives in the very namespaces that bear the pod's name."""
    if pause is None:
        return False
    files = namespace_files(row, netns)
    try:
        return all(os.stat(path).st_ino == os.stat(f"/proc/{pause}/ns/{kind}").st_ino for kind, path in files.items())
    except OSError:
        return False


def route_words(route: Mapping[str, Any]) -> str:
    via = f" via {route['gateway']}" if "gateway" in route else ""
    dev = f" dev {route['dev']}" if "dev" in route else ""
    metric = f" metric {route['metric']}" if "metric" in route else ""
    kind = "" if route.get("type", "unicast") == "unicast" else f"{route['type']} "
    more = "".join(f" {key} {value}" for item in route.get("metrics", ()) for key, value in item.items())
    return f"{kind}{route['dst']}{via}{dev}{metric}{more}"


def applied_row(netns: str) -> PodConfig | None:
    """What was applied last; None where that is not known: the pod was cut off on the way, or its record is damaged."""
    return _sound_row(_written_row(netns), netns)


def _sound_row(told: Any, netns: str) -> PodConfig | None:
    return None if pod_row.misfit_of_row(told, netns) else told


def _written_row(netns: str) -> Any:
    """What stands in the file: JSON, or nothing of use."""
    try:
        with open(pod_path(netns), encoding="utf-8") as file:
            return pod_file.read(file.read())
    except OSError:
        return None
    except (ValueError, RecursionError):
        return ""

"""Put back what this host was told last: the program of podlab-boot.service.

Each component is observed, compared and applied by the module that a playbook runs; there is no other way to make one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from ...changes.pods import configs
from ...changes.pods.paths import SCAN_DIR, log_directory, service_name
from ...changes.pods.pods import PODS
from ...configs import PodConfig
from ..module_base import locked, perform
from ..pods.containers import starts
from ..pods.status import ended
from ..record import make_directory, write_file
from ..run import HostError, words_of
from ..system import kernel
from . import last_configs, rebooted

COMPONENTS = {
    **{"node": "podlab_node", "bridge": "podlab_bridge", "pods": "podlab_pods", "routes": "podlab_routes"},
    **{"egress": "podlab_iptables", "services": "podlab_services"},
    "namespaces": "podlab_namespaces",
}
"""With their modules, in the order of site.yml; what is no part of a cluster comes last."""

TIMEOUT, PAUSE = 120.0, 2.0  # seconds


def main() -> int:
    """Until all of it is true: the network that routes lead into may be up later than this program. What fails keeps
    nothing else from being done."""
    if os.path.exists(last_configs.path("pods")):  # a gateway has no use for the directory that this makes
        with locked():
            rebooted.begins()
    said, deadline = set[str](), float("inf")
    left = [name for name in COMPONENTS if os.path.exists(last_configs.path(name))]
    while left := [name for name in left if not _is_done(name, said)]:
        deadline = min(deadline, time.monotonic() + TIMEOUT)  # from the first failure on: the machine may be slow
        if time.monotonic() > deadline:
            print(f"given up: {', '.join(left)}; the next run of site.yml mends it", file=sys.stderr)
            return 1
        time.sleep(PAUSE)
    rebooted.over()
    return 0


def _is_done(name: str, said: set[str]) -> bool:
    try:
        with locked():  # what is kept is read inside: a playbook may have told another one meanwhile
            told = last_configs.read(name)
            if told is None:
                raise HostError(f"{last_configs.path(name)} is damaged")
            if name == "node" and told["runtime"]:  # it is a node, not a gateway
                told["modules"] = kernel.features()["loadable"]
            if name == "pods":
                recall([configs.complete(item) for item in json.loads(told["pods"])])
            lines, warnings = perform(importlib.import_module(COMPONENTS[name]).work, told, "", {})
    except Exception as error:  # of whatever kind: the next component may do without this one
        known = isinstance(error, (HostError, OSError))
        words = f"{name}: {words_of(error) if known else f'{type(error).__name__}: {error}'}"
        if words not in said:
            print(words, file=sys.stderr, flush=True)
            said.add(words)
        return False
    for line in (*lines, *(f"warning: {words}" for words in warnings)):
        print(line, flush=True)
    return True


def recall(rows: list[PodConfig]) -> None:
    """Say what there was before the reboot, where pods are looked for: then each of them is one whose sandbox has gone,
    which keeps its volumes, and its containers, where they have ended for good, stay as they are."""
    for row in rows:
        home = f"{PODS}/{row['netns']}"
        if os.path.lexists(f"{home}/pod.json"):
            continue
        make_directory(home)
        for name in row["containers"]:
            _recall_container(row["netns"], name)
        write_file(f"{home}/pod.json", json.dumps(_with_volumes_of_disk(row)))


def _with_volumes_of_disk(row: PodConfig) -> PodConfig:
    """What was in memory is to be made anew."""
    volumes = row.get("volumes", {})
    kept_volumes = {name: volume for name, volume in volumes.items() if volume.get("medium") != "Memory"}
    return {**row, "volumes": kept_volumes} if volumes != kept_volumes else row


def _recall_container(netns: str, name: str) -> None:
    """How it has ended stands beside its logs as well."""
    logs, service = log_directory(netns, name), f"{SCAN_DIR}/{service_name(netns, name)}"
    last: Mapping[str, Any] | None = ended(logs)
    if last is None:
        return
    make_directory(service)
    for file in ("last", "failed"):
        with contextlib.suppress(OSError), open(f"{logs}/{file}", encoding="utf-8") as written:
            write_file(f"{service}/{file}", written.read())
    write_file(f"{service}/restarts", f"{max(starts(netns, name), default=0)}\n")
    write_file(f"{service}/started", "")
    os.utime(f"{service}/started", (last["started"], last["started"]))

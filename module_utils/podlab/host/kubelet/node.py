"""All pods of this host that need the kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import time
from typing import Any

from . import files
from .config import PodConfig
from .files import log, pod_file, read_text
from .pod import PERIOD, PROBES, Pod, has_probes_or_hook
from .waiting import DeadlineExceeded, before

CONTAINER_FIELDS = ("restart_policy", *PROBES, "post_start", "pre_stop")


class Node:
    """Pods by the names of their network namespaces."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.versions: dict[str, tuple[int, int]] = {}  # of the configs that were read
        self.changed = asyncio.Event()

    async def watch(self) -> None:
        """Look at the directory of pods every second, and at once when something has changed."""
        while True:
            self.sync()
            files.write_deferred()
            with contextlib.suppress(DeadlineExceeded):
                await before(time.monotonic() + PERIOD, self.changed.wait())
            self.changed.clear()

    def sync(self) -> None:
        versions = _versions()
        for netns, version in versions.items():
            if self.versions.get(netns) != version:
                self.read(netns)
        for netns in self.pods.keys() - versions.keys():
            self.pods.pop(netns).cancel()
        self.versions = versions

    def read(self, netns: str) -> None:
        """Look after a pod as its config is now. One that cannot be read leaves everything as it is."""
        try:
            config = relevant_config(json.loads(read_text(pod_file(netns, "pod.json"))))
            if config and config["netns"] != netns:
                raise ValueError("the config of another pod")
            known = self.pods.get(netns)
            if known and known.config != config:
                self.pods.pop(netns).cancel()
            if config and netns not in self.pods:
                self.pods[netns] = Pod(config)
        except Exception as error:  # whatever stands there, other pods go on
            log(f"{pod_file(netns, 'pod.json')}: {type(error).__name__}: {error}")


def _versions() -> dict[str, tuple[int, int]]:
    """Network namespace -> inode and time of its pod's config."""
    try:
        names = os.listdir(files.PODS)
    except OSError:
        return {}
    found = {}
    for netns in names:
        with contextlib.suppress(OSError):
            facts = os.stat(pod_file(netns, "pod.json"))
            found[netns] = facts.st_ino, facts.st_mtime_ns
    return found


def relevant_config(pod: Any) -> PodConfig | None:
    """What the kubelet needs of a pod's config; None if its containers need nothing but their supervisors."""
    containers: dict[str, Any] = {
        name: {key: container[key] for key in CONTAINER_FIELDS if key in container}
        for name, container in pod["containers"].items()
    }
    if not pod.get("init") and "deadline" not in pod and not any(map(has_probes_or_hook, containers.values())):
        return None
    found: PodConfig = {
        "netns": pod["netns"],
        "restart_policy": pod["restart_policy"],
        "init": pod.get("init", []),
        "containers": containers,
    }
    if "grace" in pod:
        found["grace"] = pod["grace"]
    if "deadline" in pod:
        found["deadline"] = pod["deadline"]
    return found


def main() -> None:
    """Run until SIGTERM. SIGHUP says that something has changed, which would be seen a second later anyway."""
    _allow_many_files()
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as name:
        name.write("kubelet")  # for ps, which would say python3
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run())


async def _run() -> None:
    loop, task, node = asyncio.get_running_loop(), asyncio.current_task(), Node()
    assert task
    loop.add_signal_handler(signal.SIGHUP, node.changed.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await node.watch()


def _allow_many_files() -> None:
    """Every container that runs costs a descriptor, and what a login may open is not much."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

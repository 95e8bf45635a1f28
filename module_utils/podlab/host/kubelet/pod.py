"""One pod: the order in which its containers start, its sidecars' end, and its deadline."""

from __future__ import annotations

import asyncio
import json
import os
import time

from .config import ContainerConfig, PodConfig
from .container import MIN_POLL, Container
from .events import record_event
from .files import pod_file, write_text
from .s6 import control, has_started, is_terminating, is_wanted, last_exit, running, stays_down, unit_dir
from .started import START_FILE, active_since
from .termination import keep_down, kill_container
from .waiting import sleep_until, spawn

PERIOD = 1.0  # seconds between two looks at a pod in which nothing is about to start
PROBES = ("startup", "readiness", "liveness")
TOO_LONG = "Pod was active on the node longer than the specified deadline"


class Pod:
    def __init__(self, config: PodConfig) -> None:
        self.config = config
        self.netns = config["netns"]
        self.init = config["init"]
        self.regular = [name for name in config["containers"] if name not in self.init]
        self.sidecars = [name for name in self.init if config["containers"][name].get("restart_policy") == "Always"]
        self.containers = {
            name: Container(config, name)
            for name, container in config["containers"].items()
            if self.init or has_probes_or_hook(container)
        }
        self.start_sent: dict[str, float] = {}  # container -> when its supervisor was told to start it
        self.tasks = [spawn(self.start_in_order())] if self.init else []
        self.tasks += [spawn(self.enforce_deadline())] if "deadline" in config else []

    def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        for container in self.containers.values():
            container.cancel()

    def unit(self, name: str) -> str:
        return unit_dir(self.netns, name)

    def restart_policy(self, name: str) -> str:
        return self.config["containers"][name].get("restart_policy") or self.config["restart_policy"]

    # --- order

    async def start_in_order(self) -> None:
        """Look which container is next, again and again: all of it can be told from what is there."""
        while True:
            if self.sidecars and self.is_over():
                await self.end_sidecars()
            name = self.next_container()
            if name:
                self.start(name)
            await asyncio.sleep(PERIOD if not name and self.is_initialized() else MIN_POLL)

    def next_container(self) -> str | None:
        """The container that is to be started now. None if all are, or one is waited for."""
        if not self.is_initialized():
            for name in self.init:
                if not has_started(self.unit(name)):
                    return name
                if not (self.containers[name].is_started if name in self.sidecars else self.has_succeeded(name)):
                    return name if self.is_abandoned(name) else None
        for name in self.regular:
            if not has_started(self.unit(name)):
                return name
            if running(self.unit(name)) and not self.containers[name].is_over_its_hook:
                return None
        return next((name for name in (*self.sidecars, *self.regular) if self.is_abandoned(name)), None)

    def start(self, name: str) -> None:
        unit, now = self.unit(name), time.monotonic()
        if now - self.start_sent.get(name, 0.0) >= PERIOD and not is_terminating(unit) and control(unit, b"u"):
            self.start_sent[name] = now

    def is_initialized(self) -> bool:
        """As in Kubernetes: a regular container was started once, so the init containers have done their work."""
        return any(has_started(self.unit(name)) for name in self.regular)

    def has_succeeded(self, name: str) -> bool:
        last = last_exit(self.unit(name))
        return running(self.unit(name)) is None and last is not None and last["exit"] == 0

    def has_ended(self, name: str) -> bool:
        """For good, by its restart policy."""
        last = last_exit(self.unit(name))
        return last is not None and running(self.unit(name)) is None and stays_down(self.restart_policy(name), last)

    def is_abandoned(self, name: str) -> bool:
        """Whether a container should run and its supervisor does not mean to start it: that one is new, in place of one
        that was killed, and goes by the ``down`` file."""
        unit = self.unit(name)
        last = last_exit(unit)
        if running(unit) or is_wanted(unit) or not os.path.exists(f"{unit}/supervise/control"):
            return False
        if is_terminating(unit) or not os.path.exists(f"{unit}/down"):
            return False
        return last is None or not stays_down(self.restart_policy(name), last)

    # --- sidecars

    def is_over(self) -> bool:
        """Whether sidecars have no container left to run beside: all others have ended, or will never start."""
        others = [name for name in self.init if name not in self.sidecars]
        has_failed = any(self.has_ended(name) and not self.has_succeeded(name) for name in others)
        return has_failed or all(map(self.has_ended, self.regular))

    async def end_sidecars(self) -> None:
        """One after the other, the last one first, so that each may rely on those before it to its end."""
        for name in reversed(self.sidecars):
            unit = self.unit(name)
            if not is_terminating(unit) and has_started(unit):
                keep_down(unit)
                await kill_container(self.config, name, f"Stopping container {name}")

    # --- deadline

    async def enforce_deadline(self) -> None:
        """End a pod that has been active for as long as it may: it has failed then, however its containers end."""
        start = active_since(self.netns) or time.time()
        write_text(pod_file(self.netns, START_FILE), f"{start}")
        await sleep_until(time.monotonic() + start + self.config["deadline"] - time.time())
        names = list(self.config["containers"])
        if self.is_over() or all(os.path.exists(f"{self.unit(name)}/failed") for name in names):
            return
        record_event(self.netns, "", "Normal", "DeadlineExceeded", TOO_LONG)
        for name in names:  # all of them before the first ends: none is to start in between
            self.fail(name)
        for name in names:
            spawn(kill_container(self.config, name, f"Stopping container {name}"))

    def fail(self, name: str) -> None:
        unit, reason = self.unit(name), json.dumps({"reason": "DeadlineExceeded", "message": TOO_LONG})
        write_text(f"{unit}/logs/failed", reason)  # where a reboot leaves it
        write_text(f"{unit}/failed", reason)
        write_text(f"{unit}/down", "")
        control(unit, b"O")


def has_probes_or_hook(container: ContainerConfig) -> bool:
    return any(key in container for key in (*PROBES, "post_start"))

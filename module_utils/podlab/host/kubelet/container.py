"""One container: its starts, one after the other, and what is found out about the one that runs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Literal

from .config import PodConfig, Probe
from .events import record_event
from .files import read_text, write_text
from .handlers import run_hook
from .http_get import Result
from .prober import probe_results
from .processes import is_alive
from .s6 import control, is_terminating, is_wanted, last_exit, running, unit_dir
from .termination import kill_container
from .waiting import NEVER, readable, spawn

Kind = Literal["startup", "readiness", "liveness"]
LASTING: tuple[Kind, ...] = ("readiness", "liveness")  # go on as long as the container lives
MAX_MESSAGE = 1024  # letters of an answer in ``health``
MIN_POLL, MAX_POLL = 0.05, 0.5  # seconds between two looks at what is about to start


class Container:
    """A container with probes or hooks, or one of a pod with init containers.

    ``health`` is what its file of that name holds: ``pid`` (of the start that it is about), ``started`` (its hook and
    its startup probe are over), ``ready``, ``ready_at``, ``post_start``, and the last answer of each probe.
    """

    def __init__(self, pod: PodConfig, name: str) -> None:
        self.pod = pod
        self.name = name
        self.config = pod["containers"][name]
        self.restart_policy = self.config.get("restart_policy") or pod["restart_policy"]
        self.unit = unit_dir(pod["netns"], name)
        self.health: dict[str, Any] = {}
        self.is_unhealthy = False  # a probe ends this start
        self.tasks: list[asyncio.Task[None]] = []  # of this start
        self.task = spawn(self.run())

    def cancel(self) -> None:
        for task in (self.task, *self.tasks):
            task.cancel()

    @property
    def is_started(self) -> bool:
        """Whether the start that runs now is over its hook and its startup probe."""
        return bool(self.health.get("started")) and self.health["pid"] == running(self.unit)

    @property
    def is_over_its_hook(self) -> bool:
        if "post_start" not in self.config:
            return True
        return bool((self.health.get("post_start") or {}).get("ok")) and self.health["pid"] == running(self.unit)

    async def run(self) -> None:
        pid = None
        while True:
            pid = await self.next_start(pid)
            try:
                await self.follow(pid)
            finally:
                for task in self.tasks:
                    task.cancel()
                self.tasks = []
            if self.is_unhealthy and self.restart_policy == "OnFailure":
                await self.force_restart()

    async def next_start(self, previous: int | None) -> int:
        """Wait for another process 1 than this one."""
        waited = 0.0
        while (pid := running(self.unit)) is None or pid == previous:
            pause = min(MAX_POLL, max(MIN_POLL, waited / 20))
            await asyncio.sleep(pause)
            waited += pause
        return pid

    async def follow(self, pid: int) -> None:
        """Look after one start until it ends."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return
        try:
            self.is_unhealthy = False
            self.health = self.saved_health(pid)
            if not self.health:
                self.update_health({"pid": pid, "started": False, "ready": False})
                self.record("Normal", "Started", f"Started container {self.name}")
            self.tasks.append(spawn(self.start_up(pid)))
            await readable(pidfd)
        finally:
            os.close(pidfd)

    def saved_health(self, pid: int) -> dict[str, Any]:
        """What a kubelet before this one has found out about the same start."""
        try:
            health = json.loads(read_text(f"{self.unit}/health"))
        except ValueError:
            return {}
        return health if isinstance(health, dict) and health.get("pid") == pid else {}

    def update_health(self, found: Mapping[str, Any]) -> None:
        if any(self.health.get(key) != value for key, value in found.items()):
            self.health |= found
            write_text(f"{self.unit}/health", json.dumps(self.health))

    def record(self, kind: str, reason: str, message: str) -> None:
        record_event(self.pod["netns"], self.name, kind, reason, message)

    async def start_up(self, pid: int) -> None:
        """First the hook, then the startup probe, then the two that go on as long as the container lives."""
        if not await self.run_post_start(pid):
            return
        if "startup" in self.config and not self.health["started"]:
            await self.probe("startup", pid)
            if not self.health["started"]:
                return
        if not self.health["started"]:
            self.update_health({"started": True, "ready": "readiness" not in self.config})
        for kind in LASTING:
            if kind in self.config:
                self.tasks.append(spawn(self.probe(kind, pid)))

    async def run_post_start(self, pid: int) -> bool:
        """Whether the start goes on: a container ends when its hook fails."""
        hook = self.config.get("post_start")
        if not hook or (self.health.get("post_start") or {}).get("ok"):
            return True
        result = await run_hook(self.unit, pid, hook, NEVER)
        if not is_alive(pid):
            return False
        self.update_health({"post_start": {"ok": result.ok, "message": "" if result.ok else result.message}})
        if not result.ok:
            self.record("Warning", "FailedPostStartHook", "PostStartHook failed")
            await kill_container(self.pod, self.name, "FailedPostStartHook")
        return result.ok

    def started_at(self) -> float:
        """When this start began, on the clock of ``time.monotonic``."""
        now = time.monotonic()
        try:
            return now - max(0.0, time.time() - os.stat(f"{self.unit}/started").st_mtime)
        except OSError:
            return now

    async def probe(self, kind: Kind, pid: int) -> None:
        """Readiness goes on; startup ends with its success; both others with the container that they end."""
        probe = self.config[kind]
        async for result, counts in probe_results(self.unit, pid, probe, self.started_at()):
            if self.is_unhealthy or is_terminating(self.unit) or not is_alive(pid):
                return  # what it answers while it ends means nothing
            self.record_result(kind, result)
            self.update_health(self.findings(kind, result, counts))
            if counts and kind == "startup" and result.ok:
                return
            if counts and kind != "readiness" and not result.ok:
                await self.kill_unhealthy(kind, probe)
                return

    def findings(self, kind: Kind, result: Result, counts: bool) -> dict[str, Any]:
        """What an answer changes in ``health``."""
        found: dict[str, Any] = {kind: {"ok": result.ok, "message": "" if result.ok else result.message[:MAX_MESSAGE]}}
        if counts and kind == "readiness":
            found["ready"] = result.ok
            if result.ok and not self.health["ready"]:
                found["ready_at"] = time.time()
        elif counts and kind == "startup" and result.ok:
            found |= {"started": True, "ready": "readiness" not in self.config, "ready_at": time.time()}
        return found

    def record_result(self, kind: Kind, result: Result) -> None:
        """A success with words is a warning over HTTP; those of a command are what it printed."""
        if not result.ok:
            verb = "errored and resulted in Failure state" if result.is_error else "failed"
            self.record("Warning", "Unhealthy", f"{kind.title()} probe {verb}: {result.message}")
        elif result.message and "http" in self.config[kind]:
            self.record("Warning", "ProbeWarning", f"{kind.title()} probe warning: {result.message}")

    async def kill_unhealthy(self, kind: str, probe: Probe) -> None:
        self.is_unhealthy = True
        again = ", will be restarted" if self.restart_policy != "Never" else ""
        why = f"Container {self.name} failed {kind} probe{again}"
        await kill_container(self.pod, self.name, why, probe.get("grace"))

    async def force_restart(self) -> None:
        """Start an unhealthy container again, though it may have ended with 0: its finish script takes that for
        success, and counts no restart."""
        while is_wanted(self.unit) and running(self.unit) is None:
            await asyncio.sleep(MAX_POLL)
        last = last_exit(self.unit)
        if last and last["exit"] == 0 and running(self.unit) is None and not is_terminating(self.unit):
            restarts = int(read_text(f"{self.unit}/restarts") or 0)
            write_text(f"{self.unit}/restarts", f"{restarts + 1}\n")
            control(self.unit, b"u")

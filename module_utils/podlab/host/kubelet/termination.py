"""The end of a container: preStop hook, TERM, a wait, KILL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable

from .config import PodConfig
from .events import record_event
from .files import write_text
from .handlers import run_hook
from .processes import sigterm_disposition
from .s6 import control, running, unit_dir
from .waiting import readable, spawn

DEFAULT_GRACE = 30.0  # seconds, as terminationGracePeriodSeconds has it
MIN_GRACE = 2.0  # seconds that a container gets after its preStop hook took all


def terminate_all(containers: Iterable[tuple[PodConfig, str]], grace: float | None = None) -> None:
    """End containers for good, all side by side. Returns when all are gone.

    Their supervisors are told not to start them again, and the kubelet leaves them alone (file ``ending``); taking
    their s6 directories away is the caller's business. A container that does not run is only kept down.

    :param containers: (the pod's config, the container's name).
    :param grace: seconds for hook and wait together; without it the pod's terminationGracePeriodSeconds. Where
        neither is given it is 30 s, but process 1 is not waited for if the kernel would never give it TERM: that of a
        PID namespace gets what it has a handler for, and nothing else.
    """
    asyncio.run(_terminate_all(containers, grace))


async def _terminate_all(containers: Iterable[tuple[PodConfig, str]], grace: float | None) -> None:
    tasks = []
    for pod, name in containers:
        keep_down(unit_dir(pod["netns"], name))
        tasks.append(spawn(kill_container(pod, name, f"Stopping container {name}", grace)))
    await asyncio.gather(*tasks, return_exceptions=True)  # they are logged where they are raised


def keep_down(unit: str) -> None:
    write_text(f"{unit}/ending", "")
    control(unit, b"O")


async def kill_container(pod: PodConfig, name: str, why: str, grace: float | None = None) -> None:
    """End what runs of a container now; whether it is started again is its supervisor's business."""
    unit = unit_dir(pod["netns"], name)
    pid = running(unit)
    if pid is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        record_event(pod["netns"], name, "Normal", "Killing", why)
        given = grace if grace is not None else pod.get("grace")
        deadline = time.monotonic() + (DEFAULT_GRACE if given is None else given)
        hook = pod["containers"][name].get("pre_stop")
        if hook and given != 0:
            if not (await run_hook(unit, pid, hook, deadline)).ok:
                record_event(pod["netns"], name, "Warning", "FailedPreStopHook", "PreStopHook failed")
            deadline = max(deadline, time.monotonic() + MIN_GRACE)
        is_waited_for = given is not None or await _gets_sigterm(pid)
        _send(pidfd, signal.SIGTERM)
        if is_waited_for:
            await readable(pidfd, deadline)
        _send(pidfd, signal.SIGKILL)
        await readable(pidfd, time.monotonic() + 10.0)
    finally:
        os.close(pidfd)


def _send(pidfd: int, number: int) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        signal.pidfd_send_signal(pidfd, number)


async def _gets_sigterm(pid: int) -> bool:
    """A signal that is blocked may be read from a descriptor, as small inits do; but a shell blocks all of them for the
    moment in which it starts something."""
    disposition = sigterm_disposition(pid)
    for _ in range(5):
        if disposition == "blocked":
            await asyncio.sleep(0.01)
            disposition = sigterm_disposition(pid)
    return disposition != "ignored"

"""Cells of a pod. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ..table import NONE, Object, age, since


def pod(pod: Object, now: datetime.datetime) -> list[str]:
    status = pod["status"]
    return [
        pod["metadata"]["name"],
        pod_ready(pod),
        pod_status(pod),
        _restarts(pod, now),
        age(pod, now),
        status.get("podIP", NONE),
        pod["spec"].get("nodeName", NONE),
        NONE,
        NONE,
    ]


def _sidecars(pod: Object) -> list[str]:
    """Init containers that run beside the others: they count wherever those do."""
    return [item["name"] for item in pod["spec"].get("initContainers", []) if item.get("restartPolicy") == "Always"]


def pod_ready(pod: Object) -> str:
    """The READY column."""
    sidecars = _sidecars(pod)
    init, main = _statuses(pod)
    counted = [status for status in init if status["name"] in sidecars]
    if not _is_initializing(pod):
        counted += [status for status in main if "running" in status["state"]]
    return f"{sum(status['ready'] for status in counted)}/{len(pod['spec']['containers']) + len(sidecars)}"


def pod_status(pod: Object) -> str:
    """The STATUS column: the phase, unless a container has a better story to tell.

    A pod that was ended as a whole has the reason for that (kubectl's column would have its containers' ``Error``).
    """
    reason = pod["status"].get("reason")
    if reason and (pod["status"]["phase"] == "Failed" or reason == "Rebooted"):
        return str(reason)
    words: str = pod["status"]["phase"]
    _, main = _statuses(pod)
    if story := _holding_up(pod):
        words = f"Init:{story}"
    if not _is_initializing(pod):
        for status in reversed(main):
            words = _reason(status["state"]) or words
        if words == "Completed" and any("running" in item["state"] and item["ready"] for item in main):
            # Some of its containers have done their work, the others still run.
            return "Running" if _condition(pod, "Ready") else "NotReady"
    return words


def _is_initializing(pod: Object) -> bool:
    """Once a pod was initialized, its sidecars may die without taking it back to where it began."""
    return bool(_holding_up(pod)) and not _condition(pod, "Initialized")


def _holding_up(pod: Object) -> str:
    """What the first init container that is not done yet tells, in words that follow ``Init:``."""
    init, _ = _statuses(pod)
    sidecars = _sidecars(pod)
    for at, status in enumerate(init):
        state = status["state"]
        is_done = state.get("terminated", {}).get("exitCode") == 0
        if is_done or (status["name"] in sidecars and status.get("started")):
            continue
        reason = _reason(state)
        return reason if reason and reason != "PodInitializing" else f"{at}/{len(pod['spec']['initContainers'])}"
    return ""


def _reason(state: Object) -> str:
    """Why a container does not run; its exit code or signal where it has no reason."""
    if "waiting" in state:
        return str(state["waiting"].get("reason", ""))
    if "terminated" not in state:
        return ""
    end = state["terminated"]
    number = f"Signal:{end['signal']}" if end.get("signal") else f"ExitCode:{end['exitCode']}"
    return str(end.get("reason") or number)


def _restarts(pod: Object, now: datetime.datetime) -> str:
    """Of init containers while they are at work, of all that runs on later."""
    init, main = _statuses(pod)
    if _is_initializing(pod):
        counted = list(init)
    else:
        sidecars = _sidecars(pod)
        counted = [*main, *(status for status in init if status["name"] in sidecars)]
    restarts = sum(status["restartCount"] for status in counted)
    ends = [status["lastState"]["terminated"]["finishedAt"] for status in counted if status["lastState"]]
    return f"{restarts} ({since(max(ends), now)} ago)" if restarts and ends else str(restarts)


def _statuses(pod: Object) -> tuple[Sequence[Object], Sequence[Object]]:
    status = pod["status"]
    return status.get("initContainerStatuses", []), status.get("containerStatuses", [])


def _condition(pod: Object, name: str) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == name and condition["status"] == "True" for condition in conditions)

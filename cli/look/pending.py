"""Pods that no host has been told of, as the record has them: what they wait for makes their status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podlab.planner.manifests.model import CONFIG_ERROR, FAILED_SCHEDULING

Object = dict[str, Any]
Held = Mapping[str, Any]
"""A ``PendingPod`` of the record."""


def pod(held: Held, addresses: Mapping[str, Any]) -> Object:
    """:param addresses: those of its node, as its status has them."""
    found = held["object"]
    if "nodeName" not in found["spec"]:
        why = {"reason": "Unschedulable", "message": held["waits"][0]["message"]}
        scheduled = {"type": "PodScheduled", "status": "False", **why}
        return {**found, "status": {"phase": "Pending", "conditions": [scheduled]}}
    return {**found, "kind": "Pod", "status": {**_status(found["spec"], held["waits"]), **addresses}}


def events(held: Held, time: float) -> list[Object]:
    """One for each reason. :param time: when the pod was made."""
    return [
        {
            "type": "Warning",
            "reason": wait["reason"],
            "message": wait["message"],
            "time": time,
            "source": "default-scheduler" if wait["reason"] == FAILED_SCHEDULING else "kubelet",
        }
        for wait in held["waits"]
    ]


def _status(spec: Mapping[str, Any], waits: Sequence[Mapping[str, str]]) -> Object:
    init, main = spec.get("initContainers") or [], spec.get("containers") or []
    is_whole = any(not wait["container"] for wait in waits)
    held_up = {} if is_whole else {wait["container"]: wait["message"].removeprefix("Error: ") for wait in waits[::-1]}
    otherwise = "PodInitializing" if init else "ContainerCreating"

    def of(container: Mapping[str, Any]) -> Object:
        name = container["name"]
        waiting = {"reason": CONFIG_ERROR, "message": held_up[name]} if name in held_up else {"reason": otherwise}
        return {
            **{"name": name, "image": container.get("image", ""), "imageID": "", "ready": False, "started": False},
            **{"restartCount": 0, "state": {"waiting": waiting}, "lastState": {}},
        }

    names = " ".join(container["name"] for container in main)
    unready = {"status": "False", "reason": "ContainersNotReady"}
    unready["message"] = f"containers with unready status: [{names}]"
    return {
        "phase": "Pending",
        "conditions": [
            {"type": "Initialized", "status": str(not init)},
            {"type": "Ready", **unready},
            {"type": "ContainersReady", **unready},
            {"type": "PodScheduled", "status": "True"},
        ],
        **({"initContainerStatuses": [of(container) for container in init]} if init else {}),
        "containerStatuses": [of(container) for container in main],
    }

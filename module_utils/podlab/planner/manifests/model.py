"""What manifests tell of what is not started: why a pod waits, CronJobs, objects that are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wait:
    """Why a pod is not started: what the kubelet or the scheduler would say until a later run finds it mended.

    ``reason`` is that of the event. ``container`` is the one that is held up; empty: none of the pod's is started.
    """

    reason: str
    message: str
    container: str = ""
    advice: str = ""

    @property
    def state(self) -> str:
        """What a container that waits for it is called, as in the STATUS of ``get``."""
        return CONFIG_ERROR if self.container else "ContainerCreating"


CONFIG_ERROR = "CreateContainerConfigError"
FAILED, FAILED_MOUNT, FAILED_SCHEDULING = "Failed", "FailedMount", "FailedScheduling"
FAILED_SANDBOX = "FailedCreatePodSandBox"


@dataclass(frozen=True)
class CronJob:
    """What a Job may be made of by hand. ``body`` is the object as it is written."""

    namespace: str
    name: str
    schedule: str
    time_zone: str
    suspended: bool
    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Ignored:
    """An object that is passed over as a whole, and why."""

    kind: str
    namespace: str
    name: str
    why: str

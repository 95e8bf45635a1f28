"""What the kubelet reads of a pod's config; times are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class HttpGet(TypedDict, total=False):
    host: str
    port: int
    path: str
    scheme: str  # HTTP or HTTPS
    headers: Sequence[Sequence[str]]  # name and value


class TcpSocket(TypedDict):
    host: str
    port: int


class Grpc(TypedDict):
    host: str
    port: int
    service: str  # perhaps empty: the server as a whole


class Handler(TypedDict, total=False):
    """What a probe or a hook does: one of these."""

    exec: Sequence[str]
    http: HttpGet
    tcp: TcpSocket
    grpc: Grpc
    sleep: float
    lacks: str  # the name of a port that the container has not


class Probe(Handler, total=False):
    initial_delay: float
    period: float
    timeout: float
    success: int  # thresholds
    failure: int
    grace: float  # in place of the pod's


class ContainerConfig(TypedDict, total=False):
    restart_policy: str  # where it is not the pod's
    startup: Probe
    readiness: Probe
    liveness: Probe
    post_start: Handler
    pre_stop: Handler


class _Pod(TypedDict):
    netns: str  # the name of the pod's network namespace, which is the pod's name on its node
    restart_policy: str
    init: Sequence[str]  # names of the init containers, in their order
    containers: dict[str, ContainerConfig]


class PodConfig(_Pod, total=False):
    grace: float  # terminationGracePeriodSeconds
    deadline: float  # activeDeadlineSeconds

"""A pod as Kubernetes writes it, as far as podlab reads it back. Apart from ``pod_config.py``, which the records may
not import: that one knows what hosts are told, and so the records."""

from __future__ import annotations

from typing import TypedDict

from .formats import Name, Strings
from .object_meta import ObjectMeta


class _Named(TypedDict):
    name: Name
    namespace: Name


class PodMeta(_Named, ObjectMeta):
    pass


class ContainerPort(TypedDict):
    containerPort: int


class PodPort(ContainerPort, total=False):
    name: str | None
    protocol: str | None
    hostPort: int | None
    hostIP: str | None


class _NamedContainer(TypedDict):
    name: str


class PodContainer(_NamedContainer, total=False):
    image: str
    args: list[str] | None
    ports: list[PodPort] | None
    restartPolicy: str | None


class PodSpec(TypedDict, total=False):
    nodeName: str
    nodeSelector: Strings | None
    restartPolicy: str
    hostname: str | None
    subdomain: str | None
    hostNetwork: bool | None
    containers: list[PodContainer]
    initContainers: list[PodContainer]


class PodObject(TypedDict):
    metadata: PodMeta
    spec: PodSpec

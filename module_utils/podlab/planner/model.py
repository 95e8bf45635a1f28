"""The words of the plan: what manifests become, and what can be wrong with them.

Everything here is a plain value. Nothing in the planner reads a file, asks the kernel or knows
Ansible; the linter enforces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Invalid(ValueError):
    """Every problem of a run at once, in the user's words.

    A ``ValueError`` on purpose: Ansible shows its text with file, line and column of the task.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        # The same mistake may be met on two ways; one line each is enough, in the order of finding.
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Document:
    """One YAML or JSON document (or one item of a ``List``) and where it was written."""

    body: Mapping[str, Any]
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Container:
    """One process of a pod: ``argv`` is command and arguments after the image's own were merged in."""

    name: str
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    path: str = ""  # the image's own programs, before the system's


@dataclass(frozen=True)
class PodTemplate:
    """What is the same for every replica."""

    containers: tuple[Container, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_name: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    restart_policy: str = "Always"
    hostname: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)  # as written, for ``get -o yaml``


@dataclass(frozen=True)
class Pod:
    """One pod that shall run somewhere: a bare ``Pod`` or one replica of a workload."""

    namespace: str
    name: str
    template: PodTemplate
    where: str
    owner: str | None = None  # "Deployment/web": replicas of one owner are spread over nodes

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Deployment:
    """What ``get deployments`` needs to know beyond its pods."""

    namespace: str
    name: str
    replicas: int
    template_hash: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    containers: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True)
class Image:
    """A line of the catalogue: which program of the host an image name stands for.

    ``entrypoint`` and ``cmd`` are merged with a container's ``command`` and ``args`` as Kubernetes does.
    ``path`` is put before the container's ``PATH``.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True)
class Desired:
    """All that a manifest directory asks for."""

    pods: tuple[Pod, ...]
    deployments: tuple[Deployment, ...] = ()
    namespaces: tuple[str, ...] = ("default",)
    ignored: tuple[str, ...] = ()  # field paths without meaning here, each once

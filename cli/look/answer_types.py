"""What ``./lab`` tells of a pod at length, and counts on the shape of: a host's root may have written anything there.

Hosts and plans do not read it (``records.pod_row.PodSpec`` has what they do), so nothing runs otherwise for a shape in
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from podlab.records import pod_path
from podlab.records.formats import Strings
from podlab.records.object_meta import ObjectMeta
from podlab.records.pod_row import PodContainer, PodSpec
from podlab.shapes import Rule, misfit


class _Named(TypedDict):
    name: str


class _Mount(_Named):
    mountPath: str


class _Key(_Named):
    key: str


class _Field(TypedDict):
    fieldPath: str


class _Resource(TypedDict):
    resource: str


class _Source(TypedDict, total=False):
    fieldRef: _Field
    resourceFieldRef: _Resource
    configMapKeyRef: _Key
    secretKeyRef: _Key


def _is_one(source: Mapping[str, Any]) -> bool:
    return any(name in source for name in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"))


class _Variable(_Named, total=False):
    valueFrom: Annotated[_Source, Rule(_is_one, "a source")] | None


class _Variables(TypedDict, total=False):
    configMapRef: _Named
    secretRef: _Named


class _Exec(TypedDict, total=False):
    command: list[str]


class _Port(TypedDict):
    port: int | str


class _Get(_Port, total=False):
    scheme: str


class _Probe(TypedDict, total=False):
    exec: _Exec
    httpGet: _Get
    tcpSocket: _Port


class _Resources(TypedDict, total=False):
    limits: dict[str, Any] | None
    requests: dict[str, Any] | None


class _Container(PodContainer, total=False):
    command: list[str] | None
    env: list[_Variable] | None
    envFrom: (
        list[Annotated[_Variables, Rule(lambda one: "configMapRef" in one or "secretRef" in one, "a source")]] | None
    )
    volumeMounts: list[_Mount] | None
    resources: _Resources | None
    livenessProbe: _Probe | None
    readinessProbe: _Probe | None
    startupProbe: _Probe | None


class _Path(TypedDict):
    path: str


class _Item(_Path, total=False):
    fieldRef: dict[str, Any]
    resourceFieldRef: dict[str, Any]


class _Items(TypedDict, total=False):
    items: list[_Item] | None


class _Projection(TypedDict, total=False):
    secret: _Named
    configMap: _Named


class _Projected(TypedDict, total=False):
    sources: list[_Projection] | None


class _Volume(_Named, total=False):
    emptyDir: dict[str, Any] | None
    configMap: dict[str, Any]
    secret: dict[str, Any]
    downwardAPI: _Items
    projected: _Projected
    hostPath: _Path


class _Toleration(TypedDict, total=False):
    key: str | None
    value: str | None
    effect: str | None


class _Spec(PodSpec, total=False):
    containers: list[_Container]  # type: ignore[misc]
    initContainers: list[_Container]  # type: ignore[misc]
    volumes: list[_Volume] | None
    tolerations: list[_Toleration] | None


class _Object(TypedDict):
    metadata: ObjectMeta
    spec: _Spec


class _Values(TypedDict, total=False):
    env: Strings


class _Row(TypedDict):
    object: _Object
    containers: dict[str, _Values]


def checked_answer(answer: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A sound answer without the pods that cannot be shown, and a sentence about each of these."""
    pods, notes = [], []
    for pod in answer["pods"]:
        row = pod["row"]
        if words := misfit(row, _Row):
            notes.append(f"the record of a pod ({pod_path(row['netns'])}) is damaged: {words}")
            continue
        metadata = {key: value for key, value in row["object"]["metadata"].items() if value is not None}
        pods.append({**pod, "row": {**row, "object": {**row["object"], "metadata": metadata}}})
    return {**answer, "pods": pods}, notes

"""``metadata`` of a Kubernetes object, as far as podlab reads it back."""

from __future__ import annotations

from typing import TypedDict

from .formats import Strings, Time


class OwnerReference(TypedDict):
    kind: str
    name: str


class ObjectMeta(TypedDict, total=False):
    labels: Strings | None
    annotations: Strings | None
    creationTimestamp: Time
    ownerReferences: list[OwnerReference] | None

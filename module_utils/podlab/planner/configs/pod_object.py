"""A pod as ``kubectl get -o yaml`` shows it, without its status."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from ..model import Pod

# Of what makes pods and is not of apps/v1.
API_VERSIONS = {"Job": "batch/v1", "ReplicationController": "v1"}


def pod_uid(pod: Pod, created: str) -> str:
    """A UUID of version 5 (RFC 9562), as ``uuid.uuid5`` makes it, which takes 3 us of the 15 that a config takes."""
    name = f"{pod.name}.{pod.namespace}.{created}".encode()
    text = hashlib.sha1(uuid.NAMESPACE_DNS.bytes + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def pod_object(pod: Pod, node: str, created: str) -> dict[str, Any]:
    """``node`` is empty for a pod that has none."""
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": pod_uid(pod, created),
        "creationTimestamp": created,
    }
    if pod.template.labels:
        metadata["labels"] = dict(pod.template.labels)
    if pod.template.annotations:
        metadata["annotations"] = dict(pod.template.annotations)
    if pod.controller:
        kind, _, name = pod.controller.partition("/")
        version = API_VERSIONS.get(kind, "apps/v1")
        metadata["ownerReferences"] = [{"apiVersion": version, "kind": kind, "name": name, "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            **pod.template.spec,
            **({"nodeName": node} if node else {}),
            "restartPolicy": pod.template.restart_policy,
        },
    }

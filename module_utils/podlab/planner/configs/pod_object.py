"""A pod as ``kubectl get -o yaml`` shows it, without its status."""

from __future__ import annotations

import uuid
from typing import Any

from ..model import Pod

# Of what makes pods and is not of apps/v1.
API_VERSIONS = {"Job": "batch/v1", "ReplicationController": "v1"}


def pod_uid(pod: Pod, created: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{pod.name}.{pod.namespace}.{created}"))


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

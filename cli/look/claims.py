"""PersistentVolumeClaims as Kubernetes objects: what the records tell of them. Pure."""

from __future__ import annotations

import uuid

from .objects import Object, State, made


def claims(state: State) -> list[Object]:
    return [_claim(state, key) for key in sorted(state.record.get("claims", {}))]


def _claim(state: State, key: str) -> Object:
    namespace, name = key.split("/")
    node, spec = state.record.get("claimNodes", {}).get(key), dict(state.record["claims"][key].get("spec", {}))
    metadata: Object = {"name": name, "namespace": namespace, **made(state, f"persistentvolumeclaim/{key}")}
    status: Object = {"phase": "Pending"}
    if node:
        identity = f"{name}.{namespace}.{metadata.get('creationTimestamp', '')}"
        metadata["annotations"] = {"volume.kubernetes.io/selected-node": node}
        spec["volumeName"] = f"pvc-{uuid.uuid5(uuid.NAMESPACE_DNS, identity)}"
        capacity = (spec.get("resources") or {}).get("requests") or {}
        status = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": capacity}
    spec.setdefault("volumeMode", "Filesystem")
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec, "status": status}

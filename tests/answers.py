"""What hosts answer to ``./lab``, made up: pods that fare in this way or that."""

from __future__ import annotations

import datetime
from typing import Any

NOW = datetime.datetime(2026, 1, 2, 12, 0, 0, tzinfo=datetime.timezone.utc)
EPOCH = int(NOW.timestamp())
RUNS: dict[str, Any] = {
    "pid": 7,
    "started": EPOCH - 60,
    "restarts": 0,
    "last": None,
    "backoff": 0,
    "health": None,
    "down": False,
}
ENDED: dict[str, Any] = {**RUNS, "pid": None, "started": None}


def last(code: int, ago: int = 12, signal: int = 0) -> dict[str, int]:
    """How a container ended, that many seconds before ``NOW``."""
    return {"exit": code, "signal": signal, "started": EPOCH - ago - 5, "ended": EPOCH - ago}


def live(
    name: str,
    policy: str = "Always",
    namespace: str = "default",
    *,
    owner: str = "",
    labels: dict[str, str] | None = None,
    init: dict[str, str] | None = None,
    rows: dict[str, dict[str, Any]] | None = None,
    **facts: dict[str, Any],
) -> dict[str, Any]:
    """A pod as ``host/pods/status.py`` tells of it: a container for each keyword.

    :param owner: ``Job/pi``. A name such as ``web-new-1`` is one of a Deployment's anyway.
    :param init: which of the containers are init containers, with their restart policies.
    :param rows: more for the rows of some containers.
    """
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-02T11:58:30Z", "labels": {"app": name}}
    if name.count("-") == 2:
        owner = f"ReplicaSet/{name.rpartition('-')[0]}"
        meta["labels"] = {"app": "web", "pod-template-hash": name.split("-")[1]}
    if owner:
        kind, _, by = owner.partition("/")
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": kind, "name": by, "controller": True}]
    if labels is not None:
        meta["labels"] = labels
    init = init or {}
    containers: dict[str, dict[str, Any]] = {}
    for container in [*init, *(name for name in facts if name not in init)]:
        containers[container] = {"image": "busybox", "argv": [], "env": {}, "working_dir": "/"}
        if container in init:
            containers[container]["restart_policy"] = init[container]
        containers[container] |= (rows or {}).get(container, {})
    spec: dict[str, Any] = {
        "nodeName": "node1",
        "containers": [{"name": name, "image": "busybox"} for name in facts if name not in init],
    }
    if init:
        sidecar = {"restartPolicy": "Always"}
        spec["initContainers"] = [
            {"name": name, "image": "busybox", **(sidecar if how == "Always" else {})} for name, how in init.items()
        ]
    return {
        "row": {
            "netns": f"{namespace}_{name}",
            "address": "10.1.1.2/24",
            "gateway": "10.1.1.1",
            "mac": "0a:58:0a:01:01:02",
            "mtu": 1500,
            "bridge": "cbr0",
            "hostname": name,
            "restart_policy": policy,
            **({"init": list(init)} if init else {}),
            "containers": containers,
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        },
        "started": EPOCH - 80,
        "containers": facts,
    }


def workload(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    """A workload as the record has it."""
    return {
        "kind": kind,
        "namespace": "default",
        "name": name,
        "replicas": 1,
        "desired": 1,
        "templateHash": "new",
        "labels": {"app": name},
        "selector": {"matchLabels": {"app": name}},
        "containers": ["a"],
        "images": ["busybox"],
        "strategy": "",
        "serviceName": "",
        "parallelism": 1,
        "nodeSelector": {},
        **settings,
    }


def cluster(**settings: Any) -> dict[str, Any]:
    return {
        "generation": 3,
        "podCIDRs": {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"},
        "pods": {},
        "nodes": {name: {"address": ip, "labels": {}} for name, ip in (("node1", "10.0.0.2"), ("node2", "10.0.0.3"))},
        "namespaces": ["default", "kube-system"],
        "workloads": [],
        "objects": {},
        "created": {"node/node1": "2026-01-02T10:00:00Z", "node/node2": "2026-01-02T10:00:00Z"},
        "waiting": [],
        **settings,
    }


def answer(*lives: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """What a host tells: its pods, and settings of the cluster's record."""
    system = {
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0",
        "machine": "x86_64",
        "runtime": "bubblewrap://0.8.0",
    }
    return {"record": {"cluster": cluster(**settings)}, "system": system, "pods": list(lives)}

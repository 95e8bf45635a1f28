"""Workloads as Kubernetes objects: what the record says of them, and what their pods make of it. Pure.

The record has what was asked for. Status is counted from the pods that are there, as the controllers of
Kubernetes do it; https://kubernetes.io/docs/concepts/workloads/controllers/ tells what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podlab.phases import timestamp
from podlab.planner.configs.pod_object import API_VERSIONS

from .objects import Object, State, is_ready, made

Item = Mapping[str, Any]
"""One workload of the record."""

HASH = "pod-template-hash"


def deployments(state: State) -> list[Object]:
    return [_deployment(state, item) for item in _items(state, "Deployment")]


def replicasets(state: State) -> list[Object]:
    """Those of the manifests, one for each Deployment, and older ones that still have pods."""
    found = {}
    for item in _items(state, "ReplicaSet"):
        found[item["namespace"], item["name"]] = _replicaset(state, item)
    for item in _items(state, "Deployment"):
        present = _of_deployment(state, item)
        found[item["namespace"], present["name"]] = _replicaset(state, present)
    for pod in state.pods:
        kind, name = owner(pod)
        key = pod["metadata"]["namespace"], name
        if kind == "ReplicaSet" and key not in found:
            found[key] = _replicaset(state, _left_over(pod, name))
    return [found[key] for key in sorted(found)]


def replicationcontrollers(state: State) -> list[Object]:
    return [_replicaset(state, item) for item in _items(state, "ReplicationController")]


def statefulsets(state: State) -> list[Object]:
    return [_statefulset(state, item) for item in _items(state, "StatefulSet")]


def daemonsets(state: State) -> list[Object]:
    return [_daemonset(state, item) for item in _items(state, "DaemonSet")]


def cronjobs(state: State) -> list[Object]:
    """None of them has been run by the clock; Jobs that were made of one by hand are listed with the others."""
    found = []
    for key, item in sorted(state.record.get("cronJobs", {}).items()):
        namespace, name = key.split("/")
        zone = {"timeZone": item["timeZone"]} if item["timeZone"] else {}
        metadata = {"name": name, "namespace": namespace, **made(state, f"cronjob/{key}")}
        spec = {"schedule": item["schedule"], **zone, "suspend": item["suspend"]}
        found.append({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec, "status": {}})
    return found


def jobs(state: State) -> list[Object]:
    return [_job(state, item) for item in _items(state, "Job")]


def pods_of(state: State, kind: str, namespace: str, name: str) -> list[Object]:
    """Pods of a workload; a Deployment's are those of all its ReplicaSets."""
    return [
        pod
        for pod in state.pods
        if pod["metadata"]["namespace"] == namespace
        and (_is_replica(pod, name) if kind == "Deployment" else owner(pod) == (kind, name))
    ]


def owner(pod: Object) -> tuple[str, str]:
    """Kind and name of what has made a pod; two empty words for a bare one."""
    for reference in pod["metadata"].get("ownerReferences", []):
        if reference.get("controller"):
            return reference["kind"], reference["name"]
    return "", ""


def _is_replica(pod: Object, deployment: str) -> bool:
    """A ReplicaSet is named by its Deployment and the hash that its pods bear."""
    return owner(pod) == ("ReplicaSet", f"{deployment}-{pod['metadata'].get('labels', {}).get(HASH)}")


def _items(state: State, kind: str) -> list[Item]:
    items = [item for item in state.record.get("workloads", []) if item["kind"] == kind]
    return sorted(items, key=lambda item: (item["namespace"], item["name"]))


def _of_deployment(state: State, item: Item) -> dict[str, Any]:
    """The ReplicaSet of a Deployment's present template."""
    more = {HASH: item["templateHash"]}
    selector = {**item["selector"], "matchLabels": {**item["selector"].get("matchLabels", {}), **more}}
    name = f"{item['name']}-{item['templateHash']}"
    pods = pods_of(state, "ReplicaSet", item["namespace"], name)
    # It was made with its first pod; the record tells when the Deployment was.
    born = [made_at for pod in pods if (made_at := pod["metadata"].get("creationTimestamp"))]
    return {
        **item,
        "kind": "ReplicaSet",
        "name": name,
        "labels": {**item["selector"].get("matchLabels", {}), **more},
        "selector": selector,
        "created": min(born, default=state.record.get("created", {}).get(_key(item))),
        "owner": item["name"],
    }


def _left_over(pod: Object, name: str) -> dict[str, Any]:
    """A ReplicaSet that no manifest has any more, as far as one of its pods tells."""
    labels = pod["metadata"].get("labels", {})
    containers = pod["spec"]["containers"]
    return {
        "kind": "ReplicaSet",
        "namespace": pod["metadata"]["namespace"],
        "name": name,
        "replicas": 0,
        "labels": labels,
        "selector": {"matchLabels": labels},
        "containers": [container["name"] for container in containers],
        "images": [container.get("image", "") for container in containers],
        "created": pod["metadata"].get("creationTimestamp"),
        "owner": name.removesuffix(f"-{labels[HASH]}") if HASH in labels else "",
    }


def _deployment(state: State, item: Item) -> Object:
    own = _active(pods_of(state, "Deployment", item["namespace"], item["name"]))
    available = _available(state, own, item)
    status = {
        "replicas": len(own),
        "updatedReplicas": _updated(own, item, HASH),
        "readyReplicas": _ready(own),
        "availableReplicas": available,
        "unavailableReplicas": max(0, item["replicas"] - available),
    }
    kind = item.get("strategy") or "RollingUpdate"
    return _object(state, item, {"replicas": item["replicas"], "strategy": {"type": kind}}, status)


def _replicaset(state: State, item: Item) -> Object:
    own = _active(pods_of(state, item["kind"], item["namespace"], item["name"]))
    status = {
        "replicas": len(own),
        "fullyLabeledReplicas": len(own),
        "readyReplicas": _ready(own),
        "availableReplicas": _available(state, own, item),
    }
    return _object(state, item, {"replicas": item["replicas"]}, status)


def _statefulset(state: State, item: Item) -> Object:
    own = _active(pods_of(state, "StatefulSet", item["namespace"], item["name"]))
    updated = _updated(own, item, "controller-revision-hash")
    status = {
        "replicas": len(own),
        "currentReplicas": updated,
        "updatedReplicas": updated,
        "readyReplicas": _ready(own),
        "availableReplicas": _available(state, own, item),
        "updateRevision": f"{item['name']}-{item['templateHash']}",
    }
    spec = {
        "replicas": item["replicas"],
        "serviceName": item.get("serviceName", ""),
        "podManagementPolicy": item.get("strategy") or "OrderedReady",
    }
    return _object(state, item, spec, status)


def _daemonset(state: State, item: Item) -> Object:
    own = _active(pods_of(state, "DaemonSet", item["namespace"], item["name"]))
    status = {
        "desiredNumberScheduled": item["desired"],
        "currentNumberScheduled": len({pod["spec"].get("nodeName") for pod in own} - {None}),
        "numberReady": _ready(own),
        "numberAvailable": _available(state, own, item),
        "numberMisscheduled": 0,
        "updatedNumberScheduled": _updated(own, item, "controller-revision-hash"),
    }
    found = _object(state, item, {}, status)
    if item["nodeSelector"]:
        found["spec"]["template"]["spec"]["nodeSelector"] = item["nodeSelector"]
    return found


def _job(state: State, item: Item) -> Object:
    own = pods_of(state, "Job", item["namespace"], item["name"])
    succeeded = [pod for pod in own if pod["status"]["phase"] == "Succeeded"]
    active = _active(own)
    status: Object = {
        "active": len(active),
        "ready": _ready(active),
        "succeeded": len(succeeded),
        "failed": sum(pod["status"]["phase"] == "Failed" for pod in own),
    }
    starts = [pod["status"]["startTime"] for pod in own if "startTime" in pod["status"]]
    if started := state.record.get("created", {}).get(_key(item)) or min(starts, default=None):
        status["startTime"] = started
    ends = [end["finishedAt"] for pod in succeeded for end in _ends(pod)]
    if len(succeeded) >= item["replicas"] and ends:
        status["completionTime"] = max(ends)
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    elif why := _why_failed(state, item, own, status["failed"]):
        status["conditions"] = [{"type": "Failed", "status": "True", **why}]
    spec = {
        "completions": item["replicas"],
        "parallelism": item.get("parallelism", 1),
        "completionMode": item.get("strategy") or "NonIndexed",
        "backoffLimit": item.get("backoffLimit", 6),
        **{key: item[key] for key in ("activeDeadlineSeconds", "ttlSecondsAfterFinished") if key in item},
    }
    return _object(state, item, spec, status)


def _why_failed(state: State, item: Item, pods: Sequence[Object], failed: int) -> Object:
    """The condition of a Job that has failed; empty for one that has not."""
    deadline = item.get("activeDeadlineSeconds")
    starts = [pod["status"]["startTime"] for pod in pods if "startTime" in pod["status"]]
    ended_by_it = any(pod["status"].get("reason") == "DeadlineExceeded" for pod in pods)
    if deadline is not None and ended_by_it and starts and min(starts) <= timestamp(state.now - deadline):
        return {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
    if failed > item.get("backoffLimit", 6):
        return {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
    return {}


def _ends(pod: Object) -> Iterable[Object]:
    for status in pod["status"].get("containerStatuses", []):
        if "terminated" in status["state"]:
            yield status["state"]["terminated"]


def _active(pods: Sequence[Object]) -> list[Object]:
    """Controllers do not count pods that have ended for good."""
    return [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]


def _ready(pods: Sequence[Object]) -> int:
    return sum(is_ready(pod) for pod in pods)


def _available(state: State, pods: Sequence[Object], item: Item) -> int:
    """Pods that have been ready for as long as the workload asks for (``minReadySeconds``)."""
    latest = timestamp(state.now - item.get("minReadySeconds", 0))
    return sum(is_ready(pod) and _ready_since(pod) <= latest for pod in pods)


def _ready_since(pod: Object) -> str:
    """RFC 3339, which sorts as time goes; empty where it is unknown."""
    found = [item.get("lastTransitionTime", "") for item in pod["status"]["conditions"] if item["type"] == "Ready"]
    return str(found[0]) if found else ""


def _updated(pods: Sequence[Object], item: Item, label: str) -> int:
    """Pods of the present template. A StatefulSet's revisions bear its name before the hash."""
    present = (item["templateHash"], f"{item['name']}-{item['templateHash']}")
    return sum(pod["metadata"].get("labels", {}).get(label) in present for pod in pods)


def _key(item: Item) -> str:
    return f"{item['kind'].lower()}/{item['namespace']}/{item['name']}"


def _object(state: State, item: Item, spec: Object, status: Object) -> Object:
    """What is alike for all of them."""
    metadata: Object = {"name": item["name"], "namespace": item["namespace"]}
    if item["labels"]:
        metadata["labels"] = item["labels"]
    if item.get("owner"):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": item["owner"], "controller": True}
        metadata["ownerReferences"] = [reference]
    metadata |= made(state, _key(item))
    if item.get("created"):
        metadata["creationTimestamp"] = item["created"]
    containers = [{"name": n, "image": i} for n, i in zip(item["containers"], item["images"], strict=True)]
    labels = item["selector"].get("matchLabels", {})
    selector = labels if item["kind"] == "ReplicationController" else item["selector"]
    if "minReadySeconds" in item:
        spec = {**spec, "minReadySeconds": item["minReadySeconds"]}
    return {
        "apiVersion": API_VERSIONS.get(item["kind"], "apps/v1"),
        "kind": item["kind"],
        "metadata": metadata,
        "spec": {
            **spec,
            **({"selector": selector} if any(item["selector"].values()) else {}),
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
        "status": status,
    }

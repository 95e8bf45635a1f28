"""What the hosts answered, as Kubernetes objects. Pure: the same answers make the same objects.

Phases and conditions are worked out as the kubelet does it (pkg/kubelet/kubelet_pods.go, getPhase);
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ tells what they mean.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podlab import __version__

Object = dict[str, Any]
Answers = Mapping[str, "Mapping[str, Any] | None"]
"""Host -> what ``host/status.py`` said there, or None where nobody answered."""

VERSION = f"v{__version__}+podlab"


@dataclass(frozen=True)
class State:
    """Everything that is known of the cluster: the newest record, and the answer of every node."""

    record: Mapping[str, Any]
    nodes: Answers


def state_of(answers: Answers, nodes: Sequence[str]) -> State:
    """Every host keeps a record of the whole cluster; where they differ, the one of the latest run is right."""
    records = [answer["record"]["cluster"] for answer in answers.values() if answer and answer["record"]]
    newest: Object = max(records, key=lambda record: int(record["generation"]), default={})
    return State(newest, {name: answers.get(name) for name in nodes})


# --- pods -----------------------------------------------------------------------------------------


def pods(state: State) -> list[Object]:
    """Pods that run, wait for a node, or are on nodes that do not answer: of these only the record tells."""
    found = {}
    placed = state.record.get("pods", {})
    for node, answer in state.nodes.items():
        for live in (answer or {}).get("pods", []):
            pod = _live_pod(state, node, live)
            key = _key(pod)
            # A node that the last run did not reach may still run what has moved elsewhere since.
            if key not in found or placed.get(key, [None])[0] == node:
                found[key] = pod
    for key, (node, address) in placed.items():
        if key not in found:
            unreachable = state.nodes.get(node) is None
            status = {"phase": "Unknown", "reason": "NodeLost"} if unreachable else {"phase": "Pending"}
            found[key] = _remembered_pod(state, key, node, {**status, **_addresses(state, node, address)})
    for key in state.record.get("waiting", []):
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        found[key] = _remembered_pod(state, key, None, {"phase": "Pending", "conditions": [unscheduled]})
    return [found[key] for key in sorted(found)]


def _key(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _live_pod(state: State, node: str, live: Mapping[str, Any]) -> Object:
    row = live["row"]
    policy = row["restart_policy"]
    statuses = [_container_status(row, name, live["containers"][name]) for name in row["containers"]]
    phase = _phase(statuses, policy)
    ready = bool(statuses) and all(status["ready"] for status in statuses)
    why = {} if ready else {"reason": "PodCompleted" if phase == "Succeeded" else "ContainersNotReady"}
    status: Object = {
        "phase": phase,
        "conditions": [
            {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": str(ready), **why},
            {"type": "ContainersReady", "status": str(ready), **why},
            {"type": "PodScheduled", "status": "True"},
        ],
        **_addresses(state, node, row["address"].split("/")[0]),
        "containerStatuses": statuses,
    }
    if live["started"] is not None:
        status["startTime"] = timestamp(live["started"])
    return {**row["object"], "status": status}


def _remembered_pod(state: State, key: str, node: str | None, status: Object) -> Object:
    namespace, name = key.split("/")
    metadata: Object = {"name": name, "namespace": namespace}
    if key_created := state.record.get("created", {}).get(f"pod/{key}"):
        metadata["creationTimestamp"] = key_created
    spec: Object = {"containers": []}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _addresses(state: State, node: str, address: str | None) -> Object:
    host = state.record.get("nodes", {}).get(node, {}).get("address")
    found: Object = {}
    if host:
        found |= {"hostIP": host, "hostIPs": [{"ip": host}]}
    if address:
        found |= {"podIP": address, "podIPs": [{"ip": address}]}
    return found


def _container_status(row: Mapping[str, Any], name: str, facts: Mapping[str, Any]) -> Object:
    is_running, last = facts["pid"] is not None, facts["last"]
    waits = not is_running and last is not None and not _stays_down(row["restart_policy"], last)
    # The supervisor counts a restart before it waits for it, the kubelet once it has come.
    restarts = facts["restarts"] - waits
    identity = _container_id(f"{row['netns']}.{name}.{restarts}")
    ended = {"terminated": _terminated(last, identity)} if last else {}
    state: Object
    if is_running:
        state = {"running": {"startedAt": timestamp(facts["started"])} if facts["started"] is not None else {}}
    elif not ended:
        state = {"waiting": {"reason": "ContainerCreating"}}
    elif waits and facts["backoff"] > 10:
        words = f"back-off restarting failed container={name} pod={row['netns'].replace('_', '/')}"
        state = {"waiting": {"reason": "CrashLoopBackOff", "message": words}}
    else:
        state = ended
    return {
        "name": name,
        "image": row["containers"][name]["image"],
        "imageID": "",
        "containerID": identity,
        "ready": is_running,
        "started": is_running,
        "restartCount": restarts,
        "state": state,
        "lastState": {} if state is ended else ended,
    }


def _container_id(identity: str) -> str:
    return f"podlab://{hashlib.sha256(identity.encode()).hexdigest()}"


def _stays_down(policy: str, last: Mapping[str, int]) -> bool:
    return policy == "Never" or (policy == "OnFailure" and last["exit"] == 0)


def _terminated(last: Mapping[str, int], container_id: str) -> Object:
    """``last`` holds exit code 256 after a signal; Kubernetes counts as a shell does, 128 and the signal."""
    by_signal = last["exit"] == 256
    code = 128 + last["signal"] if by_signal else last["exit"]
    return {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        **({"signal": last["signal"]} if by_signal else {}),
        "startedAt": timestamp(last["started"]),
        "finishedAt": timestamp(last["ended"]),
        "containerID": container_id,
    }


def _phase(statuses: Sequence[Object], policy: str) -> str:
    running = sum("running" in status["state"] for status in statuses)
    ended = [status["state"]["terminated"] for status in statuses if "terminated" in status["state"]]
    waiting = [status for status in statuses if "waiting" in status["state"]]
    if any(not status["lastState"] for status in waiting):
        return "Pending"
    if running or policy == "Always" or waiting:
        return "Running"
    if all(end["exitCode"] == 0 for end in ended):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


# --- all others -----------------------------------------------------------------------------------


def nodes(state: State) -> list[Object]:
    """The inventory's nodes. One is ready when it answers and has been told that it belongs to a cluster."""
    return [_node(state, name, answer) for name, answer in sorted(state.nodes.items())]


def _node(state: State, name: str, answer: Mapping[str, Any] | None) -> Object:
    known = state.record.get("nodes", {}).get(name, {})
    metadata: Object = {"name": name, "labels": known.get("labels", {})}
    if created := state.record.get("created", {}).get(f"node/{name}"):
        metadata["creationTimestamp"] = created
    ready: Object = {"type": "Ready", "status": "True", "reason": "PodlabReady", "message": "podlab's record is here"}
    if answer is None:
        ready |= {"status": "Unknown", "reason": "NodeStatusUnknown", "message": "the host does not answer"}
    elif not answer["record"]:
        ready |= {"status": "False", "reason": "NotProvisioned", "message": "site.yml has not been here yet"}
    addresses = [{"type": "Hostname", "address": name}]
    if "address" in known:
        addresses.insert(0, {"type": "InternalIP", "address": known["address"]})
    status: Object = {"addresses": addresses, "conditions": [ready]}
    if answer:
        system = answer["system"]
        status["nodeInfo"] = {
            "architecture": system["machine"],
            "containerRuntimeVersion": system["runtime"],
            "kernelVersion": system["kernel"],
            "kubeletVersion": VERSION,
            "operatingSystem": "linux",
            "osImage": system["os"],
        }
    cidr = state.record.get("podCIDRs", {}).get(name)
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


def deployments(state: State) -> list[Object]:
    present = pods(state)
    listed = state.record.get("deployments", [])
    return [
        _deployment(state, item, present) for item in sorted(listed, key=lambda item: (item["namespace"], item["name"]))
    ]


def _deployment(state: State, item: Mapping[str, Any], present: Sequence[Object]) -> Object:
    own = [
        pod for pod in present if pod["metadata"]["namespace"] == item["namespace"] and is_replica(pod, item["name"])
    ]
    ready = sum(is_ready(pod) for pod in own)
    metadata: Object = {"name": item["name"], "namespace": item["namespace"]}
    if item["labels"]:
        metadata["labels"] = item["labels"]
    if created := state.record["created"].get(f"deployment/{item['namespace']}/{item['name']}"):
        metadata["creationTimestamp"] = created
    containers = [{"name": n, "image": i} for n, i in zip(item["containers"], item["images"], strict=True)]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": item["replicas"],
            "selector": {"matchLabels": item["selector"]},
            "template": {"metadata": {"labels": item["selector"]}, "spec": {"containers": containers}},
        },
        "status": {
            "replicas": len(own),
            "updatedReplicas": sum(
                pod["metadata"].get("labels", {}).get("pod-template-hash") == item["templateHash"] for pod in own
            ),
            "readyReplicas": ready,
            "availableReplicas": ready,
        },
    }


def is_replica(pod: Object, deployment: str) -> bool:
    owners = pod["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "Deployment" and owner["name"] == deployment for owner in owners)


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def namespaces(state: State) -> list[Object]:
    created = state.record.get("created", {})
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/metadata.name": name},
                **({"creationTimestamp": created[f"namespace/{name}"]} if f"namespace/{name}" in created else {}),
            },
            "spec": {},
            "status": {"phase": "Active"},
        }
        for name in sorted(state.record.get("namespaces", []))
    ]


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as Kubernetes writes it."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def listed(items: Sequence[Object]) -> Object:
    """What ``kubectl get -o json`` wraps several objects in."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items), "metadata": {"resourceVersion": ""}}

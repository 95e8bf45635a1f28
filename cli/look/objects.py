"""What the hosts answered, as Kubernetes objects. Pure: the same answers make the same objects.

How a pod fares is ``podlab.phases``' business.
"""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podlab import __version__, phases
from podlab.controller import signature
from podlab.phases import timestamp
from podlab.planner.inputs.host import Host, architecture
from podlab.planner.record.newest import created_of, generation_of, newest_pods, newest_record
from podlab.records.host_record import HostRecord
from podlab.records.version_1 import converted

Object = dict[str, Any]
Answers = Mapping[str, "Mapping[str, Any] | None"]
"""Host -> what ``host/pods/status.py`` said there, or None where it did not answer."""

VERSION = f"v{__version__}+podlab"
REBOOTED = "Rebooted"
REBOOTED_MESSAGE = "the host was rebooted, and has yet to get its pods back: by podlab-boot.service, or by ./lab up"


@dataclass(frozen=True)
class State:
    """Everything that is known of the cluster: what the hosts' records tell, the newest of it, and the answer of every
    node."""

    record: Mapping[str, Any]
    nodes: Answers
    now: float = field(default_factory=time.time)
    records: Sequence[Mapping[str, Any]] = ()  # their sections of the cluster, the newest first

    @property
    def silent(self) -> list[str]:
        """Nodes that do not answer."""
        return [name for name, answer in self.nodes.items() if answer is None]

    @functools.cached_property
    def pods(self) -> list[Object]:
        """Worked out once: every workload counts its own among them."""
        return pods(self)


def cluster_state(answers: Answers, nodes: Sequence[str]) -> State:
    """Of each section of the hosts' records the newest is right, if a run has written it."""
    # The record alone is read of them.
    records: dict[str, Any] = {name: {"record": one} for name, one in _believed(answers).items()}
    told = [Host(name, "node", "", observation=one) for name, one in records.items()]
    sections = sorted((host.record["cluster"] for host in told if "cluster" in host.record), key=generation_of)
    record: Object = dict(newest_record(told))
    if record:
        placed = {node: section.get("pods", {}) for node, section in newest_pods(told).items()}
        pods = {key: [node, address] for node, held in placed.items() for key, (address, _) in held.items()}
        record |= {"pods": pods, "created": created_of(told)}
    return State(record, {name: answers.get(name) for name in nodes}, records=sections[::-1])


def _believed(answers: Answers) -> dict[str, HostRecord]:
    """Host -> its record, without the sections that do not count."""
    records = {name: _copied(answer["record"]) for name, answer in answers.items() if answer and answer["record"]}
    sections = [one for record in records.values() for one in signature.sections_of(record)]
    counting = signature.believed((about, place[part]) for about, place, part in sections)
    for (_, place, part), section in zip(sections, counting, strict=True):
        del place[part]
        if section is not None:
            place[part] = section
    return {name: converted(record, {}) or {} for name, record in records.items()}


def _copied(record: HostRecord) -> HostRecord:
    return {**record, "pods": {**record["pods"]}} if "pods" in record else {**record}


# --- pods -----------------------------------------------------------------------------------------


def pods(state: State) -> list[Object]:
    """Pods that run, wait for a node, or are on nodes that do not answer: of these only the record tells."""
    found: dict[str, Object] = {}
    placed = state.record.get("pods", {})
    for node, answer in state.nodes.items():
        for live in (answer or {}).get("pods", []):
            pod = _live_pod(state, node, live)
            key = _key(pod)
            # A node that the last run did not reach may still run what has moved elsewhere since, and one that lies
            # says that it does.
            if placed.get(key, [node])[0] == node:
                found.setdefault(key, pod)
    for key, (node, address) in placed.items():
        if key not in found:
            status = _status_without_pod(state.nodes.get(node))
            found[key] = _remembered_pod(state, key, node, {**status, **_addresses(state, node, address)})
    for key in state.record.get("waiting", []):
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        found[key] = _remembered_pod(state, key, None, {"phase": "Pending", "conditions": [unscheduled]})
    return [found[key] for key in sorted(found)]


def _status_without_pod(answer: Mapping[str, Any] | None) -> Object:
    """What there is to say of a pod that its node does not tell of."""
    if answer is None:
        return {"phase": "Unknown", "reason": "NodeLost"}
    if answer.get("rebooted"):
        return {"phase": "Unknown", "reason": REBOOTED, "message": REBOOTED_MESSAGE}
    return {"phase": "Pending"}


def _key(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _live_pod(state: State, node: str, live: Mapping[str, Any]) -> Object:
    row = live["row"]
    status = {
        **phases.status(row, live["containers"]),
        **_addresses(state, node, row["address"].split("/")[0]),
    }
    since = phases.ready_since(row, live["containers"])
    if phases.is_ready(status) and since is not None:
        for condition in status["conditions"]:
            if condition["type"] == "Ready":
                condition["lastTransitionTime"] = timestamp(since)
    if live["started"] is not None:
        status["startTime"] = timestamp(live["started"])
    return {**row["object"], "kind": "Pod", "status": status}  # whatever kind the host's record claims


def _remembered_pod(state: State, key: str, node: str | None, status: Object) -> Object:
    namespace, name = key.split("/")
    metadata: Object = {"name": name, "namespace": namespace, **made(state, f"pod/{key}")}
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


# --- all others -----------------------------------------------------------------------------------


def nodes(state: State) -> list[Object]:
    """The inventory's nodes. One is ready when it answers and has been told that it belongs to a cluster."""
    return [_node(state, name, answer) for name, answer in sorted(state.nodes.items())]


def _node(state: State, name: str, answer: Mapping[str, Any] | None) -> Object:
    known = state.record.get("nodes", {}).get(name, {})
    metadata: Object = {"name": name, "labels": known.get("labels", {}), **made(state, f"node/{name}")}
    ready: Object = {"type": "Ready", "status": "True", "reason": "PodlabReady", "message": "podlab's record is here"}
    if answer is None:
        ready |= {"status": "Unknown", "reason": "NodeStatusUnknown", "message": "the host does not answer"}
    elif not answer["record"]:
        ready |= {"status": "False", "reason": "NotProvisioned", "message": "site.yml has not been here yet"}
    elif answer.get("rebooted"):
        ready |= {"status": "False", "reason": REBOOTED, "message": REBOOTED_MESSAGE}
    addresses = [{"type": "Hostname", "address": name}]
    if "address" in known:
        addresses.insert(0, {"type": "InternalIP", "address": known["address"]})
    status: Object = {"addresses": addresses, "conditions": [ready]}
    if answer:
        system = answer["system"]
        status["nodeInfo"] = {
            "architecture": architecture(system["machine"]),
            "containerRuntimeVersion": system["runtime"],
            "kernelVersion": system["kernel"],
            "kubeletVersion": VERSION,
            "operatingSystem": "linux",
            "osImage": system["os"],
        }
    cidr = state.record.get("podCIDRs", {}).get(name)
    spec: Object = {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}
    if known.get("taints"):
        spec["taints"] = known["taints"]
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


def is_ready(pod: Object) -> bool:
    return phases.is_ready(pod["status"])


def namespaces(state: State) -> list[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/metadata.name": name},
                **made(state, f"namespace/{name}"),
            },
            "spec": {},
            "status": {"phase": "Active"},
        }
        for name in sorted(state.record.get("namespaces", []))
    ]


def configmaps(state: State) -> list[Object]:
    return _written(state, "ConfigMap")


def secrets(state: State) -> list[Object]:
    """As the API server keeps them: what was written as ``stringData`` is ``data`` by now."""
    return [_sealed(body) for body in _written(state, "Secret")]


def _written(state: State, kind: str) -> list[Object]:
    """Objects that the record holds as they were written."""
    found = []
    for key, body in sorted(state.record.get("objects", {}).items()):
        if key.startswith(f"{kind}/"):
            _, namespace, name = key.split("/")
            own = {"name": name, "namespace": namespace, **made(state, f"{kind.lower()}/{namespace}/{name}")}
            found.append({**body, "metadata": {**body.get("metadata", {}), **own}})
    return found


def _sealed(body: Object) -> Object:
    plain = body.get("stringData") or {}
    data = {**(body.get("data") or {}), **{key: _base64(text) for key, text in plain.items()}}
    kept = {key: value for key, value in body.items() if key not in ("data", "stringData")}
    return {"type": "Opaque", **kept, **({"data": data} if data else {})}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def made(state: State, key: str) -> Object:
    """When an object was made, as part of its metadata; nothing where that is unknown."""
    created = state.record.get("created", {}).get(key)
    return {"creationTimestamp": created} if created else {}


def listed(items: Sequence[Object]) -> Object:
    """What ``kubectl get -o json`` wraps several objects in."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items), "metadata": {"resourceVersion": ""}}

"""Cells of nodes, namespaces, claims, ConfigMaps, Secrets and events. Pure."""

from __future__ import annotations

import datetime

from ..table import NONE, UNKNOWN, Object, age, since


def node(node: Object, now: datetime.datetime) -> list[str]:
    info = node["status"].get("nodeInfo", {})
    ready = next(condition for condition in node["status"]["conditions"] if condition["type"] == "Ready")
    addresses = {address["type"]: address["address"] for address in node["status"]["addresses"]}
    return [
        node["metadata"]["name"],
        "Ready" if ready["status"] == "True" else "NotReady,Rebooted" if ready["reason"] == "Rebooted" else "NotReady",
        node_roles(node),
        age(node, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def node_roles(node: Object) -> str:
    role = "node-role.kubernetes.io/"
    roles = sorted(label[len(role) :] for label in node["metadata"]["labels"] if label.startswith(role))
    return ",".join(roles) or NONE


def namespace(item: Object, now: datetime.datetime) -> list[str]:
    return [item["metadata"]["name"], item["status"]["phase"], age(item, now)]


def configmap(item: Object, now: datetime.datetime) -> list[str]:
    data = {**(item.get("data") or {}), **(item.get("binaryData") or {})}
    return [item["metadata"]["name"], str(len(data)), age(item, now)]


def secret(item: Object, now: datetime.datetime) -> list[str]:
    return [item["metadata"]["name"], item["type"], str(len(item.get("data", {}))), age(item, now)]


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def claim(item: Object, now: datetime.datetime) -> list[str]:
    spec, status = item["spec"], item["status"]
    return [
        item["metadata"]["name"],
        status["phase"],
        spec.get("volumeName", ""),
        str(status.get("capacity", {}).get("storage", "")),
        ",".join(short for mode, short in _MODES.items() if mode in status.get("accessModes", ())),
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or "<unset>",
        age(item, now),
        spec["volumeMode"],
    ]


def event(item: Object, now: datetime.datetime) -> list[str]:
    """The wide columns stand among the others, where ``EVENT_ORDER`` puts them."""
    involved, source = item["involvedObject"], item["source"]
    return [
        since(item["lastTimestamp"], now),
        item["type"],
        item["reason"],
        f"{involved['kind'].lower()}/{involved['name']}",
        item["message"].strip(),
        involved.get("fieldPath", ""),
        ", ".join(filter(None, (source["component"], source.get("host")))),
        since(item["firstTimestamp"], now),
        str(item["count"]),
        item["metadata"]["name"],
    ]


EVENT_ORDER = (0, 1, 2, 3, 5, 6, 4, 7, 8, 9)

"""A pod, its events, and the kernel objects that it is made of. Pure."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from podlab.changes.pods.pods import veth_name
from podlab.phases import timestamp
from podlab.planner.manifests.quantities import quantity

from .. import workloads
from ..objects import Object
from ..table import NONE, since
from . import containers, fields, volumes

Event = Mapping[str, Any]


def pod(pod: Object, row: Mapping[str, Any] | None, now: datetime.datetime) -> fields.Lines:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    address = status.get("podIP", "")
    lines = [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        f"Service Account:\t{spec.get('serviceAccountName') or 'default'}",
        f"Node:\t{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else f"Node:\t{NONE}",
        *([f"Start Time:\t{fields.time_text(status['startTime'])}"] if "startTime" in status else []),
        *fields.label_lines("Labels", metadata.get("labels")),
        *fields.annotation_lines(metadata.get("annotations")),
        f"Status:\t{status['phase']}",
        *([f"Reason:\t{status['reason']}"] if status.get("reason") else []),
        *([f"Message:\t{status['message']}"] if status.get("message") else []),
        f"IP:\t{address}",
        *(
            ["IPs:", *(f"  IP:\t{item['ip']}" for item in status["podIPs"])]
            if status.get("podIPs")
            else ["IPs:\t" + NONE]
        ),
    ]
    kind, name = workloads.owner(pod)
    if kind:
        lines.append(f"Controlled By:\t{kind}/{name}")
    values = (row or {}).get("containers", {})
    if spec.get("initContainers"):
        lines.append("Init Containers:")
        for container in spec["initContainers"]:
            lines += containers.container(container, status.get("initContainerStatuses", []), values)
    lines.append("Containers:")
    for container in spec["containers"]:
        lines += containers.container(container, status.get("containerStatuses", []), values)
    if status.get("conditions"):
        lines += ["Conditions:", "  Type\tStatus"]
        lines += [f"  {condition['type']} \t{condition['status']} " for condition in status["conditions"]]
    lines += volumes.volumes(spec.get("volumes") or [])
    lines.append(f"QoS Class:\t{qos_class(spec)}")
    lines += fields.label_lines("Node-Selectors", spec.get("nodeSelector"))
    lines += _tolerations(spec.get("tolerations") or [])
    return lines


def qos_class(spec: Object) -> str:
    """By what its containers ask for; nothing acts on it here.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    asked = [(one.get("resources") or {}) for one in [*spec["containers"], *spec.get("initContainers", [])]]
    limits = [_amounts(one.get("limits")) for one in asked]
    requests = [{**limit, **_amounts(one.get("requests"))} for one, limit in zip(asked, limits, strict=True)]
    if not any(requests):
        return "BestEffort"
    return "Guaranteed" if all(len(limit) == 2 for limit in limits) and limits == requests else "Burstable"


def _amounts(resources: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of processors and memory, if there is any."""
    found = {name: quantity((resources or {}).get(name, 0)) for name in ("cpu", "memory")}
    return {name: amount for name, amount in found.items() if amount}


def _tolerations(tolerations: Sequence[Object]) -> fields.Lines:
    words = []
    for toleration in sorted(tolerations, key=lambda toleration: str(toleration.get("key", ""))):
        word = toleration.get("key") or ""
        if toleration.get("value"):
            word += f"={toleration['value']}"
        if toleration.get("effect"):
            word += f":{toleration['effect']}"
        # There is no operator to say of Equal: the equals sign stands there.
        if toleration.get("operator") == "Exists":
            word = word + " op=Exists" if word else "op=Exists"
        if toleration.get("tolerationSeconds") is not None:
            word += f" for {toleration['tolerationSeconds']}s"
        words.append(word)
    first, *others = words or [NONE]
    return [f"Tolerations:\t{first}", *(f"\t{word}" for word in others)]


def events(told: Sequence[Event], now: datetime.datetime) -> fields.Lines:
    """Events that say the same are one, with a count, in the order in which they were last seen.

    The host may have counted already: then an event has a ``count``, and ``first``, when it was seen first.
    """
    if not told:
        return [f"Events:\t{NONE}"]
    alike: dict[tuple[str, str, str, str], tuple[float, float, int]] = {}  # first, last, count
    for event in sorted(told, key=lambda event: float(event["time"])):
        about = f"spec.containers{{{event['container']}}}: " if event.get("container") else ""
        key = (event["type"], event["reason"], event.get("source", "kubelet"), about + event["message"])
        first, _, count = alike.pop(key, (event.get("first", event["time"]), 0, 0))
        alike[key] = (first, event["time"], count + event.get("count", 1))
    lines = ["Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------"]
    for (kind, reason, source, message), (first, last, count) in alike.items():
        age_of_last = since(timestamp(last), now)
        seen = f"{age_of_last} (x{count} over {since(timestamp(first), now)})" if count > 1 else age_of_last
        lines.append(f"  {kind}\t{reason}\t{seen}\t{source}\t{message.strip()}")
    return lines


def kernel_objects(pod: Object, row: Mapping[str, Any], pause: str) -> fields.Lines:
    """What the pod is made of, and how to look at it."""
    node, netns = pod["spec"]["nodeName"], row["netns"]
    at = f"./lab node {node} --"
    holder = f"{pause or 'gone'} (holds its namespaces)"
    if row.get("host_network"):
        return [
            "Podlab:",
            f"  Network:\tthat of {node}: hostNetwork",
            f"  Pause:\t{holder}",
            "  To look at it:",
            f"    {at} ip address",
            f"    {at} ss -ltnp",
        ]
    veth = veth_name(netns)
    return [
        "Podlab:",
        f"  Network Namespace:\t{netns}",
        f"  Wire:\teth0 in it, {veth} on {node}, a port of {row['bridge']}",
        f"  MAC:\t{row['mac']}",
        f"  Gateway:\t{row['gateway']}",
        f"  Pause:\t{holder}",
        "  To look at it:",
        f"    {at} ip -n {shlex.quote(netns)} address",
        f"    {at} ip -n {shlex.quote(netns)} route",
        f"    {at} bridge link show dev {veth}",
        f"    {at} ip netns exec {shlex.quote(netns)} ss -ltnp",
        *([f"    {at} lsns -p {pause}"] if pause else []),
    ]

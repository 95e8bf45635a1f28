"""kubectl's tables: its columns, its words, its spacing. Pure.

The columns are those of Kubernetes' printers (pkg/printers/internalversion/printers.go), ages those of
apimachinery's ``duration.HumanDuration``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
NONE, UNKNOWN = "<none>", "<unknown>"


@dataclass(frozen=True)
class Kind:
    """One kind of object that ``get`` knows."""

    plural: str
    prefix: str  # before the name in ``-o name``
    is_namespaced: bool
    columns: tuple[str, ...]
    wide: tuple[str, ...]
    cells: Callable[[Object, datetime.datetime], list[str]]  # of all columns, the wide ones too


def render(rows: Sequence[Sequence[str]]) -> str:
    """Columns three blanks apart, none narrower than three; nothing is put after the last one."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([*map(str.ljust, row[:-1], widths), row[-1]] for row in rows)
    return "".join("   ".join(cells) + "\n" for cells in padded)


def table(
    kind: Kind,
    items: Sequence[Object],
    now: datetime.datetime,
    *,
    wide: bool = False,
    all_namespaces: bool = False,
    headers: bool = True,
) -> str:
    """What ``kubectl get`` prints for ``items``."""
    with_namespace = all_namespaces and kind.is_namespaced
    heads = [*(["NAMESPACE"] if with_namespace else []), *kind.columns, *(kind.wide if wide else ())]
    rows = [heads] if headers else []
    for item in items:
        cells = kind.cells(item, now)
        namespace = [item["metadata"]["namespace"]] if with_namespace else []
        rows.append([*namespace, *(cells if wide else cells[: len(kind.columns)])])
    return render(rows)


def _pod(pod: Object, now: datetime.datetime) -> list[str]:
    status = pod["status"]
    statuses = status.get("containerStatuses", [])
    ready = sum(container["ready"] for container in statuses)
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(pod['spec']['containers'])}",
        pod_status(pod),
        _restarts(statuses, now),
        _age(pod, now),
        status.get("podIP", NONE),
        pod["spec"].get("nodeName", NONE),
        NONE,
        NONE,
    ]


def pod_status(pod: Object) -> str:
    """The STATUS column: the phase, unless a container has a better story to tell."""
    words: str = pod["status"]["phase"]
    statuses = pod["status"].get("containerStatuses", [])
    for container in reversed(statuses):
        state = container["state"]
        if "running" not in state:
            words = (state.get("waiting") or state["terminated"])["reason"]
    if words == "Completed" and any("running" in container["state"] for container in statuses):
        # Some of its containers have done their work, the others still run.
        return "NotReady"
    return words


def _restarts(statuses: Sequence[Object], now: datetime.datetime) -> str:
    restarts = sum(container["restartCount"] for container in statuses)
    ends = [container["lastState"]["terminated"]["finishedAt"] for container in statuses if container["lastState"]]
    return f"{restarts} ({_since(max(ends), now)} ago)" if restarts and ends else str(restarts)


def _node(node: Object, now: datetime.datetime) -> list[str]:
    info = node["status"].get("nodeInfo", {})
    ready = next(condition for condition in node["status"]["conditions"] if condition["type"] == "Ready")
    addresses = {address["type"]: address["address"] for address in node["status"]["addresses"]}
    role = "node-role.kubernetes.io/"
    roles = sorted(label[len(role) :] for label in node["metadata"]["labels"] if label.startswith(role))
    return [
        node["metadata"]["name"],
        "Ready" if ready["status"] == "True" else "NotReady",
        ",".join(roles) or NONE,
        _age(node, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _deployment(deployment: Object, now: datetime.datetime) -> list[str]:
    spec, status = deployment["spec"], deployment["status"]
    containers = spec["template"]["spec"]["containers"]
    return [
        deployment["metadata"]["name"],
        f"{status['readyReplicas']}/{spec['replicas']}",
        str(status["updatedReplicas"]),
        str(status["availableReplicas"]),
        _age(deployment, now),
        ",".join(container["name"] for container in containers),
        ",".join(container["image"] for container in containers),
        ",".join(f"{key}={value}" for key, value in sorted(spec["selector"]["matchLabels"].items())),
    ]


def _namespace(namespace: Object, now: datetime.datetime) -> list[str]:
    return [namespace["metadata"]["name"], namespace["status"]["phase"], _age(namespace, now)]


KINDS = {
    "pods": Kind(
        "pods",
        "pod",
        True,
        ("NAME", "READY", "STATUS", "RESTARTS", "AGE"),
        ("IP", "NODE", "NOMINATED NODE", "READINESS GATES"),
        _pod,
    ),
    "nodes": Kind(
        "nodes",
        "node",
        False,
        ("NAME", "STATUS", "ROLES", "AGE", "VERSION"),
        ("INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"),
        _node,
    ),
    "deployments": Kind(
        "deployments.apps",
        "deployment.apps",
        True,
        ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        ("CONTAINERS", "IMAGES", "SELECTOR"),
        _deployment,
    ),
    "namespaces": Kind("namespaces", "namespace", False, ("NAME", "STATUS", "AGE"), (), _namespace),
}
ALIASES = {
    **{alias: "pods" for alias in ("pods", "pod", "po")},
    **{alias: "nodes" for alias in ("nodes", "node", "no")},
    **{
        alias: "deployments" for alias in ("deployments", "deployment", "deploy", "deployments.apps", "deployment.apps")
    },
    **{alias: "namespaces" for alias in ("namespaces", "namespace", "ns")},
}


def _age(item: Object, now: datetime.datetime) -> str:
    created = item["metadata"].get("creationTimestamp")
    return _since(created, now) if created else UNKNOWN


def _since(timestamp: str, now: datetime.datetime) -> str:
    then = datetime.datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return human_duration((now - then).total_seconds())


def human_duration(duration: float) -> str:
    """Seconds as kubectl tells an age: 90s, 5m30s, 2h5m, 3d4h, 2y10d; the longer, the coarser."""
    seconds = int(duration)
    if seconds < 0:
        # Clocks of two machines differ a little; more than that is an error worth seeing.
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _pair(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _pair(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(major: int, unit: str, minor: int, smaller: str) -> str:
    return f"{major}{unit}{minor}{smaller}" if minor else f"{major}{unit}"

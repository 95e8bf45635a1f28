"""The columns of each kind, as Kubernetes' printers have them. Pure.

pkg/printers/internalversion/printers.go of release 1.30: a Job has no STATUS yet.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from .table import NONE, UNKNOWN, Kind, Object, age, human_duration, joined, moment, since

# --- pods -----------------------------------------------------------------------------------------


def _pod(pod: Object, now: datetime.datetime) -> list[str]:
    status = pod["status"]
    return [
        pod["metadata"]["name"],
        pod_ready(pod),
        pod_status(pod),
        _restarts(pod, now),
        age(pod, now),
        status.get("podIP", NONE),
        pod["spec"].get("nodeName", NONE),
        NONE,
        NONE,
    ]


def _sidecars(pod: Object) -> list[str]:
    """Init containers that run beside the others: they count wherever those do."""
    return [item["name"] for item in pod["spec"].get("initContainers", []) if item.get("restartPolicy") == "Always"]


def pod_ready(pod: Object) -> str:
    """The READY column."""
    sidecars = _sidecars(pod)
    init, main = _statuses(pod)
    counted = [status for status in init if status["name"] in sidecars]
    if not _is_initializing(pod):
        counted += [status for status in main if "running" in status["state"]]
    return f"{sum(status['ready'] for status in counted)}/{len(pod['spec']['containers']) + len(sidecars)}"


def pod_status(pod: Object) -> str:
    """The STATUS column: the phase, unless a container has a better story to tell.

    A pod that was ended as a whole has the reason for that (kubectl's column would have its containers' ``Error``).
    """
    reason = pod["status"].get("reason")
    if reason and (pod["status"]["phase"] == "Failed" or reason == "Rebooted"):
        return str(reason)
    words: str = pod["status"]["phase"]
    _, main = _statuses(pod)
    if story := _holding_up(pod):
        words = f"Init:{story}"
    if not _is_initializing(pod):
        for status in reversed(main):
            words = _reason(status["state"]) or words
        if words == "Completed" and any("running" in item["state"] and item["ready"] for item in main):
            # Some of its containers have done their work, the others still run.
            return "Running" if _condition(pod, "Ready") else "NotReady"
    return words


def _is_initializing(pod: Object) -> bool:
    """Once a pod was initialized, its sidecars may die without taking it back to where it began."""
    return bool(_holding_up(pod)) and not _condition(pod, "Initialized")


def _holding_up(pod: Object) -> str:
    """What the first init container that is not done yet tells, in words that follow ``Init:``."""
    init, _ = _statuses(pod)
    sidecars = _sidecars(pod)
    for at, status in enumerate(init):
        state = status["state"]
        is_done = state.get("terminated", {}).get("exitCode") == 0
        if is_done or (status["name"] in sidecars and status.get("started")):
            continue
        reason = _reason(state)
        return reason if reason and reason != "PodInitializing" else f"{at}/{len(pod['spec']['initContainers'])}"
    return ""


def _reason(state: Object) -> str:
    """Why a container does not run; its end in numbers where nobody has given it a name."""
    if "waiting" in state:
        return str(state["waiting"].get("reason", ""))
    if "terminated" not in state:
        return ""
    end = state["terminated"]
    number = f"Signal:{end['signal']}" if end.get("signal") else f"ExitCode:{end['exitCode']}"
    return str(end.get("reason") or number)


def _restarts(pod: Object, now: datetime.datetime) -> str:
    """Of init containers while they are at work, of all that runs on later."""
    init, main = _statuses(pod)
    if _is_initializing(pod):
        counted = list(init)
    else:
        sidecars = _sidecars(pod)
        counted = [*main, *(status for status in init if status["name"] in sidecars)]
    restarts = sum(status["restartCount"] for status in counted)
    ends = [status["lastState"]["terminated"]["finishedAt"] for status in counted if status["lastState"]]
    return f"{restarts} ({since(max(ends), now)} ago)" if restarts and ends else str(restarts)


def _statuses(pod: Object) -> tuple[Sequence[Object], Sequence[Object]]:
    status = pod["status"]
    return status.get("initContainerStatuses", []), status.get("containerStatuses", [])


def _condition(pod: Object, name: str) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == name and condition["status"] == "True" for condition in conditions)


# --- workloads ------------------------------------------------------------------------------------


def _deployment(item: Object, now: datetime.datetime) -> list[str]:
    spec, status = item["spec"], item["status"]
    return [
        item["metadata"]["name"],
        f"{status['readyReplicas']}/{spec['replicas']}",
        str(status["updatedReplicas"]),
        str(status["availableReplicas"]),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def _replicaset(item: Object, now: datetime.datetime) -> list[str]:
    status = item["status"]
    return [
        item["metadata"]["name"],
        str(item["spec"]["replicas"]),
        str(status["replicas"]),
        str(status["readyReplicas"]),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def _statefulset(item: Object, now: datetime.datetime) -> list[str]:
    ready = f"{item['status']['readyReplicas']}/{item['spec']['replicas']}"
    return [item["metadata"]["name"], ready, age(item, now), *_template(item)]


def _daemonset(item: Object, now: datetime.datetime) -> list[str]:
    status = item["status"]
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [
        item["metadata"]["name"],
        *(str(status[count]) for count in counts),
        str(status["numberAvailable"]),
        joined(item["spec"]["template"]["spec"].get("nodeSelector", {})),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def _job(item: Object, now: datetime.datetime) -> list[str]:
    spec, status = item["spec"], item["status"]
    duration = ""
    if start := status.get("startTime"):
        ended = status.get("completionTime")
        duration = human_duration(((moment(ended) if ended else now) - moment(start)).total_seconds())
    return [
        item["metadata"]["name"],
        f"{status['succeeded']}/{spec['completions']}",
        duration,
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def _template(item: Object) -> list[str]:
    containers = item["spec"]["template"]["spec"]["containers"]
    return [",".join(container[key] for container in containers) for key in ("name", "image")]


def _selector(item: Object) -> str:
    return selector_text(item["spec"].get("selector") or {})


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector in one line, as metav1.FormatLabelSelector writes it."""
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for term in selector.get("matchExpressions", []):
        values = f"({','.join(sorted(term.get('values', [])))})"
        words = {"Exists": term["key"], "DoesNotExist": f"!{term['key']}"}
        terms.append(words.get(term["operator"], f"{term['key']} {term['operator'].lower()} {values}"))
    return ",".join(sorted(terms)) or NONE


# --- services -------------------------------------------------------------------------------------


def _service(item: Object, now: datetime.datetime) -> list[str]:
    spec = item["spec"]
    ports = [
        f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port['protocol']}"
        for port in spec.get("ports", [])
    ]
    return [
        item["metadata"]["name"],
        spec["type"],
        spec.get("clusterIP") or NONE,
        _external_ip(item),
        ",".join(ports) or NONE,
        age(item, now),
        joined(spec.get("selector") or {}),
    ]


def _external_ip(item: Object) -> str:
    spec = item["spec"]
    if spec["type"] == "ExternalName":
        return str(spec["externalName"])
    own = list(spec.get("externalIPs") or [])
    if spec["type"] == "LoadBalancer":
        ingress = item["status"]["loadBalancer"].get("ingress", [])
        own = [*sorted({one.get("ip") or one["hostname"] for one in ingress}), *own]
        return ",".join(own) or "<pending>"
    return ",".join(own) or NONE


MOST_SHOWN = 3


def some(words: Sequence[str], empty: str) -> str:
    """The first three, and how many more there are."""
    more = len(words) - MOST_SHOWN
    return (",".join(words[:MOST_SHOWN]) or empty) + (f" + {more} more..." if more > 0 else "")


def _endpoints(item: Object, now: datetime.datetime) -> list[str]:
    """kubectl shows those that are ready, and of the others nothing; here ``-o wide`` does."""
    return [
        item["metadata"]["name"],
        some(_addresses(item, "addresses"), NONE),
        age(item, now),
        some(_addresses(item, "notReadyAddresses"), NONE),
    ]


def _addresses(item: Object, field: str) -> list[str]:
    return [
        f"{address['ip']}:{port['port']}" if port else address["ip"]
        for subset in item.get("subsets") or []
        for port in subset.get("ports") or [None]
        for address in subset.get(field) or []
    ]


def _endpointslice(item: Object, now: datetime.datetime) -> list[str]:
    ports = [str(port["port"]) if port.get("port") else port.get("name") or "*" for port in item.get("ports") or []]
    addresses = [address for endpoint in item.get("endpoints") or [] for address in endpoint["addresses"]]
    return [
        item["metadata"]["name"],
        item["addressType"],
        some(ports, "<unset>"),
        some(addresses, "<unset>"),
        age(item, now),
    ]


# --- all others -----------------------------------------------------------------------------------


def _node(node: Object, now: datetime.datetime) -> list[str]:
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


def _namespace(item: Object, now: datetime.datetime) -> list[str]:
    return [item["metadata"]["name"], item["status"]["phase"], age(item, now)]


def _configmap(item: Object, now: datetime.datetime) -> list[str]:
    data = {**(item.get("data") or {}), **(item.get("binaryData") or {})}
    return [item["metadata"]["name"], str(len(data)), age(item, now)]


def _secret(item: Object, now: datetime.datetime) -> list[str]:
    return [item["metadata"]["name"], item["type"], str(len(item.get("data", {}))), age(item, now)]


TEMPLATE = ("CONTAINERS", "IMAGES", "SELECTOR")
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
    "daemonsets": Kind(
        "daemonsets.apps",
        "daemonset.apps",
        True,
        ("NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"),
        TEMPLATE,
        _daemonset,
    ),
    "deployments": Kind(
        "deployments.apps",
        "deployment.apps",
        True,
        ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        TEMPLATE,
        _deployment,
    ),
    "replicasets": Kind(
        "replicasets.apps",
        "replicaset.apps",
        True,
        ("NAME", "DESIRED", "CURRENT", "READY", "AGE"),
        TEMPLATE,
        _replicaset,
    ),
    "statefulsets": Kind(
        "statefulsets.apps", "statefulset.apps", True, ("NAME", "READY", "AGE"), TEMPLATE[:2], _statefulset
    ),
    "jobs": Kind("jobs.batch", "job.batch", True, ("NAME", "COMPLETIONS", "DURATION", "AGE"), TEMPLATE, _job),
    "services": Kind(
        "services",
        "service",
        True,
        ("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
        ("SELECTOR",),
        _service,
    ),
    "endpoints": Kind("endpoints", "endpoints", True, ("NAME", "ENDPOINTS", "AGE"), ("NOT READY",), _endpoints),
    "endpointslices": Kind(
        "endpointslices.discovery.k8s.io",
        "endpointslice.discovery.k8s.io",
        True,
        ("NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"),
        (),
        _endpointslice,
    ),
    "configmaps": Kind("configmaps", "configmap", True, ("NAME", "DATA", "AGE"), (), _configmap),
    "secrets": Kind("secrets", "secret", True, ("NAME", "TYPE", "DATA", "AGE"), (), _secret),
    "namespaces": Kind("namespaces", "namespace", False, ("NAME", "STATUS", "AGE"), (), _namespace),
}
SHORT = {
    "po": "pods",
    "no": "nodes",
    "ds": "daemonsets",
    "deploy": "deployments",
    "rs": "replicasets",
    "sts": "statefulsets",
    "svc": "services",
    "ep": "endpoints",
    "cm": "configmaps",
    "ns": "namespaces",
}
# What belongs to the category ``all``, in the order in which the API server tells of them.
ALL = ("pods", "services", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs")
# Word for a kind -> its plural: pods, pod, po; deployments, deployment, deploy, deployments.apps, deployment.apps.
ALIASES = {
    **{alias: plural for plural, kind in KINDS.items() for alias in (plural, plural[:-1], kind.plural, kind.prefix)},
    **SHORT,
}

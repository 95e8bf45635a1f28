"""Commands that work with what stands: what ``./lab up`` says in the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from podlab.planner.services.model import OPT_OUT

from ..look import objects


def suggestions(pods: Sequence[objects.Object], services: Sequence[objects.Object], hosts: Sequence[str]) -> list[str]:
    """Three commands that work with what stands: where a Service leads to a pod, they are about that."""
    ready = [pod for pod in pods if objects.is_ready(pod)]
    if not ready:
        return ["get pods -A", f"node {hosts[0]} -- ip route", "--help"]
    # From the pod that is easiest to name to one on another node, if there is one.
    caller = min(
        ready, key=lambda pod: ("ownerReferences" in pod["metadata"], -len(_word(pod)) if _is_toolbox(pod) else 0)
    )
    others = [pod for pod in ready if pod is not caller] or [caller]
    other = max(
        others, key=lambda pod: (_serves(pod) is not None, pod["spec"]["nodeName"] != caller["spec"]["nodeName"])
    )
    node, address, serving = caller["spec"]["nodeName"], other["status"]["podIP"], _serves(other)
    route = f"node {node} -- ip route get {address}"
    if serving is None:
        return [f"exec {_word(caller)} -- ping -c 3 {address}", route, f"logs -f {_word(other)}"]
    if way := _way(services, other, serving):
        service, port = way
        call = f"exec {_word(caller)} -- {_curl(service['spec']['clusterIP'], port)}"
        return [call, f"rules {node} {_word(service)}", route]
    call = f"exec {_word(caller)} -- {_curl(address, int(serving['containerPort']))}"
    return [call, route, f"logs -f {_word(other)}"]


def _curl(address: str, port: int) -> str:
    return f"curl -s http://{address}{'' if port == 80 else f':{port}'}/clientip"


def _way(
    services: Sequence[objects.Object], pod: objects.Object, serving: objects.Object
) -> tuple[objects.Object, int] | None:
    """The first Service that leads to a port of a pod from a cluster IP, and its port there."""
    labels = pod["metadata"].get("labels", {})
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        selector = spec.get("selector") or {}
        if (
            spec.get("clusterIP", "None") == "None"
            or any(label in metadata.get("labels", {}) for label in OPT_OUT)
            or metadata["namespace"] != pod["metadata"]["namespace"]
            or not selector
            or not selector.items() <= labels.items()
        ):
            continue
        for port in spec["ports"]:
            target = port.get("targetPort", port["port"])
            if port["protocol"] == "TCP" and target in (serving.get("name"), serving["containerPort"]):
                return service, int(port["port"])
    return None


def _word(item: objects.Object) -> str:
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    return name if namespace == "default" else f"-n {namespace} {name}"


def _is_toolbox(pod: objects.Object) -> bool:
    return any("netshoot" in container.get("image", "") for container in pod["spec"]["containers"])


def _serves(pod: objects.Object) -> objects.Object | None:
    """The port of agnhost's web server, as its container has it, if it says so itself."""
    for container in pod["spec"]["containers"]:
        if "agnhost" in container.get("image", "") and "netexec" in container.get("args", []):
            for port in container.get("ports", []):
                if port.get("protocol", "TCP") == "TCP":
                    return dict(port)
    return None

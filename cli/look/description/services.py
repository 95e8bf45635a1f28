"""A Service. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .. import objects, services
from ..columns.services import some
from ..columns.workloads import selector_text
from ..objects import Object
from ..table import NONE
from . import fields


def service(state: objects.State, item: Object) -> fields.Lines:
    metadata, spec = item["metadata"], item["spec"]
    own = [
        found
        for found in services.endpointslices(state)
        if found["metadata"]["namespace"] == metadata["namespace"]
        and found["metadata"].get("labels", {}).get("kubernetes.io/service-name") == metadata["name"]
    ]
    ingress = [
        f"{at.get('ip') or at.get('hostname', '')}{' (' + at['ipMode'] + ')' if at.get('ipMode') else ''}"
        for at in item["status"]["loadBalancer"].get("ingress", [])
    ]
    told = {
        "External IPs": ",".join(spec.get("externalIPs") or []),
        "Desired LoadBalancer IP": spec.get("loadBalancerIP"),
        "External Name": spec.get("externalName"),
        "LoadBalancer Ingress": ", ".join(ingress),
    }
    more = {
        "External Traffic Policy": spec.get("externalTrafficPolicy"),
        "Internal Traffic Policy": spec.get("internalTrafficPolicy"),
        "Traffic Distribution": spec.get("trafficDistribution"),
        "HealthCheck NodePort": spec.get("healthCheckNodePort"),
        "LoadBalancer Source Ranges": ",".join(spec.get("loadBalancerSourceRanges") or []),
    }
    return [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        *fields.label_lines("Labels", metadata.get("labels")),
        *fields.annotation_lines(metadata.get("annotations")),
        f"Selector:\t{selector_text({'matchLabels': spec.get('selector') or {}})}",
        f"Type:\t{spec['type']}",
        *([f"IP Family Policy:\t{spec['ipFamilyPolicy']}"] if spec.get("ipFamilyPolicy") else []),
        f"IP Families:\t{','.join(spec.get('ipFamilies') or []) or NONE}",
        f"IP:\t{spec.get('clusterIP', '')}",
        f"IPs:\t{','.join(spec.get('clusterIPs') or []) or NONE}",
        *(f"{head}:\t{value}" for head, value in told.items() if value),
        *(line for port in spec.get("ports") or [] for line in _service_port(port, own)),
        f"Session Affinity:\t{spec['sessionAffinity']}",
        *(f"{head}:\t{value}" for head, value in more.items() if value),
        f"Events:\t{NONE}",
    ]


def _service_port(port: Object, slices: Sequence[Object]) -> fields.Lines:
    """As kubectl has it, pods that have none of the Service's ports stand at each of them, without a number."""
    name, protocol = port.get("name") or "<unset>", port["protocol"]
    ready = [
        f"{endpoint['addresses'][0]}{number}"
        for part in slices
        for number in _numbers(part.get("ports") or [], port.get("name", ""))
        for endpoint in part.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    return [
        f"Port:\t{name}\t{port['port']}/{protocol}",
        f"TargetPort:\t{port['targetPort']}/{protocol}",
        *([f"NodePort:\t{name}\t{port['nodePort']}/{protocol}"] if port.get("nodePort") else []),
        f"Endpoints:\t{some(ready, '')}",
    ]


def _numbers(ports: Sequence[Object], name: str) -> list[str]:
    """What is written behind an address of a slice with these ports, for the Service's port of that name."""
    if not ports:
        return [""]
    return [f":{port['port']}" for port in ports if port.get("name", "") == name and port.get("port")]

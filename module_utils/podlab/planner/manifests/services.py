"""Services as they are written (``ValidateService`` of Kubernetes 1.30, with the defaults of the API server).

Which addresses and ports a Service is given, and what only the cluster knows to be wrong, is for
``services/addresses.py``.
"""

from __future__ import annotations

from ..services.model import EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT, Service, ServicePort
from . import fields, names
from .reading import Field, labels_of
from .service_addresses import (
    ONLY_BALANCED,
    Ignore,
    cluster_ip_of,
    external_ips_of,
    ingress_of,
    load_balancer_ip_of,
    source_ranges_of,
)

TYPES = ("ClusterIP", EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
PROTOCOLS = ("SCTP", "TCP", "UDP")
POLICIES = ("Cluster", "Local")
BAD_PORT = "must be between 1 and 65535, inclusive"

# Asks the endpoint controller to share endpoints out among zones. Hints of one's own are taken.
TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")

_KUBELET_PORT = 10250
_DEFAULT_TIMEOUT = 10800
_LONGEST_TIMEOUT = 86400


def service(root: Field, name: str, namespace: str, where: str, ignore: Ignore) -> Service:
    """One Service; ``name`` has been checked already."""
    spec = root["spec"]
    kind = spec["type"].one_of(TYPES)
    cluster_ip = cluster_ip_of(spec, kind)
    if spec["ports"].absent and cluster_ip != HEADLESS and kind != EXTERNAL_NAME:
        spec["ports"].required()
    _check_type(spec, kind, cluster_ip)
    ports = _ports(spec["ports"], kind)
    external_ips = external_ips_of(spec["externalIPs"], ignore)
    own_labels = labels_of(root["metadata"]["labels"])
    annotations = root["metadata"]["annotations"].mapping()
    for annotation in TOPOLOGY:
        if annotation in annotations:
            ignore(f"metadata.annotations[{annotation}]")
    is_external = kind in (NODE_PORT, LOAD_BALANCER) or (kind == "ClusterIP" and not spec["externalIPs"].absent)
    external_local = _external_policy(spec["externalTrafficPolicy"], is_external) == "Local"
    return Service(
        namespace=namespace,
        name=name,
        where=where,
        type=kind,
        ports=ports,
        selector=labels_of(spec["selector"]),
        cluster_ip=cluster_ip,
        external_ips=external_ips,
        ingress=ingress_of(root["status"], kind, ignore),
        load_balancer_class=spec["loadBalancerClass"].text() if kind == LOAD_BALANCER else "",
        load_balancer_ip=load_balancer_ip_of(spec["loadBalancerIP"], kind),
        source_ranges=source_ranges_of(spec, kind, ignore),
        allocates_node_ports=_allocates_node_ports(spec["allocateLoadBalancerNodePorts"], kind),
        external_local=external_local,
        internal_local=spec["internalTrafficPolicy"].one_of(POLICIES) == "Local",
        affinity_seconds=_affinity_seconds(spec),
        health_check_node_port=_health_check_node_port(
            spec["healthCheckNodePort"], kind == LOAD_BALANCER and external_local
        ),
        publishes_not_ready=spec["publishNotReadyAddresses"].boolean(),
        prefers_close=_prefers_close(spec["trafficDistribution"]),
        labels=own_labels,
        body=root.mapping(),
    )


def _check_type(spec: Field, kind: str, cluster_ip: str) -> None:
    """What goes with one type and not with another."""
    if kind == LOAD_BALANCER:
        for item in spec["ports"].items():
            if item["port"].value == _KUBELET_PORT:
                item.invalid(
                    f"may not expose port {_KUBELET_PORT} externally since it is used by kubelet", _KUBELET_PORT
                )
    if kind in (LOAD_BALANCER, NODE_PORT) and cluster_ip == HEADLESS:
        first = spec["clusterIPs"].holding([HEADLESS]).items()[0]
        first.invalid(f"may not be set to 'None' for {kind} services")
    if kind == EXTERNAL_NAME:
        target = spec["externalName"].text().removesuffix(".")
        if target:
            spec["externalName"].check(names.dns1123_subdomain(target), target)
        else:
            spec["externalName"].required()
    if kind == LOAD_BALANCER:
        if spec["loadBalancerClass"].given:
            spec["loadBalancerClass"].check(names.qualified_name(spec["loadBalancerClass"].text()))
    elif spec["loadBalancerClass"].given:
        spec["loadBalancerClass"].forbidden(ONLY_BALANCED)


# --- ports ----------------------------------------------------------------------------------------------


def _ports(node: Field, kind: str) -> tuple[ServicePort, ...]:
    items = node.items()
    seen: set[str] = set()
    made = [_port(item, len(items) > 1, seen) for item in items]
    for item, port in zip(items, made, strict=True):
        if kind == "ClusterIP" and port.node_port:
            item["nodePort"].forbidden("may not be used when `type` is 'ClusterIP'")
    taken: set[tuple[str, str, int]] = set()
    for item, port in zip(items, made, strict=True):
        if port.node_port and ("node", port.protocol, port.node_port) in taken:
            item["nodePort"].duplicate()
        if ("", port.protocol, port.port) in taken:
            item.duplicate(_go_port(port))
        taken |= {("node", port.protocol, port.node_port), ("", port.protocol, port.port)}
    return tuple(made)


def _port(node: Field, needs_name: bool, seen: set[str]) -> ServicePort:
    name = node["name"].text()
    if needs_name and node["name"].absent:
        node["name"].required()
    elif name:
        node["name"].check(names.dns1123_label(name))
        if name in seen:
            node["name"].duplicate()
        seen.add(name)
    number = node["port"].integer(1)
    if node["port"].value is None:
        node["port"].required()
    else:
        _check_port(node["port"], number)
    app_protocol = node["appProtocol"].text()
    if app_protocol:
        node["appProtocol"].check(names.qualified_name(app_protocol))
    return ServicePort(
        port=number,
        protocol=node["protocol"].one_of(PROTOCOLS, "TCP"),
        name=name,
        target=_target(node["targetPort"], number),
        node_port=node["nodePort"].integer(0),
        app_protocol=app_protocol,
    )


def _check_port(node: Field, number: int) -> None:
    if not 1 <= number <= 65535:
        node.invalid(BAD_PORT, number)


def _target(node: Field, port: int) -> int | str:
    """A number or a name; nothing, 0 and an empty name are the Service's own port."""
    target = node.number_or_text() or port
    if isinstance(target, str):
        node.check(names.port_name(target))
        return target
    if node.given and target != port:
        _check_port(node, int(target))
    return int(target)


def _go_port(port: ServicePort) -> fields.GoText:
    return fields.GoText(
        f'core.ServicePort{{Name:"", Protocol:{fields.show(port.protocol)}, AppProtocol:(*string)(nil), '
        f'Port:{port.port}, TargetPort:intstr.IntOrString{{Type:0, IntVal:0, StrVal:""}}, NodePort:0}}'
    )


def _allocates_node_ports(node: Field, kind: str) -> bool:
    if node.given and kind != LOAD_BALANCER:
        node.forbidden(ONLY_BALANCED)
    return node.boolean(True)


def _health_check_node_port(node: Field, is_needed: bool) -> int:
    port = node.integer(0)
    if port and not is_needed:
        node.invalid("may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
        return 0
    if port:
        _check_port(node, port)
    return port if 1 <= port <= 65535 else 0


# --- policies -------------------------------------------------------------------------------------------


def _external_policy(node: Field, is_external: bool) -> str:
    if not is_external:
        if node.text():
            node.invalid("may only be set for externally-accessible services")
        return ""
    return node.one_of(POLICIES)


def _prefers_close(node: Field) -> bool:
    """``PreferClose`` is the older word for ``PreferSameZone``."""
    wanted = node.one_of(("PreferClose", "PreferSameNode", "PreferSameZone"), "")
    if wanted == "PreferSameNode":
        node.refuse("use PreferSameZone, or internalTrafficPolicy: Local")
    return wanted != ""


def _affinity_seconds(spec: Field) -> int:
    affinity, config = spec["sessionAffinity"].one_of(("ClientIP", "None"), "None"), spec["sessionAffinityConfig"]
    if affinity == "None" and config.given:
        config.forbidden("must not be set when session affinity is None")
    if affinity != "ClientIP":
        return 0
    timeout = config["clientIP"]["timeoutSeconds"]
    seconds = timeout.integer(_DEFAULT_TIMEOUT)
    if not 0 < seconds <= _LONGEST_TIMEOUT:
        # The words say "less than", and the API server takes the last second all the same.
        timeout.invalid(f"must be greater than 0 and less than {_LONGEST_TIMEOUT}")
    return seconds

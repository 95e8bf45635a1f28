"""Services as they are written (``ValidateService`` of Kubernetes 1.30, with the defaults of the API server).

Which addresses and ports a Service is given, and what only the cluster knows to be wrong, is for
``services/addresses.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from ..services.model import EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT, Ingress, Service, ServicePort
from . import fields, ip_parsing, names
from .reading import Node, labels_of

Ignore = Callable[[str], None]
"""Takes the path of what has no meaning here."""

TYPES = ("ClusterIP", EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
PROTOCOLS = ("SCTP", "TCP", "UDP")
POLICIES = ("Cluster", "Local")
FAMILIES = ("IPv4", "IPv6")
BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
BAD_PORT = "must be between 1 and 65535, inclusive"

# Asks the endpoint controller to share endpoints out among zones. Hints of one's own are taken.
TOPOLOGY = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")

_BAD_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_ONLY_BALANCED = "may only be used when `type` is 'LoadBalancer'"
_KUBELET_PORT = 10250
_DEFAULT_TIMEOUT = 10800
_LONGEST_TIMEOUT = 86400


def service(root: Node, name: str, namespace: str, where: str, ignore: Ignore) -> Service:
    """One Service; ``name`` has been checked already."""
    spec = root["spec"]
    kind = spec["type"].one_of(TYPES)
    cluster_ip = _cluster_ip(spec, kind)
    if spec["ports"].absent and cluster_ip != HEADLESS and kind != EXTERNAL_NAME:
        spec["ports"].required()
    _check_type(spec, kind, cluster_ip)
    ports = _ports(spec["ports"], kind)
    external_ips = _external_ips(spec["externalIPs"], ignore)
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
        ingress=_ingress(root["status"], kind, ignore),
        load_balancer_class=spec["loadBalancerClass"].text() if kind == LOAD_BALANCER else "",
        load_balancer_ip=_load_balancer_ip(spec["loadBalancerIP"], kind),
        source_ranges=_source_ranges(spec, kind, ignore),
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


def _check_type(spec: Node, kind: str, cluster_ip: str) -> None:
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
        spec["loadBalancerClass"].forbidden(_ONLY_BALANCED)


# --- ports ----------------------------------------------------------------------------------------------


def _ports(node: Node, kind: str) -> tuple[ServicePort, ...]:
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


def _port(node: Node, needs_name: bool, seen: set[str]) -> ServicePort:
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


def _check_port(node: Node, number: int) -> None:
    if not 1 <= number <= 65535:
        node.invalid(BAD_PORT, number)


def _target(node: Node, port: int) -> int | str:
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


# --- addresses ------------------------------------------------------------------------------------------


def _cluster_ip(spec: Node, kind: str) -> str:
    """``clusterIP`` and ``clusterIPs``, which say the same, and the families of both.

    ``ValidateServiceClusterIPsRelatedFields``, then what the allocator says of families (``initIPFamilyFields``).
    """
    if not any(spec[name].given for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")):
        return ""
    one, written = spec["clusterIP"].text(), spec["clusterIPs"]
    ips = written.texts() or ((one,) if one else ())
    many = written.holding(list(ips))
    families, policy = spec["ipFamilies"], spec["ipFamilyPolicy"]
    if kind == EXTERNAL_NAME:
        for node in (many, families, policy):
            if not node.absent:
                node.forbidden("may not be set for ExternalName services")
        return ""
    shown = fields.go_strings(ips)
    if one and ips[0] != one:
        many.invalid("first value must match `clusterIP`", shown)
    elif ips and not one:
        many.invalid("must be empty when `clusterIP` is not specified", shown)
    wanted = _families(families)
    policy.one_of(("PreferDualStack", "RequireDualStack", "SingleStack"), "SingleStack")
    found = _addresses_of(many, shown)
    if found is None:
        return ""
    for index, (item, ip, family) in enumerate(zip(many.items(), found, wanted, strict=False)):
        if ip is not None and family in FAMILIES and family != f"IPv{ip.version}":
            item.invalid(f"expected an {family} value as indicated by `ipFamilies[{index}]`")
    is_headless = ips[:1] == (HEADLESS,)
    _check_stack(spec, many, found, is_headless and spec["selector"].absent)
    if is_headless:
        return HEADLESS
    first = found[0] if found else None
    return str(first) if isinstance(first, IPv4Address) else ""


def _families(node: Node) -> list[str]:
    seen: list[str] = []
    for item in node.items():
        family = item.text()
        if family not in FAMILIES:
            item.unsupported(family, FAMILIES)
        if family in seen:
            item.duplicate()
        seen.append(family)
    return seen


def _addresses_of(many: Node, shown: fields.GoText) -> list[ip_parsing.Address | None] | None:
    """The addresses of ``clusterIPs``; None in the place of 'None', and for all of them where one is wrong."""
    found: list[ip_parsing.Address | None] = []
    sound = True
    items = many.items()
    for index, item in enumerate(items):
        if index == 0 and item.text() == HEADLESS:
            if len(items) > 1:
                many.invalid("'None' must be the first and only value", shown)
                sound = False
            found.append(None)
            continue
        found.append(ip_parsing.address(item.text()))
        if found[-1] is None:
            item.invalid(BAD_IP)
            sound = False
    if len(items) > 2:
        many.invalid("may only hold up to 2 values", shown)
    if not sound:
        return None
    if len(items) > 1 and {ip.version for ip in found if ip} != {4, 6}:
        many.invalid("may specify no more than one IP for each IP family", shown)
    return found


def _check_stack(spec: Node, many: Node, found: list[ip_parsing.Address | None], may_be_dual: bool) -> None:
    """The lab is IPv4; a headless Service without selector may say what it likes."""
    families, policy = spec["ipFamilies"], spec["ipFamilyPolicy"]
    stack = policy.text() or "SingleStack"
    wrong = False
    if policy.text() in ("", "SingleStack"):
        for count, what in ((len(found), "cluster IPs"), (len(families.items()), "IP families")):
            if count == 2:
                words = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
                policy.invalid(words, stack)
                wrong = True
    for item, ip in list(zip(many.items(), found, strict=True))[len(families.items()) :]:
        if ip is not None and ip.version == 6:
            item.invalid("IPv6 is not configured on this cluster", fields.go_strings(many.texts()))
            wrong = True
    if wrong or may_be_dual:
        return
    if stack == "RequireDualStack":
        policy.invalid("this cluster is not configured for dual-stack services")
    for item in families.items():
        if item.text() == "IPv6":
            item.invalid("not configured on this cluster")


def _external_ips(node: Node, ignore: Ignore) -> tuple[str, ...]:
    found = []
    for item in node.items():
        ip = ip_parsing.address(item.text())
        if ip is None:
            item.invalid(BAD_IP)
            continue
        ip_parsing.check_usable(item, ip, item.text())
        if isinstance(ip, IPv4Address):
            found.append(str(ip))
        else:
            ignore("spec.externalIPs[*] of IPv6")
    return tuple(dict.fromkeys(found))


def _source_ranges(spec: Node, kind: str, ignore: Ignore) -> tuple[str, ...]:
    """Blanks around a range are allowed, because an annotation once held them all in one line."""
    if not spec["loadBalancerSourceRanges"].given:
        return ()
    ranges = spec["loadBalancerSourceRanges"].texts()
    # With the capital letter that it has in the API server's words.
    told = spec["LoadBalancerSourceRanges"].holding(list(ranges))
    if ranges and kind != LOAD_BALANCER:
        told.forbidden(_ONLY_BALANCED)
    found = []
    for item in told.items():
        text = item.text().strip()
        network = ip_parsing.network(text)
        if network is None:
            item.invalid(_BAD_CIDR, text)
        elif isinstance(network, IPv4Network):
            found.append(str(network))
        else:
            ignore("spec.loadBalancerSourceRanges[*] of IPv6")
    return tuple(dict.fromkeys(found))


# --- load balancers -------------------------------------------------------------------------------------


def _ingress(status: Node, kind: str, ignore: Ignore) -> tuple[Ingress, ...]:
    """Addresses that a load balancer was given elsewhere (``ValidateLoadBalancerStatus``)."""
    if not status.given:
        return ()
    node = status["loadBalancer"]["ingress"]
    items = node.items()
    if items and kind != LOAD_BALANCER:
        node.forbidden('may only be used when `spec.type` is "LoadBalancer"')
        return ()
    found = []
    for item in items:
        text, hostname, mode = item["ip"].text(), item["hostname"].text(), item["ipMode"].text()
        ip = ip_parsing.address(text)
        if text and ip is None:
            item["ip"].invalid("must be a valid IP address")
        if mode and not text:
            item["ipMode"].forbidden("may not be set when `ip` is not set")
        elif mode not in ("", "Proxy", "VIP"):
            item["ipMode"].unsupported(mode, ("Proxy", "VIP"))
        if hostname:
            item["hostname"].check(names.dns1123_subdomain(hostname))
            if ip_parsing.address(hostname):
                item["hostname"].invalid("must be a DNS name, not an IP address")
        if ip is not None and ip.version == 6:
            ignore("status.loadBalancer.ingress[*].ip of IPv6")
        elif ip is not None or hostname:
            found.append(Ingress(str(ip or ""), hostname, mode or "VIP"))
    return tuple(found)


def _load_balancer_ip(node: Node, kind: str) -> str:
    text = node.text()
    if not text or kind != LOAD_BALANCER:
        return ""
    ip = ip_parsing.address(text)
    if not isinstance(ip, IPv4Address):
        node.invalid("must be a valid IP address, (e.g. 10.9.8.7)")
        return ""
    return str(ip)


def _allocates_node_ports(node: Node, kind: str) -> bool:
    if node.given and kind != LOAD_BALANCER:
        node.forbidden(_ONLY_BALANCED)
    return node.boolean(True)


def _health_check_node_port(node: Node, is_needed: bool) -> int:
    port = node.integer(0)
    if port and not is_needed:
        node.invalid("may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
        return 0
    if port:
        _check_port(node, port)
    return port if 1 <= port <= 65535 else 0


# --- policies -------------------------------------------------------------------------------------------


def _external_policy(node: Node, is_external: bool) -> str:
    if not is_external:
        if node.text():
            node.invalid("may only be set for externally-accessible services")
        return ""
    return node.one_of(POLICIES)


def _prefers_close(node: Node) -> bool:
    """``PreferClose`` is the older word for ``PreferSameZone``."""
    wanted = node.one_of(("PreferClose", "PreferSameNode", "PreferSameZone"), "")
    if wanted == "PreferSameNode":
        node.refuse("use PreferSameZone, or internalTrafficPolicy: Local")
    return wanted != ""


def _affinity_seconds(spec: Node) -> int:
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

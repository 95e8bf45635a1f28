"""EndpointSlices and Endpoints as manifests have them.

The rules are those of Kubernetes' endpointslicemirroring controller (release 1.30), the words those of
``pkg/apis/discovery/validation`` and ``ValidateEndpoints``.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from ..manifests import ip_parsing, names
from ..manifests.reading import Field, labels_of
from ..manifests.service_addresses import BAD_IP, Ignore
from ..manifests.services import BAD_PORT, PROTOCOLS
from .model import BY_MIRROR, OPT_OUT, Endpoint, Endpoints, Slice, SlicePort
from .slices import parts, slice_name

SERVICE_NAME = "kubernetes.io/service-name"
_MOST_WRITTEN = 1000
_MOST_PORTS = 100
_UNMIRRORED = ("endpointslice.kubernetes.io/skip-mirror", "control-plane.alpha.kubernetes.io/leader")
_BAD_IPV4 = "must be a valid IPv4 address"


def endpoint_slice(root: Field, name: str, namespace: str, ignore: Ignore) -> Slice:
    """One EndpointSlice. One of another family is kept as it is written, and nobody's endpoints."""
    kind = root["addressType"]
    family = kind.text()
    if kind.absent:
        kind.required()
    elif family not in ("FQDN", "IPv4", "IPv6"):
        kind.unsupported(family, ("FQDN", "IPv4", "IPv6"))
    if family in ("FQDN", "IPv6"):
        ignore(f"addressType {family}")
    own_labels = labels_of(root["metadata"]["labels"])
    items = root["endpoints"].items()
    if len(items) > _MOST_WRITTEN:
        root["endpoints"].too_many(len(items), _MOST_WRITTEN)
    found = [_endpoint(item, family) for item in items]
    return Slice(
        namespace=namespace,
        name=name,
        service=own_labels.get(SERVICE_NAME, ""),
        ports=_slice_ports(root["ports"]),
        endpoints=tuple(endpoint for endpoint in found if endpoint),
        is_proxied=not any(label in own_labels for label in OPT_OUT),
        body=root.mapping(),
    )


def _endpoint(node: Field, family: str) -> Endpoint | None:
    addresses = node["addresses"].items()
    if not addresses:
        node["addresses"].required("must contain at least 1 address")
    elif len(addresses) > 100:
        node["addresses"].too_many(len(addresses), 100)
    ips = [_usable(item, family) for item in addresses]
    hostname = node["hostname"].text()
    if hostname:
        node["hostname"].check(names.dns1123_label(hostname))
    conditions = node["conditions"]
    ready = conditions["ready"].boolean(True)
    if not ips or ips[0] is None:
        return None
    return Endpoint(
        address=ips[0],  # kube-proxy takes no other one
        node=node["nodeName"].text(),
        ready=ready,
        # The API says that unknown is like ready; kube-proxy takes it for true.
        serving=conditions["serving"].boolean(True),
        terminating=conditions["terminating"].boolean(False),
        target=_target(node["targetRef"]),
        hostname=hostname,
        zone=node["zone"].text(),
        zones=tuple(item["name"].text() for item in node["hints"]["forZones"].items()),
    )


def _usable(node: Field, family: str) -> str | None:
    """The address in IPv4, or None for one that is none or is wrong."""
    text = node.text()
    if family != "IPv4":
        return None
    ip = ip_parsing.address(text)
    if not isinstance(ip, IPv4Address):
        node.invalid(_BAD_IPV4, text)
        return None
    ip_parsing.check_usable(node, ip, text)
    return str(ip)


def _target(node: Field) -> str:
    """Key of the pod that an endpoint is, if it says so."""
    return f"{node['namespace'].text()}/{node['name'].text()}" if node["kind"].text() == "Pod" else ""


def _slice_ports(node: Field) -> tuple[SlicePort, ...]:
    items = node.items()
    if len(items) > _MOST_PORTS:
        node.too_many(len(items), _MOST_PORTS)
    seen: set[str] = set()
    made = []
    for item in items:
        name = item["name"].text()
        if name:
            item["name"].check(names.dns1123_label(name))
        if name in seen:
            item["name"].duplicate(name)
        seen.add(name)
        made.append(_slice_port(item, name))
    return tuple(made)


def _slice_port(node: Field, name: str) -> SlicePort:
    app_protocol = node["appProtocol"].text()
    if app_protocol:
        node["appProtocol"].check(names.qualified_name(app_protocol))
    return SlicePort(node["port"].integer(0), node["protocol"].one_of(PROTOCOLS, "TCP"), name, app_protocol)


def written_endpoints(root: Field, name: str, namespace: str, ignore: Ignore) -> Endpoints:
    """One object of kind Endpoints, with the slices that stand for it: one for each set of ports."""
    metadata = root["metadata"]
    groups: dict[tuple[SlicePort, ...], dict[str, Endpoint]] = {}
    for subset in root["subsets"].items():
        if subset["addresses"].absent and subset["notReadyAddresses"].absent:
            subset.required("must specify `addresses` or `notReadyAddresses`")
        ports = tuple(_subset_port(item, subset["ports"]) for item in subset["ports"].items())
        group = groups.setdefault(ports, {})
        for field_, ready in (("addresses", True), ("notReadyAddresses", False)):
            for item in subset[field_].items():
                endpoint = _subset_address(item, ready, ignore)
                if endpoint:
                    group.setdefault(endpoint.address, endpoint)
    marks = {**metadata["labels"].mapping(), **metadata["annotations"].mapping()}
    mirrors = [] if marks.get(_UNMIRRORED[0]) == "true" or _UNMIRRORED[1] in marks else list(groups.items())
    taken: set[str] = set()
    slices = [
        Slice(namespace, slice_name(namespace, name, ports, index, taken), name, ports, part, BY_MIRROR)
        for ports, group in mirrors
        for index, part in enumerate(parts(group.values()))
    ]
    return Endpoints(namespace, name, tuple(slices), root.mapping())


def _subset_address(node: Field, ready: bool, ignore: Ignore) -> Endpoint | None:
    text, hostname, home = node["ip"].text(), node["hostname"].text(), node["nodeName"].text()
    ip = ip_parsing.address(text)
    if node["ip"].value is None:
        node["ip"].required()
    elif ip is None:
        node["ip"].invalid(BAD_IP, text)
    if hostname:
        node["hostname"].check(names.dns1123_label(hostname))
    if home:
        node["nodeName"].check(names.dns1123_subdomain(home))
    if ip is None:
        return None
    ip_parsing.check_usable(node["ip"], ip, text)
    if ip.version == 6:
        ignore("subsets of IPv6")
        return None
    # Nothing is said of serving, which kube-proxy takes for true.
    return Endpoint(str(ip), home, ready, target=_target(node["targetRef"]), hostname=hostname)


def _subset_port(node: Field, ports: Field) -> SlicePort:
    name = node["name"].text()
    if not name and len(ports.items()) > 1:
        node["name"].required()
    elif name:
        node["name"].check(names.dns1123_label(name))
    number = node["port"].integer(0)
    if node["port"].value is None:
        node["port"].required()
    elif not 1 <= number <= 65535:
        node["port"].invalid(BAD_PORT, number)
    return _slice_port(node, name)

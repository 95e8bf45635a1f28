"""Endpoints: which addresses stand behind a Service, and which of them are ready.

Three sources become one thing, EndpointSlices: pods that a Service selects, manifests of kind EndpointSlice, and
manifests of kind Endpoints of a Service without selector. The rules are those of Kubernetes' endpointslice and
endpointslicemirroring controllers (release 1.30), the words those of ``pkg/apis/discovery/validation`` and
``ValidateEndpoints``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from typing import Any

from ..inputs.host import Host
from ..manifests import ip_parsing, names
from ..manifests.names import short_hash
from ..manifests.reading import Node, labels_of
from ..manifests.services import BAD_IP, BAD_PORT, PROTOCOLS, Ignore
from ..model import Pod, Present
from .model import BY_MIRROR, BY_SELECTOR, EXTERNAL_NAME, OPT_OUT, Endpoint, Service, Slice, SlicePort, WrittenEndpoints

SERVICE_NAME = "kubernetes.io/service-name"
ZONE = "topology.kubernetes.io/zone"
MOST = 100
"""Endpoints in one slice that is made here, as the controllers have it."""

_MOST_WRITTEN = 1000
_MOST_PORTS = 100
_UNMIRRORED = ("endpointslice.kubernetes.io/skip-mirror", "control-plane.alpha.kubernetes.io/leader")
_BAD_IPV4 = "must be a valid IPv4 address"


# --- EndpointSlice --------------------------------------------------------------------------------------


def endpoint_slice(root: Node, name: str, namespace: str, ignore: Ignore) -> Slice:
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


def _endpoint(node: Node, family: str) -> Endpoint | None:
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


def _usable(node: Node, family: str) -> str | None:
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


def _target(node: Node) -> str:
    """Key of the pod that an endpoint is, if it says so."""
    return f"{node['namespace'].text()}/{node['name'].text()}" if node["kind"].text() == "Pod" else ""


def _slice_ports(node: Node) -> tuple[SlicePort, ...]:
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


def _slice_port(node: Node, name: str) -> SlicePort:
    app_protocol = node["appProtocol"].text()
    if app_protocol:
        node["appProtocol"].check(names.qualified_name(app_protocol))
    return SlicePort(node["port"].integer(0), node["protocol"].one_of(PROTOCOLS, "TCP"), name, app_protocol)


# --- Endpoints ------------------------------------------------------------------------------------------


def written_endpoints(root: Node, name: str, namespace: str, ignore: Ignore) -> WrittenEndpoints:
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
        Slice(namespace, _slice_name(namespace, name, ports, index, taken), name, ports, part, BY_MIRROR)
        for ports, group in mirrors
        for index, part in enumerate(_parts(group.values()))
    ]
    return WrittenEndpoints(namespace, name, tuple(slices), root.mapping())


def _subset_address(node: Node, ready: bool, ignore: Ignore) -> Endpoint | None:
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


def _subset_port(node: Node, ports: Node) -> SlicePort:
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


# --- pods -----------------------------------------------------------------------------------------------


class Stage(Enum):
    """Which moment of a run endpoints are those of."""

    NOW = "before its pods are made and taken away"
    NEXT = "when that is done"
    SETTLED = "when all of them are ready besides"


@dataclass(frozen=True)
class Backend:
    """A pod as a Service sees it. ``ports`` are those with a name: (name, protocol) -> number.

    One that is ``is_leaving`` and still ready serves whoever finds nobody else.
    """

    key: str
    address: str
    node: str
    zone: str
    is_ready: bool
    labels: Mapping[str, str]
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    hostname: str = ""
    subdomain: str = ""
    is_leaving: bool = False

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]


def backends(
    pods: Iterable[Pod],
    placed: Mapping[str, str],
    addresses: Mapping[str, str | None],
    present: Mapping[str, Present],
    nodes: Mapping[str, Host],
    stage: Stage = Stage.NOW,
    *,
    touches_pods: bool = True,
) -> list[Backend]:
    """Pods with an address. One that has ended is none, and one that is yet to be made is not ready.

    What is there and shall not be there (any more) is on its way out, as one that the API server has marked for
    deletion. Where this run does not get at it, it is what it was: nobody has begun to end it.

    :param present: the pods as this run found them. Whether a pod is ready is what that says.
    :param touches_pods: whether this run makes pods and takes them away; it may be asked for other chapters only.
    """

    def changes(node: str) -> bool:
        return touches_pods and node in nodes and nodes[node].is_managed

    found = []
    planned: set[str] = set()
    for pod in pods:
        planned.add(pod.key)
        home, address, one = placed.get(pod.key, ""), addresses.get(pod.key) or "", present.get(pod.key)
        if one is not None and one.node == home and _stays(one, pod, address):
            if _serves(one):
                found.append(_backend(pod, address, home, _zone(nodes, home), one.ready))
        elif one is not None and _serves(one) and (stage is Stage.NOW or not changes(one.node)):
            # Of one name there is one pod: the other comes when this one has gone.
            found.append(_as_it_runs(one, nodes, is_leaving=changes(one.node)))
        elif home and address:
            is_ready = stage is Stage.SETTLED and changes(home)
            found.append(_backend(pod, address, home, _zone(nodes, home), is_ready))
    for one in present.values():
        if one.key not in planned and _serves(one) and (stage is Stage.NOW or not changes(one.node)):
            found.append(_as_it_runs(one, nodes, is_leaving=changes(one.node)))
    return found


def _serves(one: Present) -> bool:
    """Whether it is seen, and has not ended."""
    return one.row is not None and one.phase not in ("Succeeded", "Failed")


def _stays(one: Present, pod: Pod, address: str) -> bool:
    """Whether it is the pod that shall be there. Another one is about to be made in its place, if need be with its name
    and address, and until that is ready nobody serves there."""
    if one.row is None or not address or one.row["address"].partition("/")[0] != address:
        return False
    return bool(pod.kept) or one.row.get("revision", "") == pod.revision


def _zone(nodes: Mapping[str, Host], node: str) -> str:
    return nodes[node].all_labels().get(ZONE, "") if node in nodes else ""


def _as_it_runs(one: Present, nodes: Mapping[str, Host], *, is_leaving: bool) -> Backend:
    assert one.row is not None
    address = one.row["address"].partition("/")[0]
    facts = _facts_of(one.row["object"])
    return Backend(one.key, address, one.node, _zone(nodes, one.node), one.ready, *facts, is_leaving=is_leaving)


def _backend(pod: Pod, address: str, node: str, zone: str, is_ready: bool) -> Backend:
    if pod.kept:
        # It runs by the template that it was made by.
        return Backend(pod.key, address, node, zone, is_ready, *_facts_of(pod.kept["object"]))
    template = pod.template
    beside = [one for one in template.init_containers if one.restart_policy == "Always"]
    ports = [(port.name, port.protocol, port.number) for one in (*template.containers, *beside) for port in one.ports]
    hostname, subdomain = template.hostname or "", template.subdomain or ""
    return Backend(pod.key, address, node, zone, is_ready, template.labels, _named(ports), hostname, subdomain)


def _facts_of(body: Mapping[str, Any]) -> tuple[Mapping[str, str], Mapping[tuple[str, str], int], str, str]:
    """Labels, ports with a name, hostname and subdomain of a pod, out of its object."""
    spec = body["spec"]
    sidecars = [one for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always"]
    written = [port for one in (*spec.get("containers", ()), *sidecars) for port in one.get("ports") or ()]
    ports = [(port.get("name") or "", port.get("protocol") or "TCP", port["containerPort"]) for port in written]
    labels = body["metadata"].get("labels") or {}
    return labels, _named(ports), spec.get("hostname") or "", spec.get("subdomain") or ""


def _named(ports: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], int]:
    """The first of two ports with one name is the one."""
    return {(name, protocol): number for name, protocol, number in reversed(ports) if name}


def slices_of_pods(services: Iterable[Service], pods: Sequence[Backend]) -> list[Slice]:
    """The slices of every Service with a selector. One that selects nobody has a slice that is empty."""
    yard = _Yard(pods)
    taken: set[str] = set()
    found = []
    for service in services:
        if not service.selector or service.type == EXTERNAL_NAME:
            continue
        groups = yard.groups(service) or {(): ((),)}
        found += [
            Slice(
                service.namespace,
                _slice_name(service.namespace, service.name, ports, index, taken),
                service.name,
                ports,
                part,
                BY_SELECTOR,
            )
            for ports, parts in groups.items()
            for index, part in enumerate(parts)
        ]
    return found


Groups = Mapping[tuple[SlicePort, ...], Sequence[tuple[Endpoint, ...]]]
"""Ports -> endpoints that have exactly these, in parts of the size of a slice."""


class _Yard:
    """Pods, found by their labels. Services that ask for the same share what is found: there may be thousands."""

    def __init__(self, pods: Sequence[Backend]) -> None:
        self.pods = pods
        self.by_label: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self.subdomains = {(pod.namespace, pod.subdomain) for pod in pods if pod.hostname and pod.subdomain}
        self.known: dict[object, Groups] = {}
        for index, pod in enumerate(pods):
            for key, value in pod.labels.items():
                self.by_label[pod.namespace, key, value].append(index)

    def groups(self, service: Service) -> Groups:
        subdomain = service.name if (service.namespace, service.name) in self.subdomains else ""
        question = (
            service.namespace,
            tuple(sorted(service.selector.items())),
            service.ports,
            service.publishes_not_ready,
            service.prefers_close,
            subdomain,
        )
        if question not in self.known:
            self.known[question] = self._groups(service)
        return self.known[question]

    def _groups(self, service: Service) -> Groups:
        grouped: dict[tuple[SlicePort, ...], list[Endpoint]] = defaultdict(list)
        for pod in self._selected(service):
            # One that has none of the ports stands in a slice without any, which leads nowhere.
            grouped[_ports_of(service, pod)].append(_endpoint_of(service, pod))
        return {ports: list(_parts(found)) for ports, found in grouped.items()}

    def _selected(self, service: Service) -> list[Backend]:
        """Those with all of the labels, beginning with the rarest of them."""
        wanted = [self.by_label.get((service.namespace, *label), []) for label in service.selector.items()]
        fewest = min(wanted, key=len)
        labels = service.selector.items()
        return [self.pods[index] for index in fewest if labels <= self.pods[index].labels.items()]


def _ports_of(service: Service, pod: Backend) -> tuple[SlicePort, ...]:
    """The Service's ports as this pod has them. One that it has not is left out."""
    found = []
    for port in service.ports:
        number = pod.ports.get((port.target, port.protocol)) if isinstance(port.target, str) else port.target
        if number:
            found.append(SlicePort(number, port.protocol, port.name, port.app_protocol))
    return tuple(found)


def _endpoint_of(service: Service, pod: Backend) -> Endpoint:
    ready = service.publishes_not_ready or (pod.is_ready and not pod.is_leaving)
    return Endpoint(
        address=pod.address,
        node=pod.node,
        ready=ready,
        serving=pod.is_ready,
        terminating=pod.is_leaving,
        target=pod.key,
        hostname=pod.hostname if pod.subdomain == service.name else "",
        zone=pod.zone,
        zones=(pod.zone,) if service.prefers_close and ready and pod.zone else (),
    )


def _parts(endpoints: Iterable[Endpoint]) -> list[tuple[Endpoint, ...]]:
    whole = sorted(endpoints, key=lambda endpoint: int(IPv4Address(endpoint.address)))
    return [tuple(whole[start : start + MOST]) for start in range(0, len(whole), MOST)]


def _slice_name(namespace: str, name: str, ports: tuple[SlicePort, ...], index: int, taken: set[str]) -> str:
    """``web-x7k2p``. Kubernetes draws lots; here the same slice has the same name in every run."""
    told = ",".join(f"{port.name}/{port.protocol}/{port.port}" for port in ports)
    attempt = 0
    while (made := f"{name[:57]}-{short_hash(f'{namespace}/{name}/{told}/{index}/{attempt}', 5)}") in taken:
        attempt += 1
    taken.add(made)
    return made


# --- what counts ----------------------------------------------------------------------------------------


def slices_in_force(
    services: Sequence[Service],
    made: Iterable[Slice],
    slices: Iterable[Slice],
    endpoints: Iterable[WrittenEndpoints],
) -> tuple[dict[str, list[Slice]], list[str]]:
    """Service -> its slices, by name; and what is written of endpoints and has no meaning, in words."""
    by_key = {service.key: service for service in services}
    found: dict[str, list[Slice]] = defaultdict(list)
    notes = []
    for slice_ in made:
        found[f"{slice_.namespace}/{slice_.service}"].append(slice_)
    for slice_ in slices:
        if not slice_.service:
            notes.append(f"EndpointSlice {slice_.key} is nobody's: it has no label {SERVICE_NAME}")
        elif f"{slice_.namespace}/{slice_.service}" not in by_key:
            notes.append(f"EndpointSlice {slice_.key} is nobody's: there is no Service {slice_.service}")
        found[f"{slice_.namespace}/{slice_.service}"].append(slice_)
    for written in endpoints:
        service = by_key.get(written.key)
        if service is None:
            notes.append(f"Endpoints {written.key} are nobody's: there is no Service of this name")
        elif service.selector:
            notes.append(f"Endpoints {written.key} are not taken: the Service has a selector, which finds its own")
        else:
            found[written.key] += written.mirrors
    for some in found.values():
        some.sort(key=lambda slice_: slice_.name)
    return dict(found), notes

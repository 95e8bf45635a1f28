"""What is remembered of services: the objects as they are written, with what was given to them.

The next run finds there which addresses are whose, and ``./lab get`` what it shows: ``service_object`` makes of it
what an API server would keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ...records.host_record import ClusterRecord, EndpointsEntry, ServiceEntry, SliceEntry
from ..manifests.reading import Field
from ..manifests.services import service
from .model import EXTERNAL_NAME, LOAD_BALANCER, Endpoint, Endpoints, Ingress, Service, ServiceAllocation, Slice

Object = dict[str, Any]
_Entry = TypeVar("_Entry", ServiceEntry, SliceEntry, EndpointsEntry)


def remembered(
    services: Sequence[Service],
    allocations: Mapping[str, ServiceAllocation],
    slices: Iterable[Slice],
    endpoints: Iterable[Endpoints],
    past: ClusterRecord,
    now: str,
) -> ClusterRecord:
    """Three parts of the cluster's record, each by key: ``services``, ``slices`` and ``endpoints``.

    :param past: the newest record.
    :param now: the time of what is new.
    """
    return {
        "services": _by_key(services, past.get("services", {}), now, lambda one: _service(one, allocations[one.key])),
        "slices": _by_key(slices, past.get("slices", {}), now, _Slices().item),
        "endpoints": _by_key(endpoints, past.get("endpoints", {}), now, lambda one: {"body": one.body}),
    }


def _by_key(
    items: Iterable[Any], past: dict[str, _Entry], now: str, made: Callable[[Any], Object]
) -> dict[str, _Entry]:
    found: dict[str, Any] = {}
    for item in items:
        before = past.get(item.key)
        found[item.key] = {"created": before["created"] if before else now, **made(item)}
    # What did not change is the very same thing: comparing it with what a host remembers costs nothing then.
    return past if past == found else found


# --- Services -------------------------------------------------------------------------------------------


def _service(one: Service, allocation: ServiceAllocation) -> Object:
    """What it was given, where there is any of it."""
    return _filled(
        clusterIP=allocation.cluster_ip,
        nodePorts=list(allocation.node_ports) if any(allocation.node_ports) else [],
        healthCheckNodePort=allocation.health_check_node_port,
        ingress=[_ingress(item) for item in allocation.ingress],
        body=one.body,
    )


def _ingress(item: Ingress) -> Object:
    return _filled(ip=item.ip, ipMode=item.mode if item.ip else "", hostname=item.hostname)


def node_ports_of(entry: ServiceEntry) -> list[tuple[str, str, int, int]]:
    """Name, protocol, port and node port of the ports of a Service that is remembered with node ports."""
    ports = (entry["body"].get("spec") or {}).get("ports") or ()
    return [
        (port.get("name") or "", port.get("protocol") or "TCP", port["port"], number)
        for port, number in zip(ports, entry.get("nodePorts", ()), strict=False)
    ]


def service_object(entry: Mapping[str, Any], namespace: str, name: str) -> Object:
    """A remembered Service as the API server keeps it: the defaults written out, and what it was given."""
    written: Mapping[str, Any] = entry["body"]
    one = service(Field.root(written, "", []), name, namespace, "", lambda _: None)
    told: Mapping[str, Any] = written.get("spec") or {}
    spec: Object = {key: value for key, value in told.items() if value is not None and key not in _WORKED_OUT}
    spec["type"] = one.type
    spec["sessionAffinity"] = "ClientIP" if one.affinity_seconds else "None"
    if one.affinity_seconds:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": one.affinity_seconds}}
    if one.type != EXTERNAL_NAME:
        spec["clusterIP"] = entry["clusterIP"]
        spec["clusterIPs"] = [entry["clusterIP"]]
        spec["ipFamilies"] = ["IPv4"]
        spec["ipFamilyPolicy"] = told.get("ipFamilyPolicy") or "SingleStack"
        spec["internalTrafficPolicy"] = "Local" if one.internal_local else "Cluster"
    if one.has_node_ports or (one.type == "ClusterIP" and spec.get("externalIPs")):
        spec["externalTrafficPolicy"] = "Local" if one.external_local else "Cluster"
    if one.type == LOAD_BALANCER:
        spec["allocateLoadBalancerNodePorts"] = one.allocates_node_ports
    if entry.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = entry["healthCheckNodePort"]
    if one.ports:
        numbers = [*entry.get("nodePorts", ()), *[0] * len(one.ports)]
        spec["ports"] = [
            _filled(
                name=port.name,
                port=port.port,
                protocol=port.protocol,
                targetPort=port.target,
                appProtocol=port.app_protocol,
                nodePort=number,
            )
            for port, number in zip(one.ports, numbers, strict=False)
        ]
    ingress = entry.get("ingress")
    made = as_object(entry, "Service", namespace, name)
    return {**made, "spec": spec, "status": {"loadBalancer": {"ingress": ingress} if ingress else {}}}


_WORKED_OUT = ("clusterIP", "clusterIPs", "ipFamilies", "healthCheckNodePort", "sessionAffinityConfig")


def as_object(entry: Mapping[str, Any], kind: str, namespace: str, name: str) -> Object:
    """What is remembered as it is written, without what an API server makes up itself, but for the time. Its kind is
    known by the part of the record that it is in: whoever has written that may have written another."""
    body = entry["body"]
    metadata = body.get("metadata") or {}
    kept = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    own = {"name": name, "namespace": namespace, "creationTimestamp": entry["created"], **kept}
    return {**{key: value for key, value in body.items() if key != "status"}, "kind": kind, "metadata": own}


# --- slices ---------------------------------------------------------------------------------------------


class _Slices:
    """Slices in few words: what is false or empty is left out. Endpoints that slices share are made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, list[Object]]] = {}

    def item(self, slice_: Slice) -> Object:
        if slice_.body is not None:
            return {"service": slice_.service, "body": slice_.body}
        ports = [
            _filled(port=port.port, protocol=port.protocol, name=port.name, appProtocol=port.app_protocol)
            for port in slice_.ports
        ]
        return {
            "service": slice_.service,
            "manager": slice_.manager,
            "ports": ports,
            "endpoints": self._endpoints(slice_.endpoints),
        }

    def _endpoints(self, endpoints: tuple[Endpoint, ...]) -> list[Object]:
        if id(endpoints) not in self._known:
            self._known[id(endpoints)] = endpoints, [_endpoint(endpoint) for endpoint in endpoints]
        return self._known[id(endpoints)][1]


def _endpoint(endpoint: Endpoint) -> Object:
    return _filled(
        address=endpoint.address,
        node=endpoint.node,
        target=endpoint.target,
        hostname=endpoint.hostname,
        zone=endpoint.zone,
        zones=list(endpoint.zones),
        ready=endpoint.ready,
        serving=endpoint.serving,
        terminating=endpoint.terminating,
    )


def _filled(**values: Any) -> Object:
    return {key: value for key, value in values.items() if value}

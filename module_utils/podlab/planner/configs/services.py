"""What each node is told about services: its ServicesConfig, and the digest that says whether it knows already.

All nodes are told of the same ports, and there may be ten thousand: that part is made, written down and shared once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from ...changes import MARK
from ...changes.kube_proxy.services import TCP_BE_LIBERAL
from ...configs import EndpointConfig, ServicePortConfig, ServicesConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..ipam.pod_addresses import gateway
from ..routing.registry import overlay_devices, pod_routing
from ..services.backends import ZONE
from ..services.model import Endpoint, Service, ServiceAllocation, ServicePort, Slice


class ServicesConfigs:
    """The rows of all nodes. ``ports`` belongs to all of them: nobody may change it."""

    def __init__(self, cluster: Cluster, ports: list[ServicePortConfig]) -> None:
        self.ports = ports
        self._text = text_of_ports(ports)
        self._cluster = cluster

    def row(self, node: Host, cidr: str) -> ServicesConfig:
        """:param cidr: the node's pod CIDR."""
        cluster = self._cluster
        row: ServicesConfig = {
            "node": node.name,
            "zone": node.all_labels().get(ZONE, ""),
            "addresses": addresses_of(cluster, node, cidr),
            "cluster_cidr": cluster.cidr,
            "service_cidr": cluster.service_cidr,
            "masquerade_all": cluster.masquerade_all,
            "localhost_node_ports": cluster.localhost_node_ports,
            "node_port_addresses": list(cluster.node_port_addresses),
            "affinity_by_ipset": cluster.affinity_by_ipset,
            "reject_undefined_ports": cluster.reject_undefined_ports,
            "ports": self.ports,
        }
        if _is_liberal(node):
            row["is_liberal"] = True
        return row

    def digest(self, row: ServicesConfig) -> str:
        """As ``digest_of``, without writing down once more what all rows share."""
        return _sha256(text_of(row, self._text))


def _is_liberal(node: Host) -> bool:
    settings: Mapping[str, str] = node.seen.get("sysctls", {})
    return settings.get(TCP_BE_LIBERAL, "0") != "0"


def addresses_of(cluster: Cluster, node: Host, cidr: str) -> list[str]:
    """Where a node's ports may answer: at every address of every link, as kube-proxy has it; 127.0.0.1 goes by itself.

    Those of podlab's own links are the plan's to say: at first contact they are not there yet, a second run would find
    others than the first, and what somebody has added there goes in this very run.
    """
    own = [node.address, gateway(cidr), *filter(None, [pod_routing(cluster).overlay_address(cidr)])]
    planned = {cluster.bridge, *overlay_devices(cluster)}
    within, links = IPv4Network(cluster.cidr), node.seen.get("links", {})
    found = {
        text.partition("/")[0]
        for name, link in links.items()
        if name not in planned and not (link.get("alias") or "").startswith(MARK)
        for text in link["addresses"]
    }
    others = (IPv4Address(text) for text in found if text != node.address and not text.startswith("127."))
    foreign = sorted(address for address in others if address not in within)
    return list(dict.fromkeys([*own, *map(str, foreign)]))


def digest_of(row: ServicesConfig) -> str:
    """SHA-256 of a row as compact JSON with sorted keys: by it a node knows what it was told last."""
    return _sha256(compact(row))


def compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def text_of(row: ServicesConfig, ports: str) -> str:
    """``compact(row)``. :param ports: what ``text_of_ports`` has made of its ports."""
    values = {key: ports if key == "ports" else compact(value) for key, value in row.items()}
    return "{" + ",".join(f"{compact(key)}:{values[key]}" for key in sorted(values)) + "}"


def text_of_ports(ports: Sequence[ServicePortConfig]) -> str:
    """``compact(ports)``. Endpoints that ports share are written down once: they are the greater part of it."""
    texts: dict[int, str] = {}
    for port in ports:
        if id(port["endpoints"]) not in texts:
            texts[id(port["endpoints"])] = compact(port["endpoints"])
    gap = '"endpoints":null'  # which no value can hold: a quote inside of one is written with a backslash
    parts = compact([{**port, "endpoints": None} for port in ports]).split(gap)
    filled = [f'"endpoints":{texts[id(port["endpoints"])]}{part}' for port, part in zip(ports, parts[1:], strict=True)]
    return parts[0] + "".join(filled)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- ports ----------------------------------------------------------------------------------------------


def port_configs(
    services: Iterable[Service], allocations: Mapping[str, ServiceAllocation], slices: Mapping[str, Sequence[Slice]]
) -> list[ServicePortConfig]:
    """Every port of every Service that kube-proxy serves.

    :param allocations: Service -> what it was given. :param slices: Service -> its slices.
    """
    endpoints = _Endpoints()
    rows: list[ServicePortConfig] = []
    for service in services:
        if not service.is_proxied:
            continue
        mine = allocations[service.key]
        behind = [slice_ for slice_ in slices.get(service.key, ()) if slice_.is_proxied]
        balancers = [ingress.ip for ingress in mine.ingress if ingress.ip and ingress.mode == "VIP"]
        for port, node_port in zip(service.ports, mine.node_ports, strict=True):
            rows.append(
                {
                    "service": service.key,
                    "port_name": port.name,
                    "protocol": port.protocol.lower(),
                    "cluster_ip": mine.cluster_ip,
                    "port": port.port,
                    "node_port": node_port,
                    "external_ips": list(service.external_ips),
                    "load_balancer_ips": balancers,
                    "source_ranges": list(service.source_ranges),
                    "external_local": service.external_local,
                    "internal_local": service.internal_local,
                    "affinity_seconds": service.affinity_seconds,
                    "health_check_node_port": mine.health_check_node_port,
                    "endpoints": endpoints.of_port(port, behind),
                }
            )
    return sorted(rows, key=lambda row: (row["service"], row["port_name"], row["protocol"]))


class _Endpoints:
    """Endpoints as rows. Services with the same pods share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[object, list[EndpointConfig]]] = {}

    def of_port(self, port: ServicePort, slices: Sequence[Slice]) -> list[EndpointConfig]:
        """Of all slices that have a port of this name and protocol.

        One that two slices have on two nodes stays twice: each node takes the one that says it is there.
        """
        parts = [
            self._rows(slice_.endpoints, found.port)
            for slice_ in slices
            for found in slice_.ports
            if (found.name, found.protocol) == (port.name, port.protocol) and found.port
        ]
        if len(parts) == 1:
            return parts[0]
        merged: dict[tuple[str, int, str], EndpointConfig] = {}
        for row in (row for rows in parts for row in rows):
            merged.setdefault((row["address"], row["port"], row["node"]), row)
        return _in_order(merged.values())

    def _rows(self, endpoints: tuple[Endpoint, ...], port: int) -> list[EndpointConfig]:
        key = (id(endpoints), port)
        if key not in self._known:
            once = {(endpoint.address, endpoint.node): endpoint for endpoint in reversed(endpoints)}
            rows = _in_order(_endpoint_row(endpoint, port) for endpoint in once.values())
            self._known[key] = (endpoints, rows)  # whoever is kept here keeps his id
        return self._known[key][1]


def _in_order(rows: Iterable[EndpointConfig]) -> list[EndpointConfig]:
    """As kube-proxy has them, by their text: 10.1.1.10:80 comes before 10.1.1.2:80."""
    return sorted(rows, key=lambda row: (f"{row['address']}:{row['port']}", row["node"]))


def _endpoint_row(endpoint: Endpoint, port: int) -> EndpointConfig:
    return {
        "address": endpoint.address,
        "port": port,
        "node": endpoint.node,
        "ready": endpoint.ready,
        "serving": endpoint.serving,
        "terminating": endpoint.terminating,
        "zones": list(endpoint.zones),
    }

"""Two Services at one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..manifests import fields
from .model import Service, ServiceAllocation
from .ranges import subject


def clashes(
    cluster: Cluster, hosts: Sequence[Host], services: Sequence[Service], allocations: Mapping[str, ServiceAllocation]
) -> list[str]:
    """Addresses and ports from outside that two Services claim. Kubernetes lets them, and one of them never answers."""
    outer = {
        service.key: list(_outer(service, allocations[service.key]))
        for service in services
        if service.is_proxied and (service.external_ips or allocations[service.key].ingress)
    }
    if not outer:
        return []
    wanted = {ip for found in outer.values() for ip, _ in found}
    claims: dict[tuple[str, str, int], str] = {}
    for service in services:
        ip = allocations[service.key].cluster_ip
        if service.is_proxied and ip in wanted:
            claims.update({(ip, port.protocol, port.port): service.key for port in service.ports})
    nodes = {host.address: host.name for host in hosts if host.role == "node" and _answers(cluster, host.address)}
    at_nodes = _node_port_owners(services, allocations)
    problems: dict[str, None] = {}
    for service in services:
        for ip, path in outer.get(service.key, ()):
            for port in service.ports:
                owner = claims.setdefault((ip, port.protocol, port.port), service.key)
                place = "this address leads to"
                if owner == service.key and ip in nodes:
                    owner = at_nodes.get((port.protocol, port.port), owner)
                    place = f"{nodes[ip]} is the node port of"
                if owner != service.key:
                    words = f"port {port.port}/{port.protocol} of {place} Service {owner} already"
                    problems[subject(service) + fields.invalid(path, ip, words)] = None
    return list(problems)


def _outer(service: Service, allocation: ServiceAllocation) -> Iterator[tuple[str, str]]:
    """Addresses from outside, each with the field that is to blame for it."""
    for index, ip in enumerate(service.external_ips):
        yield ip, f"spec.externalIPs[{index}]"
    for index, ingress in enumerate(allocation.ingress):
        if ingress.ip and ingress.mode == "VIP":
            asked = ingress.ip == service.load_balancer_ip and not service.ingress
            yield ingress.ip, "spec.loadBalancerIP" if asked else f"status.loadBalancer.ingress[{index}].ip"


def _answers(cluster: Cluster, address: str) -> bool:
    """Whether node ports are served at an address of a node."""
    cidrs = cluster.node_port_addresses
    try:
        return not cidrs or any(IPv4Address(address) in IPv4Network(cidr) for cidr in cidrs)
    except ValueError:
        return False


def _node_port_owners(
    services: Sequence[Service], allocations: Mapping[str, ServiceAllocation]
) -> dict[tuple[str, int], str]:
    owners: dict[tuple[str, int], str] = {}
    for service in services:
        if not service.is_proxied:
            continue
        mine = allocations[service.key]
        for port, number in zip(service.ports, mine.node_ports, strict=True):
            if number:
                owners[port.protocol, number] = service.key
        if mine.health_check_node_port:
            owners["TCP", mine.health_check_node_port] = service.key
    return owners

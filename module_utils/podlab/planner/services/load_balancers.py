"""Addresses of load balancers: the pool that they come out of, and which Service has which."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface

from ..inputs.host import Host
from ..inputs.service_settings import POOL, pool_of
from ..inputs.settings import Cluster
from ..manifests import fields
from .model import Ingress, Service
from .past import Past
from .ranges import Range, number_of, shortage, subject, text_of


def pool_problems(cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
    """A pool is nobody else's. That it is none at all, or lies in another range, the settings have told."""
    ends = pool_of(cluster.load_balancer_pool)
    if ends is None:
        return []
    problems: dict[str, None] = {}
    for host in hosts:
        taken = {host.address: f"the address of {host.name}"}
        for link in map(IPv4Interface, host.addresses):
            # One that is a network of its own may be a balancer's, put there so that the node takes it for its own.
            if link.network.prefixlen < 32:
                taken.setdefault(str(link.ip), f"the address of {host.name}")
            if link.network.prefixlen < 31:
                taken.setdefault(str(link.network.broadcast_address), f"the broadcast address of {link.network}")
        problems |= {
            f"{POOL} {cluster.load_balancer_pool} overlaps with {what}, {ip}": None
            for ip, what in taken.items()
            if _is_inside(ip, ends)
        }
    return list(problems)


def _is_inside(address: str, ends: tuple[int, int]) -> bool:
    try:
        return ends[0] <= number_of(address) <= ends[1]
    except ValueError:  # which the inventory's check tells
        return False


def load_balancer_ips(
    cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]
) -> dict[str, tuple[Ingress, ...]]:
    """Where the manifest tells of an address, that one; else one out of the pool, which may be asked for by name."""
    found: dict[str, tuple[Ingress, ...]] = {}
    balanced = [service for service in services if service.is_balanced_here or service.ingress]
    ends = pool_of(cluster.load_balancer_pool)
    pool = Range(*ends) if ends else None
    asked_for = [ip for service in services for ip in service.external_ips]
    for service in balanced:
        asked_for += [ingress.ip for ingress in service.ingress if ingress.ip]
        if service.ingress:
            found[service.key] = service.ingress
        elif pool and service.load_balancer_ip:
            found[service.key] = (Ingress(service.load_balancer_ip),)
            asked_for.append(service.load_balancer_ip)
            if number_of(service.load_balancer_ip) not in pool:
                words = f"provided IP is not in {POOL} {cluster.load_balancer_pool}"
                words = fields.invalid("spec.loadBalancerIP", service.load_balancer_ip, words)
                problems.append(subject(service) + words)
    if pool is None:
        return found
    for service in balanced:
        if service.key not in found:
            told = past.get(service.key)
            before = [item["ip"] for item in (told.get("ingress", ()) if told else ()) if "ip" in item]
            kept = next((ip for ip in before if pool.take(number_of(ip), service.key)), None)
            if kept:
                found[service.key] = (Ingress(kept),)
    for ip in asked_for:
        # Several may share an address that they ask for; whether their ports let them is told elsewhere.
        pool.take(number_of(ip), "asked for")
    left = []
    for service in balanced:
        if service.key not in found:
            number = pool.find(service.key, service.key)
            if number is None:
                left.append(service)
            else:
                found[service.key] = (Ingress(text_of(number)),)
    words = f"failed to allocate a load balancer address: range is full ({POOL} {cluster.load_balancer_pool})"
    problems += shortage("status.loadBalancer.ingress", words, left)
    return found

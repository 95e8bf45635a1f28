"""Settings of the service layer: what can be wrong with them before any host or manifest is looked at."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

from ..ipam.addresses import overlaps
from .settings import Cluster

POOL = "podlab_load_balancer_pool"


def bad_settings(cluster: Cluster) -> list[str]:
    """Problems, in the user's words."""
    problems = []
    for index, cidr in enumerate(cluster.node_port_addresses):
        problems += overlaps({f"podlab_node_port_addresses[{index}]": cidr})
    pool = cluster.load_balancer_pool
    if not pool:
        return problems
    ends = pool_of(pool)
    if ends is None:
        return [
            *problems,
            f"{POOL}: Invalid value: {json.dumps(pool)}: must be a CIDR or two addresses, the lower one first "
            "(e.g. 10.100.1.0/24 or 10.100.0.200-10.100.0.250)",
        ]
    for name, cidr in (("podlab_cluster_cidr", cluster.cidr), ("podlab_service_cidr", cluster.service_cidr)):
        network = _network(cidr)
        if network and ends[0] <= int(network.broadcast_address) and int(network.network_address) <= ends[1]:
            problems.append(f"{POOL} {pool} overlaps with {name} {cidr}")
    return problems


def pool_of(written: str) -> tuple[int, int] | None:
    """First and last address that may be given out, as numbers; None for what is no pool.

    A network's own address and its broadcast address are left out of a CIDR: the lab's links would not carry them.
    """
    network = _network(written)
    if network:
        inner = 1 if network.prefixlen < 31 else 0
        return int(network.network_address) + inner, int(network.broadcast_address) - inner
    first, hyphen, last = (part.strip() for part in written.partition("-"))
    try:
        ends = int(IPv4Address(first)), int(IPv4Address(last))
    except ValueError:
        return None
    return ends if hyphen and ends[0] <= ends[1] else None


def _network(cidr: str) -> IPv4Network | None:
    try:
        return IPv4Network(cidr) if "/" in cidr else None
    except ValueError:
        return None

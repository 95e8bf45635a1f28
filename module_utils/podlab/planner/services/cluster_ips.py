"""The cluster IP of every Service."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from ..inputs.settings import Cluster
from ..manifests import fields
from ..manifests.updates import ONCE_SET
from .model import HEADLESS, Service
from .past import Past
from .ranges import Range, lower_band, number_of, shortage, subject, text_of


def cluster_ips(cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]) -> dict[str, str]:
    network = IPv4Network(cluster.service_cidr)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    pool = Range(first, last, lower_band(network.num_addresses, 16, 256))
    found = {service.key: HEADLESS for service in services if service.is_headless}
    for service in services:
        told, wanted = past.get(service.key), service.cluster_ip
        before = told.get("clusterIP", "") if told else ""
        if before and wanted and before != wanted:
            words = fields.invalid("spec.clusterIPs[0]", fields.go_strings([wanted]), ONCE_SET)
            problems.append(subject(service) + words)
            found[service.key] = wanted  # said once is enough
        elif service.has_address and before not in ("", HEADLESS) and pool.take(number_of(before), service.key):
            found[service.key] = before
    for service in services:
        if service.cluster_ip and service.key not in found:
            found[service.key] = service.cluster_ip
            if not pool.take(number_of(service.cluster_ip), service.key):
                problems.append(subject(service) + _no_such_ip(cluster, pool, service.cluster_ip))
    left = []
    for service in services:
        if service.has_address and service.key not in found:
            number = pool.find(service.key, service.key)
            if number is None:
                left.append(service)
            else:
                found[service.key] = text_of(number)
    problems += shortage("spec.clusterIPs", "failed to allocate a serviceIP: range is full", left)
    return found


def _no_such_ip(cluster: Cluster, pool: Range, ip: str) -> str:
    why = "provided IP is already allocated"
    if number_of(ip) not in pool:
        cidr = cluster.service_cidr
        why = f"provided IP {ip} is not in the valid range. The range of valid IPs is {cidr}"
    return fields.invalid("spec.clusterIPs", fields.go_strings([ip]), f"failed to allocate IP {ip}: {why}")

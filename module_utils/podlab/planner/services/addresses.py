"""What every Service is given: a cluster IP, node ports, a port for health checks, an address of the load balancer.

What a Service has, it keeps while it exists. What is new begins to look for a free number at one that is a hash of
its name, so a Service gets the same one whatever stands beside it, and also where nobody remembers anything.
Kubernetes draws lots instead (``ipallocator``, ``portallocator``); its ranges have a lower band, which is given out
last so that who writes an address down finds it free, and so they have here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ..inputs.host import Host
from ..inputs.service_settings import POOL, pool_of
from ..inputs.settings import Cluster
from ..manifests import fields
from ..manifests.updates import IMMUTABLE, ONCE_SET
from ..model import Invalid
from ..record.newest import newest_record
from .model import HEADLESS, LOAD_BALANCER, OWN_CLASS, Given, Ingress, Service
from .record import node_ports_of

HEALTHZ = 10256
"""Where every node tells that its rules are up to date (``host/kube_proxy/healthz.py``)."""

Past = Mapping[str, Mapping[str, Any]]
"""Service -> what is remembered of it."""


def past_services(hosts: Sequence[Host]) -> Past:
    """The Services of the newest record: it tells of all, whoever of the hosts is in this run."""
    found: Past = newest_record(hosts).get("services", {}) if hosts else {}
    return found


def allocate(cluster: Cluster, hosts: Sequence[Host], services: Sequence[Service]) -> dict[str, Given]:
    """Service -> what it has.

    :raises Invalid: with every problem that only the cluster as a whole can have.
    """
    past = past_services(hosts)
    problems = pool_problems(cluster, hosts)
    ips = _cluster_ips(cluster, services, past, problems)
    ports = _NodePorts(cluster, services, past, problems)
    balancers = _ingress(cluster, services, past, problems)
    given = {
        service.key: Given(
            cluster_ip=ips.get(service.key, ""),
            node_ports=tuple(ports.numbers[service.key]),
            health_check_node_port=ports.health_checks.get(service.key, 0),
            ingress=balancers.get(service.key, ()),
        )
        for service in services
    }
    problems += _clashes(cluster, hosts, services, given)
    if problems:
        raise Invalid(problems)
    return given


def waiting(services: Iterable[Service], given: Mapping[str, Given]) -> list[str]:
    """Words for Services that wait for a load balancer's address, because there is nobody to give them one."""
    waiting = [item for item in services if item.type == LOAD_BALANCER and not given[item.key].ingress]
    own = [item.key for item in waiting if item.is_balanced_here]
    words = [f"no load balancer gives an address to Service {_some(own)}: {POOL} is not set"] if own else []
    others = [f"{item.key} ({item.load_balancer_class})" for item in waiting if not item.is_balanced_here]
    if others:
        words.append(
            f"no load balancer gives an address to Service {_some(others)}: podlab's own has the loadBalancerClass "
            f"{OWN_CLASS}, or none"
        )
    return words


# --- ranges ---------------------------------------------------------------------------------------------


@dataclass
class _Range:
    """Numbers from ``first`` to ``last``, each with one owner. The lowest ``band`` of them are given out last."""

    first: int
    last: int
    band: int = 0
    owners: dict[int, object] = field(default_factory=dict)
    is_full: bool = False

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def take(self, number: int, owner: object) -> bool:
        """Whether it is the owner's now; nobody else may have it, and it has to be in the range."""
        return number in self and self.owners.setdefault(number, owner) == owner

    def find(self, seed: str, owner: object) -> int | None:
        """A free number, or None where there is none. It is taken."""
        if self.is_full:
            return None
        start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        upper = self.first + self.band
        for first, size in ((upper, self.last - upper + 1), (self.first, self.band)):
            for step in range(size):
                number = first + (start + step) % size
                if number not in self.owners:
                    self.owners[number] = owner
                    return number
        self.is_full = True
        return None


def _clamped(size: int, step: int, most: int) -> int:
    """How many of a range are kept for those who ask for a number (``calculateRangeOffset``)."""
    return 0 if size <= 16 else min(max(size // step, 16), most)


def _number(ip: str) -> int:
    """What ``int(IPv4Address(ip))`` says of a sound one, in a tenth of its time."""
    a, b, c, d = map(int, ip.split("."))
    return a << 24 | b << 16 | c << 8 | d


def _text(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


# --- cluster IPs ----------------------------------------------------------------------------------------


def _cluster_ips(cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]) -> dict[str, str]:
    network = IPv4Network(cluster.service_cidr)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    pool = _Range(first, last, _clamped(network.num_addresses, 16, 256))
    found = {service.key: HEADLESS for service in services if service.is_headless}
    for service in services:
        before, wanted = past.get(service.key, {}).get("clusterIP", ""), service.cluster_ip
        if before and wanted and before != wanted:
            words = fields.invalid("spec.clusterIPs[0]", fields.go_strings([wanted]), ONCE_SET)
            problems.append(_subject(service) + words)
            found[service.key] = wanted  # said once is enough
        elif service.has_address and before not in ("", HEADLESS) and pool.take(_number(before), service.key):
            found[service.key] = before
    for service in services:
        if service.cluster_ip and service.key not in found:
            found[service.key] = service.cluster_ip
            if not pool.take(_number(service.cluster_ip), service.key):
                problems.append(_subject(service) + _no_such_ip(cluster, pool, service.cluster_ip))
    left = []
    for service in services:
        if service.has_address and service.key not in found:
            number = pool.find(service.key, service.key)
            if number is None:
                left.append(service)
            else:
                found[service.key] = _text(number)
    problems += _shortage("spec.clusterIPs", "failed to allocate a serviceIP: range is full", left)
    return found


def _no_such_ip(cluster: Cluster, pool: _Range, ip: str) -> str:
    why = "provided IP is already allocated"
    if _number(ip) not in pool:
        cidr = cluster.service_cidr
        why = f"provided IP {ip} is not in the valid range. The range of valid IPs is {cidr}"
    return fields.invalid("spec.clusterIPs", fields.go_strings([ip]), f"failed to allocate IP {ip}: {why}")


# --- node ports -----------------------------------------------------------------------------------------


class _NodePorts:
    """Node ports, and the ports of health checks, which are out of the same range.

    Ports of one Service with one number and several protocols share a node port.
    """

    def __init__(self, cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]) -> None:
        first, last = map(int, cluster.node_port_range.split("-"))
        self.written_range = cluster.node_port_range
        self.pool = _Range(first, last, _clamped(last - first + 1, 32, 128))
        self.pool.take(cluster.verify_port, "verify")
        self.pool.take(HEALTHZ, "kube-proxy")
        self.problems = problems
        self.numbers = {service.key: [0] * len(service.ports) for service in services}
        self.health_checks: dict[str, int] = {}
        with_ports = [service for service in services if service.has_node_ports]
        for service in with_ports:
            self._keep(service, past.get(service.key))
        for service in with_ports:
            self._take(service)
        left = [service for service in with_ports if not self._find(service)]
        problems += _shortage("spec.ports[0].nodePort", "failed to allocate a nodePort: range is full", left)
        left = [service for service in with_ports if not self._find_health_check(service)]
        words = "failed to allocate a HealthCheck NodePort: range is full"
        problems += _shortage("spec.healthCheckNodePort", words, left)

    def _keep(self, service: Service, before: Mapping[str, Any] | None) -> None:
        """What it has had, unless it asks for something else now."""
        if not before:
            return
        had = node_ports_of(before)
        by_name = {name: number for name, _, _, number in had}
        by_number = {(protocol, port): number for _, protocol, port, number in had}
        for index, port in enumerate(service.ports):
            number = by_name.get(port.name) or by_number.get((port.protocol, port.port), 0)
            wanted = port.node_port or (number if service.allocates_node_ports else 0)
            if number and number == wanted and self.pool.take(number, (service.key, port.port)):
                self.numbers[service.key][index] = number
        check, wanted = before.get("healthCheckNodePort", 0), service.health_check_node_port
        if not service.needs_health_check or not check:
            return
        if wanted not in (0, check):
            self.problems.append(_subject(service) + fields.forbidden("spec.healthCheckNodePort", IMMUTABLE))
            self.health_checks[service.key] = wanted  # said once is enough
        elif self.pool.take(check, (service.key, "health check")):
            self.health_checks[service.key] = check

    def _take(self, service: Service) -> None:
        """What it asks for."""
        for index, port in enumerate(service.ports):
            if not port.node_port or self.numbers[service.key][index]:
                continue
            self.numbers[service.key][index] = port.node_port  # a wrong one is told, and not made up for
            if not self.pool.take(port.node_port, (service.key, port.port)):
                why = self._why_not(port.node_port)
                words = fields.invalid(f"spec.ports[{index}].nodePort", port.node_port, why)
                self.problems.append(_subject(service) + words)
        wanted = service.health_check_node_port
        if wanted and service.key not in self.health_checks:
            self.health_checks[service.key] = wanted
            if not self.pool.take(wanted, (service.key, "health check")):
                words = f"failed to allocate requested HealthCheck NodePort {wanted}: {self._why_not(wanted)}"
                self.problems.append(_subject(service) + fields.internal("spec.healthCheckNodePort", words))

    def _why_not(self, number: int) -> str:
        if number in self.pool:
            return "provided port is already allocated"
        return f"provided port is not in the valid range. The range of valid ports is {self.written_range}"

    def _find(self, service: Service) -> bool:
        """Numbers for the rest of its ports; False where there are none left."""
        numbers = self.numbers[service.key]
        if not service.allocates_node_ports:
            return True
        shared = {port.port: number for port, number in zip(service.ports, numbers, strict=True) if number}
        for index, port in enumerate(service.ports):
            if numbers[index]:
                continue
            if port.port not in shared:
                number = self.pool.find(f"{service.key}:{port.name or port.port}", (service.key, port.port))
                if number is None:
                    return False
                shared[port.port] = number
            numbers[index] = shared[port.port]
        return True

    def _find_health_check(self, service: Service) -> bool:
        if service.needs_health_check and service.key not in self.health_checks:
            owner = (service.key, "health check")
            number = self.pool.find(f"{service.key}:health check", owner)
            if number is None:
                return False
            self.health_checks[service.key] = number
        return True


# --- load balancers -------------------------------------------------------------------------------------


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
        return ends[0] <= _number(address) <= ends[1]
    except ValueError:  # which the inventory's check tells
        return False


def _ingress(
    cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]
) -> dict[str, tuple[Ingress, ...]]:
    """Where the manifest tells of an address, that one; else one out of the pool, which may be asked for by name."""
    found: dict[str, tuple[Ingress, ...]] = {}
    balanced = [service for service in services if service.is_balanced_here or service.ingress]
    ends = pool_of(cluster.load_balancer_pool)
    pool = _Range(*ends) if ends else None
    asked_for = [ip for service in services for ip in service.external_ips]
    for service in balanced:
        asked_for += [ingress.ip for ingress in service.ingress if ingress.ip]
        if service.ingress:
            found[service.key] = service.ingress
        elif pool and service.load_balancer_ip:
            found[service.key] = (Ingress(service.load_balancer_ip),)
            asked_for.append(service.load_balancer_ip)
            if _number(service.load_balancer_ip) not in pool:
                words = f"provided IP is not in {POOL} {cluster.load_balancer_pool}"
                words = fields.invalid("spec.loadBalancerIP", service.load_balancer_ip, words)
                problems.append(_subject(service) + words)
    if pool is None:
        return found
    for service in balanced:
        if service.key not in found:
            before = [item["ip"] for item in past.get(service.key, {}).get("ingress", ()) if "ip" in item]
            kept = next((ip for ip in before if pool.take(_number(ip), service.key)), None)
            if kept:
                found[service.key] = (Ingress(kept),)
    for ip in asked_for:
        # Several may share an address that they ask for; whether their ports let them is told elsewhere.
        pool.take(_number(ip), "asked for")
    left = []
    for service in balanced:
        if service.key not in found:
            number = pool.find(service.key, service.key)
            if number is None:
                left.append(service)
            else:
                found[service.key] = (Ingress(_text(number)),)
    words = f"failed to allocate a load balancer address: range is full ({POOL} {cluster.load_balancer_pool})"
    problems += _shortage("status.loadBalancer.ingress", words, left)
    return found


# --- two Services at one place --------------------------------------------------------------------------


def _clashes(
    cluster: Cluster, hosts: Sequence[Host], services: Sequence[Service], given: Mapping[str, Given]
) -> list[str]:
    """Addresses and ports from outside that two Services claim. Kubernetes lets them, and one of them never answers."""
    outer = {
        service.key: list(_outer(service, given[service.key]))
        for service in services
        if service.is_proxied and (service.external_ips or given[service.key].ingress)
    }
    if not outer:
        return []
    wanted = {ip for found in outer.values() for ip, _ in found}
    claims: dict[tuple[str, str, int], str] = {}
    for service in services:
        ip = given[service.key].cluster_ip
        if service.is_proxied and ip in wanted:
            claims.update({(ip, port.protocol, port.port): service.key for port in service.ports})
    nodes = {host.address: host.name for host in hosts if host.role == "node" and _answers(cluster, host.address)}
    at_nodes = _node_port_owners(services, given)
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
                    problems[_subject(service) + fields.invalid(path, ip, words)] = None
    return list(problems)


def _outer(service: Service, given: Given) -> Iterator[tuple[str, str]]:
    """Addresses from outside, each with the field that is to blame for it."""
    for index, ip in enumerate(service.external_ips):
        yield ip, f"spec.externalIPs[{index}]"
    for index, ingress in enumerate(given.ingress):
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


def _node_port_owners(services: Sequence[Service], given: Mapping[str, Given]) -> dict[tuple[str, int], str]:
    owners: dict[tuple[str, int], str] = {}
    for service in services:
        if not service.is_proxied:
            continue
        mine = given[service.key]
        for port, number in zip(service.ports, mine.node_ports, strict=True):
            if number:
                owners[port.protocol, number] = service.key
        if mine.health_check_node_port:
            owners["TCP", mine.health_check_node_port] = service.key
    return owners


# --- words ----------------------------------------------------------------------------------------------


def _subject(service: Service) -> str:
    return fields.subject_of(service.where, "Service", service.name)


def _shortage(path: str, words: str, left: Sequence[Service]) -> list[str]:
    """One line for all who are left without: the first of them, and who else."""
    if not left:
        return []
    more = f"; none for {_some([service.key for service in left])}" if len(left) > 1 else ""
    return [_subject(left[0]) + fields.internal(path, words + more)]


def _some(names: Sequence[str], limit: int = 10) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")

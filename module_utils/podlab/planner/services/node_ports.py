"""Node ports of Services, and the ports of their health checks."""

from __future__ import annotations

from collections.abc import Sequence

from ...records.host_record import ServiceEntry
from ..inputs.settings import Cluster
from ..manifests import fields
from ..manifests.updates import IMMUTABLE
from .model import Service
from .past import Past
from .ranges import Range, lower_band, shortage, subject
from .record import node_ports_of

HEALTHZ = 10256
"""Where every node tells that its rules are up to date (``host/kube_proxy/healthz.py``)."""


class NodePorts:
    """Node ports, and the ports of health checks, which are out of the same range.

    Ports of one Service with one number and several protocols share a node port.
    """

    def __init__(self, cluster: Cluster, services: Sequence[Service], past: Past, problems: list[str]) -> None:
        first, last = map(int, cluster.node_port_range.split("-"))
        self.written_range = cluster.node_port_range
        self.pool = Range(first, last, lower_band(last - first + 1, 32, 128))
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
        problems += shortage("spec.ports[0].nodePort", "failed to allocate a nodePort: range is full", left)
        left = [service for service in with_ports if not self._find_health_check(service)]
        words = "failed to allocate a HealthCheck NodePort: range is full"
        problems += shortage("spec.healthCheckNodePort", words, left)

    def _keep(self, service: Service, before: ServiceEntry | None) -> None:
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
            self.problems.append(subject(service) + fields.forbidden("spec.healthCheckNodePort", IMMUTABLE))
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
                self.problems.append(subject(service) + words)
        wanted = service.health_check_node_port
        if wanted and service.key not in self.health_checks:
            self.health_checks[service.key] = wanted
            if not self.pool.take(wanted, (service.key, "health check")):
                words = f"failed to allocate requested HealthCheck NodePort {wanted}: {self._why_not(wanted)}"
                self.problems.append(subject(service) + fields.internal("spec.healthCheckNodePort", words))

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

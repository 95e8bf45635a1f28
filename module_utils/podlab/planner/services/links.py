"""The variables by which a container finds Services without a name server, as the kubelet makes them.

Their names are Kubernetes' (pkg/kubelet/envvars): NAME_SERVICE_HOST and NAME_SERVICE_PORT, and for each port those that
Docker's links had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..model import Pod
from .model import Service, ServiceAllocation

MASTER = ("default", "kubernetes")
"""The Service of the API server. Its variables are in every container, asked for or not. There is no API server here,
so there is no such Service but where a manifest has it."""

_NAME = re.compile(
    r"[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

# execve(2) takes 2 MiB of arguments and environment together where the stack is as usual, each string with its NUL and
# a pointer; no single one may be longer than 128 KiB, which no variable of a Service is. The last 256 KiB are for the
# container's arguments and its own variables.
MOST_BYTES = (2048 - 256) * 1024
_REST = len("=") + len("\0") + 8


def may_be_link(name: str) -> bool:
    """Whether a variable of this name may come of a Service."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Links:
    """The variables of those Services of a cluster that have a cluster IP. ``master``: of ``MASTER``."""

    by_namespace: Mapping[str, Mapping[str, str]]
    master: Mapping[str, str]

    @classmethod
    def of(
        cls, services: Sequence[Service], allocations: Mapping[str, ServiceAllocation], pods: Sequence[Pod]
    ) -> Links:
        """:param allocations: what each Service has been given.
        :param pods: who may ask. Without them 10,000 Services have variables for nobody.
        """
        asking = {*(pod.namespace for pod in pods if pod.pinned is None and pod.template.service_links)}
        found: dict[str, dict[str, str]] = {}
        master: dict[str, str] = {}
        for service in sorted(services, key=lambda service: service.key):
            is_master = (service.namespace, service.name) == MASTER
            has = allocations.get(service.key)
            if (
                (is_master or service.namespace in asking)
                and service.has_address
                and service.ports
                and has
                and has.cluster_ip
            ):
                variables = dict(_variables(service, has.cluster_ip))
                if is_master:
                    master = variables
                found.setdefault(service.namespace, {}).update(variables)
        return cls({name: {**variables, **master} for name, variables in found.items()}, master)

    def of_pod(self, pod: Pod) -> Mapping[str, str]:
        """What its containers get if they are started now."""
        return self.by_namespace.get(pod.namespace, self.master) if pod.template.service_links else self.master

    def too_many(self, pods: Sequence[Pod]) -> list[str]:
        """Where no program could be started any more: a line for the first pod of each namespace."""
        sizes = {
            namespace: sum(len(name) + len(value) + _REST for name, value in variables.items())
            for namespace, variables in self.by_namespace.items()
        }
        first: dict[str, Pod] = {}
        for pod in pods:
            if pod.pinned is None and pod.template.service_links and sizes.get(pod.namespace, 0) > MOST_BYTES:
                first.setdefault(pod.namespace, pod)
        return [
            f"{pod.where}: the variables of all Services of the namespace {namespace} are more than the kernel hands "
            "to a program; set `enableServiceLinks: false` for its pods"
            for namespace, pod in first.items()
        ]


def _variables(service: Service, address: str) -> Iterator[tuple[str, str]]:
    name, first = _upper(service.name), service.ports[0]
    yield f"{name}_SERVICE_HOST", address
    yield f"{name}_SERVICE_PORT", str(first.port)
    for port in service.ports:
        if port.name:
            yield f"{name}_SERVICE_PORT_{_upper(port.name)}", str(port.port)
    yield f"{name}_PORT", f"{first.protocol.lower()}://{address}:{first.port}"
    for port in service.ports:
        prefix, protocol = f"{name}_PORT_{port.port}_{port.protocol}", port.protocol.lower()
        yield prefix, f"{protocol}://{address}:{port.port}"
        yield f"{prefix}_PROTO", protocol
        yield f"{prefix}_PORT", str(port.port)
        yield f"{prefix}_ADDR", address


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")

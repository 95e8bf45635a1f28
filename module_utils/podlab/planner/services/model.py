"""The words of the service layer: Services, and the endpoints behind them.

Plain values, as in ``model``. What a manifest leaves out has Kubernetes' default here already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

HEADLESS = "None"  # clusterIP of a Service that has none
LOAD_BALANCER, NODE_PORT, EXTERNAL_NAME = "LoadBalancer", "NodePort", "ExternalName"

OWN_CLASS = "podlab.io/gateway"
"""The ``loadBalancerClass`` that is served here; so is a Service without any."""

# Labels that keep kube-proxy away from a Service or an EndpointSlice, whatever their value.
OPT_OUT = ("service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless")

BY_SELECTOR = "endpointslice-controller.k8s.io"
BY_MIRROR = "endpointslicemirroring-controller.k8s.io"


@dataclass(frozen=True)
class ServicePort:
    """``target`` is a number, or the name of a port of the pod's. ``node_port`` 0: none is asked for."""

    port: int
    protocol: str = "TCP"
    name: str = ""
    target: int | str = 0
    node_port: int = 0
    app_protocol: str = ""


@dataclass(frozen=True)
class Ingress:
    """An address of a load balancer. Packets to one of mode ``Proxy`` end there, and are none of kube-proxy's."""

    ip: str = ""
    hostname: str = ""
    mode: str = "VIP"


@dataclass(frozen=True)
class Service:
    """A Service as it is written. Addresses are IPv4 and normalised; what is of IPv6 has been left out.

    ``cluster_ip`` is empty where one is to be given, and ``None`` of a headless Service. ``ingress`` is what the
    manifest's status says. ``body`` is the object as written.
    """

    namespace: str
    name: str
    where: str
    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    cluster_ip: str = ""
    external_ips: tuple[str, ...] = ()
    ingress: tuple[Ingress, ...] = ()
    load_balancer_ip: str = ""
    load_balancer_class: str = ""  # empty: whoever is the default one
    source_ranges: tuple[str, ...] = ()
    allocates_node_ports: bool = True
    external_local: bool = False
    internal_local: bool = False
    affinity_seconds: int = 0
    health_check_node_port: int = 0
    publishes_not_ready: bool = False
    prefers_close: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def is_balanced_here(self) -> bool:
        """Whether it waits for an address of this lab, and not for another balancer of its class."""
        return self.type == LOAD_BALANCER and self.load_balancer_class in ("", OWN_CLASS)

    @property
    def is_headless(self) -> bool:
        return self.cluster_ip == HEADLESS

    @property
    def has_address(self) -> bool:
        """Whether it has a cluster IP, once it has been given one."""
        return self.type != EXTERNAL_NAME and not self.is_headless

    @property
    def is_proxied(self) -> bool:
        """Whether any node has rules for it."""
        return self.has_address and not any(label in self.labels for label in OPT_OUT)

    @property
    def has_node_ports(self) -> bool:
        return self.type in (NODE_PORT, LOAD_BALANCER)

    @property
    def needs_health_check(self) -> bool:
        return self.type == LOAD_BALANCER and self.external_local


@dataclass(frozen=True)
class ServiceAllocation:
    """What a Service has besides what is written: given out by the plan, or as the manifest asks for it.

    ``node_ports`` stand beside the ports of the Service; 0 is none.
    """

    cluster_ip: str = ""
    node_ports: tuple[int, ...] = ()
    health_check_node_port: int = 0
    ingress: tuple[Ingress, ...] = ()


@dataclass(frozen=True)
class SlicePort:
    """``port`` 0 is none: kube-proxy passes over such a port."""

    port: int
    protocol: str = "TCP"
    name: str = ""
    app_protocol: str = ""


@dataclass(frozen=True)
class Endpoint:
    """One address behind a Service. ``target`` is the key of the pod that has it. ``zones`` are hints."""

    address: str
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    target: str = ""
    hostname: str = ""
    zone: str = ""
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slice:
    """An EndpointSlice. ``manager`` is who has made it, and empty for one that is written down.

    ``service`` is the name of the Service in its namespace, or nothing. ``body`` is the object where it was written.
    """

    namespace: str
    name: str
    service: str
    ports: tuple[SlicePort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    manager: str = ""
    is_proxied: bool = True
    body: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Endpoints:
    """An object of kind Endpoints, and the slices that it becomes if its Service has no selector."""

    namespace: str
    name: str
    mirrors: tuple[Slice, ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

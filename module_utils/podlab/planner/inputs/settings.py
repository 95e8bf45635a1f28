"""The settings of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model import Image


@dataclass(frozen=True)
class Cluster:
    """Settings that hold for every host; the argument spec of the ``plan`` role describes them."""

    cidr: str = "10.1.0.0/16"
    node_prefix: int = 24
    service_cidr: str = "10.96.0.0/16"
    node_port_range: str = "30000-32767"
    domain: str = "cluster.local"
    dns: str = ""
    pod_routing: str = "gateway"
    vxlan_id: int = 1
    vxlan_port: int = 8472
    non_masquerade_cidrs: tuple[str, ...] = ("10.0.0.0/8",)
    bridge: str = "cbr0"
    verify_port: int = 20256
    ready_timeout: int = 60
    allow_host_path: bool = False
    # of the service layer, named as kube-proxy's options are
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    load_balancer_pool: str = ""
    affinity_by_ipset: bool = False
    reject_undefined_ports: bool = False
    images: Mapping[str, Image] = field(default_factory=dict)

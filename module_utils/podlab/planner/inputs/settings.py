"""Every setting of an inventory in one table, and the settings of a cluster as the planner reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..model import Image

PREFIX = "podlab_"


@dataclass(frozen=True)
class Setting:
    """One variable of an inventory.

    ``of`` says whose it is: one value for the whole ``cluster`` or for a ``run``, or a value a ``host``. ``old`` is the
    name that it had once.
    """

    name: str
    of: Literal["cluster", "run", "host"]
    type: type
    default: Any
    old: str = ""


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("podlab_cluster_cidr", "cluster", str, "10.1.0.0/16", old="cluster.cidr"),
        Setting("podlab_node_prefix", "cluster", int, 24, old="cluster.node_prefix"),
        Setting("podlab_service_cidr", "cluster", str, "10.96.0.0/16", old="cluster.service_cidr"),
        Setting("podlab_node_port_range", "cluster", str, "30000-32767", old="cluster.node_port_range"),
        Setting("podlab_domain", "cluster", str, "cluster.local", old="cluster.domain"),
        Setting("podlab_dns", "cluster", str, "", old="cluster.dns"),
        Setting("podlab_pod_routing", "cluster", str, "gateway", old="cluster.pod_routing"),
        Setting("podlab_vxlan_id", "cluster", int, 1, old="cluster.vxlan_id"),
        Setting("podlab_vxlan_port", "cluster", int, 8472, old="cluster.vxlan_port"),
        Setting("podlab_non_masquerade_cidrs", "cluster", list, ("10.0.0.0/8",), old="cluster.non_masquerade_cidrs"),
        Setting("podlab_bridge", "cluster", str, "cbr0", old="cluster.bridge"),
        Setting("podlab_verify_port", "cluster", int, 20256, old="cluster.verify_port"),
        Setting("podlab_ready_timeout", "cluster", int, 60, old="cluster.ready_timeout"),
        Setting("podlab_allow_host_path", "cluster", bool, False, old="cluster.allow_host_path"),
        Setting("podlab_allow_host_pid", "cluster", bool, False),
        Setting("podlab_allow_host_ipc", "cluster", bool, False),
        Setting("podlab_allow_privileged", "cluster", bool, False),
        Setting("podlab_allow_mount_propagation", "cluster", bool, False),
        # Of the service layer, named as kube-proxy's options are.
        Setting("podlab_masquerade_all", "cluster", bool, False, old="cluster.masquerade_all"),
        Setting("podlab_localhost_node_ports", "cluster", bool, True, old="cluster.localhost_node_ports"),
        Setting("podlab_node_port_addresses", "cluster", list, (), old="cluster.node_port_addresses"),
        Setting("podlab_load_balancer_pool", "cluster", str, "", old="cluster.load_balancer_pool"),
        Setting("podlab_affinity_by_ipset", "cluster", bool, False, old="cluster.affinity_by_ipset"),
        Setting("podlab_reject_undefined_ports", "cluster", bool, False, old="cluster.reject_undefined_ports"),
        Setting("podlab_images", "cluster", dict, {}, old="cluster.images"),
        Setting("podlab_manifests", "cluster", str, "manifests", old="manifests"),
        Setting("podlab_keep_power", "run", bool, False, old="keep_power"),
        Setting("podlab_remove_volumes", "run", bool, False),
        Setting("podlab_scripts", "run", str, None, old="scripts"),
        # None: where the host has systemd.
        Setting("podlab_boot", "host", bool, None),
        Setting("podlab_lab", "host", str, "default", old="lab_name"),
        Setting("podlab_silence", "host", float, 15.0, old="silence"),
        # None: ansible_host, for interfaces with /24.
        Setting("node_ip", "host", str, None),
        Setting("node_labels", "host", dict, {}),
        Setting("node_taints", "host", list, ()),
        Setting("interfaces", "host", list, None, old="legs"),
    )
}


def _default(name: str) -> Any:
    return SETTINGS[PREFIX + name].default


@dataclass(frozen=True)
class Cluster:
    """Settings that hold for every host, named as in ``SETTINGS`` without the prefix; ``cidr`` is ``cluster_cidr``."""

    cidr: str = _default("cluster_cidr")
    node_prefix: int = _default("node_prefix")
    service_cidr: str = _default("service_cidr")
    node_port_range: str = _default("node_port_range")
    domain: str = _default("domain")
    dns: str = _default("dns")
    pod_routing: str = _default("pod_routing")
    vxlan_id: int = _default("vxlan_id")
    vxlan_port: int = _default("vxlan_port")
    non_masquerade_cidrs: tuple[str, ...] = _default("non_masquerade_cidrs")
    bridge: str = _default("bridge")
    verify_port: int = _default("verify_port")
    ready_timeout: int = _default("ready_timeout")
    allow_host_path: bool = _default("allow_host_path")
    allow_host_pid: bool = _default("allow_host_pid")
    allow_host_ipc: bool = _default("allow_host_ipc")
    allow_privileged: bool = _default("allow_privileged")
    allow_mount_propagation: bool = _default("allow_mount_propagation")
    masquerade_all: bool = _default("masquerade_all")
    localhost_node_ports: bool = _default("localhost_node_ports")
    node_port_addresses: tuple[str, ...] = _default("node_port_addresses")
    load_balancer_pool: str = _default("load_balancer_pool")
    affinity_by_ipset: bool = _default("affinity_by_ipset")
    reject_undefined_ports: bool = _default("reject_undefined_ports")
    images: Mapping[str, Image] = field(default_factory=dict)

    @property
    def allowed(self) -> frozenset[str]:
        """What pods may do beyond themselves, by the end of the setting that allows it."""
        every = ("host_path", "host_pid", "host_ipc", "privileged", "mount_propagation")
        return frozenset(name for name in every if getattr(self, f"allow_{name}"))


def setting_of(attribute: str) -> str:
    """The variable that an attribute of ``Cluster`` is set by."""
    return PREFIX + {"cidr": "cluster_cidr"}.get(attribute, attribute)

"""Every setting of an inventory: those of a cluster as the planner reads them, and the table of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
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


@dataclass(frozen=True)
class Cluster:
    """Settings that hold for every host, by their names without the prefix; ``cidr`` is ``cluster_cidr``."""

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
    # Of the service layer, named as kube-proxy's options are.
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    load_balancer_pool: str = ""
    affinity_by_ipset: bool = False
    reject_undefined_ports: bool = False
    images: Mapping[str, Image] = field(default_factory=dict)


def setting_of(attribute: str) -> str:
    """The variable that an attribute of ``Cluster`` is set by."""
    return PREFIX + {"cidr": "cluster_cidr"}.get(attribute, attribute)


def _of_cluster() -> Iterator[Setting]:
    """An attribute that was never ``cluster.NAME`` says so: ``field(default=..., metadata={"old": ""})``."""
    for one in fields(Cluster):
        default = {} if one.default is MISSING else one.default
        kind = list if isinstance(default, tuple) else type(default)
        old = one.metadata.get("old", f"cluster.{one.name}")
        yield Setting(setting_of(one.name), "cluster", kind, default, old)


SETTINGS = {
    setting.name: setting
    for setting in (
        *_of_cluster(),
        Setting("podlab_manifests", "cluster", str, "manifests", old="manifests"),
        Setting("podlab_keep_power", "run", bool, False, old="keep_power"),
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

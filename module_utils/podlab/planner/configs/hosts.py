"""The rows of a host: what each component shall make true there. Those of its pods are in ``configs/pods.py``."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.system import node_sysctls
from ...changes.system.node_sysctls import BRIDGE_NETFILTER
from ...changes.system.sysctls import FORWARD
from ...changes.system.systemd import patterns
from ...configs import BridgeConfig, RoutesConfig, SystemConfig
from ...records.observation import ObservedSystem
from ..inputs.host import Host
from ..inputs.host_links import host_interfaces, uplink, uplink_interfaces
from ..inputs.settings import Cluster
from ..ipam.pod_addresses import gateway, pod_mac
from ..routing.registry import pod_routing
from .host_ports import HostPort
from .host_ports import sysctls as hostport_sysctls


def sysctls_of(
    host: Host,
    cluster: Cluster,
    ports: Sequence[HostPort] = (),
    nodes: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> dict[str, str]:
    """Kernel settings that a host needs to carry packets that are not its own.

    :param ports: the host ports of its pods.
    :param nodes: addresses of all nodes.
    :param hosts: addresses of all hosts.
    """
    device = uplink(host)
    wanted = {FORWARD: "1", **hostport_sysctls(ports)}
    seen, recorded = host.seen["sysctls"], host.record.get("sysctls", {})
    wanted |= node_sysctls.forwarding(uplink_interfaces(host, hosts), seen, recorded)
    if host.role == "node":
        wanted[BRIDGE_NETFILTER] = "1"
    if host.role == "gateway":
        # It sends packets out where they came in; told so, nodes would go past it.
        wanted["net.ipv4.conf.all.send_redirects"] = "0"
        wanted |= {
            f"net.ipv4.conf.{_slashed(interface)}.send_redirects": "0"
            for interface in [device, *host_interfaces(host, nodes)]
        }
    return wanted | node_sysctls.loose_rp_filter(str(device), seen, recorded)


def _slashed(device: str | None) -> str:
    return str(device).replace(".", "/")


def bridge_config(host: Host, cluster: Cluster, cidr: str) -> BridgeConfig:
    address, length = gateway(cidr), cidr.partition("/")[2]
    mtu = pod_routing(cluster).mtu(host)
    return {"name": cluster.bridge, "address": f"{address}/{length}", "mac": pod_mac(address), "mtu": mtu}


def system_config(host: Host, cluster: Cluster, ways: RoutesConfig) -> SystemConfig:
    """:param ways: the host's row of routes, with its end of the overlay."""
    return {"boot": boots(host), "links": patterns(cluster.bridge, ways["vxlan"])}


def boots(host: Host) -> bool:
    """Whether a host puts everything back after a reboot: without systemd only where somebody has asked for it."""
    return has_systemd(host) if host.boot is None else host.boot


def has_systemd(host: Host) -> bool:
    """Whether it is a machine: an embedded host has none."""
    return "systemd" in _system(host).get("daemons", ())


def kept_of(host: Host) -> list[str]:
    """Components of which a boot knows what they were told last, and the one that is the place for it."""
    return ["system", *_system(host).get("kept", ())]


def _system(host: Host) -> ObservedSystem:
    return host.seen.get("system") or {}

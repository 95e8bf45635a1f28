"""``vxlan``: nodes put packets of pods into packets of their own, so that no router between them has to know pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...changes import MAC_PREFIX, MARK
from ...changes.network.vxlan import OVERHEAD
from ...configs import PeerConfig, RouteConfig, VxlanConfig
from ..inputs.host import Host
from ..inputs.host_links import uplink, uplink_mtu
from ..inputs.settings import Cluster
from ..ipam.pod_addresses import pod_mac
from .host_gw import to_each_other_node
from .pod_routing import PodRouting


class Vxlan(PodRouting):
    name = "vxlan"

    def routes(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteConfig]]:
        device = self.overlay_device(cluster)
        nodes = [host.name for host in hosts if host.role == "node"]
        hops: dict[str, RouteConfig] = {
            name: {"to": cidrs[name], "via": self.overlay_address(cidrs[name]), "dev": device} for name in nodes
        }
        return to_each_other_node(hosts, hops)

    def mtu(self, host: Host) -> int:
        """An overlay must not fragment (RFC 7348, section 4.3)."""
        return uplink_mtu(host) - OVERHEAD

    def source_address(self, node: Host, cidr: str) -> str:
        return self.overlay_address(cidr)

    def overlay(
        self, cluster: Cluster, host: Host, nodes: Sequence[Host], cidrs: Mapping[str, str]
    ) -> VxlanConfig | None:
        device = uplink(host)
        if host.role != "node" or device is None:
            return None
        address = self.overlay_address(cidrs[host.name])
        return {
            "name": self.overlay_device(cluster),
            "id": cluster.vxlan_id,
            "port": cluster.vxlan_port,
            "local": host.address,
            "link": device,
            "address": f"{address}/32",
            "mac": pod_mac(address),
            "mtu": self.mtu(host),
            "peers": [self._peer(node, cidrs[node.name]) for node in nodes if node is not host],
        }

    def _peer(self, node: Host, cidr: str) -> PeerConfig:
        address = self.overlay_address(cidr)
        return {"address": address, "mac": pod_mac(address), "node": node.address}

    def overlay_device(self, cluster: Cluster) -> str:
        """flannel's is ``flannel.<VNI>``."""
        return f"vxlan.{cluster.vxlan_id}"

    def overlay_address(self, cidr: str) -> str:
        """That of the pod CIDR itself, which no pod has (flannel's choice too)."""
        return cidr.partition("/")[0]

    def overlay_port(self, cluster: Cluster) -> int:
        return cluster.vxlan_port

    def links_in_the_way(self, cluster: Cluster, host: Host) -> dict[str, str]:
        """Those with the name of the device, or with its VNI and port, of which the kernel has one only."""
        asked = {"id": cluster.vxlan_id, "port": cluster.vxlan_port}
        own = self.overlay_device(cluster)
        return {
            name: "podlab_vxlan_id"
            for name, link in host.seen["links"].items()
            if (name == own or asked.items() <= link.get("vxlan", {}).items())
            and link["alias"] != MARK
            and not (name == own and host.is_marked and link["mac"].startswith(MAC_PREFIX))
        }

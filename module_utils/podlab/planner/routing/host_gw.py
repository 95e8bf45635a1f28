"""``host-gw``: each node has a route to each other one, straight to its address (flannel's backend of that name)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from ...configs import RouteConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from .pod_routing import PodRouting


class HostGw(PodRouting):
    name = "host-gw"

    def validate(self, cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
        """One pair of nodes that are no neighbours says it all."""
        nodes = [host for host in hosts if host.role == "node"]
        for node in nodes:
            for other in nodes:
                if node.subnet and IPv4Address(other.address) not in node.subnet:
                    return [
                        self.invalid(
                            f"{other.name} ({other.address}) is not in {node.subnet}, the subnet of {node.name}, "
                            "and a next hop is one hop away; choose vxlan"
                        )
                    ]
        return []

    def routes(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteConfig]]:
        nodes = [host for host in hosts if host.role == "node"]
        hops: dict[str, RouteConfig] = {node.name: {"to": cidrs[node.name], "via": node.address} for node in nodes}
        return to_each_other_node(hosts, hops)


def to_each_other_node(hosts: Sequence[Host], hops: Mapping[str, RouteConfig]) -> dict[str, list[RouteConfig]]:
    """Routes of each node to all others; a gateway knows nothing of pods. :param hops: node -> the route to it."""
    return {
        host.name: [hop for name, hop in hops.items() if name != host.name] if host.role == "node" else []
        for host in hosts
    }

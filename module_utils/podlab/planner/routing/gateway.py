"""``gateway``: nodes send what is not theirs to a gateway, which alone knows which node holds which pod CIDR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address

from ...configs import RouteConfig
from ..inputs.host import Host
from ..inputs.settings import Cluster
from .pod_routing import PodRouting


class Gateway(PodRouting):
    name = "gateway"

    def lacking(self, roles: Mapping[str, int]) -> list[str]:
        if roles["node"] < 2 or roles["gateway"]:
            return []
        return [self.invalid("the inventory has no host in the group gateways")]

    def validate(self, cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
        nodes = [host for host in hosts if host.role == "node"]
        gateway = _gateway(hosts)
        if len(nodes) < 2 or gateway is None or gateway.observation is None:
            return []
        return [
            self.invalid(
                f"no gateway has an address in {node.subnet}, the subnet of {node.name}; add an interface to one, "
                "or choose vxlan"
            )
            for node in nodes
            if _next_hop(cluster, node, gateway) is None
        ]

    def routes(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteConfig]]:
        nodes = [host for host in hosts if host.role == "node"]
        found: dict[str, list[RouteConfig]] = {host.name: [] for host in hosts}
        gateway = _gateway(hosts)
        for host in hosts:
            if host.role == "gateway":
                found[host.name] = [{"to": cidrs[node.name], "via": node.address} for node in nodes]
            elif gateway and host.role == "node" and (hop := _next_hop(cluster, host, gateway)):
                found[host.name] = [{"to": cluster.cidr, "via": hop}]
        return found


def _gateway(hosts: Sequence[Host]) -> Host | None:
    return next((host for host in hosts if host.role == "gateway"), None)


def _next_hop(cluster: Cluster, host: Host, gateway: Host) -> str | None:
    """The gateway's address in the host's own subnet; a gateway has an interface in each."""
    addresses = [gateway.address, *(text.partition("/")[0] for text in gateway.addresses)]
    if gateway.observation is None:  # its other addresses are known to a host alone that has used one of them
        routes = host.seen.get("routes", [])
        addresses += [str(route["via"]) for route in routes if route["to"] == cluster.cidr and route.get("via")]
    # A host that was not read is taken for a neighbour.
    return next((one for one in addresses if host.subnet is None or IPv4Address(one) in host.subnet), None)

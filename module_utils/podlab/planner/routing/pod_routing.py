"""The three ways between nodes: over a gateway, straight to each other (host-gw), or in an overlay (vxlan)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from itertools import islice

from ...changes.network.routes import RouteRow
from ...changes.network.vxlan import OVERHEAD, PeerRow, VxlanRow
from ..inputs.cluster import Host
from ..inputs.settings import Cluster
from ..ipam.addresses import pod_mac
from ..preflight.host_checks import uplink, uplink_mtu


def routes_of(cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> dict[str, list[RouteRow]]:
    """Host -> its routes to the pods of other nodes.

    ``gateway``: nodes send what is not theirs to the gateway, which alone knows whose it is. ``host-gw`` and
    ``vxlan``: each node knows each other one, as with flannel, and a gateway knows nothing of pods.
    """
    nodes = [host for host in hosts if host.role == "node"]
    ways: dict[str, list[RouteRow]] = {host.name: [] for host in hosts}
    if cluster.pod_routing == "gateway":
        way = _gateway(hosts)
        for host in hosts:
            if host.role == "gateway":
                ways[host.name] = [{"to": cidrs[node.name], "via": node.address} for node in nodes]
            elif way and host.role == "node" and (hop := next_hop(cluster, host, way)):
                ways[host.name] = [{"to": cluster.cidr, "via": hop}]
        return ways
    hops: dict[str, RouteRow] = {node.name: {"to": cidrs[node.name], "via": node.address} for node in nodes}
    if cluster.pod_routing == "vxlan":
        name = device_name(cluster)
        hops = {node: {"to": cidr, "via": tunnel_end(cidr), "dev": name} for node, cidr in cidrs.items()}
    for host in nodes:
        ways[host.name] = [hops[node.name] for node in nodes if node is not host]
    return ways


def vxlan_row(cluster: Cluster, host: Host, nodes: Sequence[Host], cidrs: Mapping[str, str]) -> VxlanRow | None:
    """The overlay's end on a node; None where there is none."""
    device = uplink(host)
    if cluster.pod_routing != "vxlan" or host.role != "node" or device is None:
        return None
    end = tunnel_end(cidrs[host.name])
    return {
        "name": device_name(cluster),
        "id": cluster.vxlan_id,
        "port": cluster.vxlan_port,
        "local": host.address,
        "link": device,
        "address": f"{end}/32",
        "mac": pod_mac(end),
        "mtu": pod_mtu(cluster, host),
        "peers": [_peer(node, cidrs[node.name]) for node in nodes if node is not host],
    }


def _peer(node: Host, cidr: str) -> PeerRow:
    end = tunnel_end(cidr)
    return {"address": end, "mac": pod_mac(end), "node": node.address}


def carriers(cluster: Cluster, host: Host, nodes: Sequence[Host]) -> tuple[list[str], list[str]]:
    """A node's links that pods' packets pass, and the nodes that send it such packets wrapped up in an overlay."""
    links = [cluster.bridge, str(uplink(host))]
    if cluster.pod_routing != "vxlan":
        return links, []
    return [*links, device_name(cluster)], [node.address for node in nodes if node is not host]


def device_name(cluster: Cluster) -> str:
    """flannel's is ``flannel.<VNI>``."""
    return f"vxlan.{cluster.vxlan_id}"


def tunnel_end(cidr: str) -> str:
    """Address of a node in the overlay: that of its pod CIDR itself, which no pod has (flannel's choice too)."""
    return cidr.partition("/")[0]


def pod_mtu(cluster: Cluster, host: Host) -> int:
    """What fits into one packet of the node network (RFC 7348, section 4.3: an overlay must not fragment)."""
    return uplink_mtu(host) - (OVERHEAD if cluster.pod_routing == "vxlan" else 0)


def next_hop(cluster: Cluster, host: Host, way: Host) -> str | None:
    """The address of the gateway ``way`` in the host's own subnet; a gateway has a leg in each."""
    legs = [way.address, *(text.partition("/")[0] for text in way.addresses)]
    if way.observation is None:  # nobody knows its other legs now, but for the host that has used one of them
        routes = (host.observation or {}).get("routes", [])
        legs += [route["via"] for route in routes if route["to"] == cluster.cidr and route.get("via")]
    # A host that was not read is taken for a neighbour.
    return next((leg for leg in legs if host.subnet is None or IPv4Address(leg) in host.subnet), None)


def _gateway(hosts: Sequence[Host]) -> Host | None:
    return next((host for host in hosts if host.role == "gateway"), None)


def impossible_ways(cluster: Cluster, hosts: Sequence[Host]) -> list[str]:
    """Why nodes cannot reach each other in the way that the setting names."""
    nodes = [host for host in hosts if host.role == "node"]
    if len(nodes) < 2:
        return []
    if cluster.pod_routing == "gateway":
        way = _gateway(hosts)
        if way is None or way.observation is None:
            return []
        return [
            f'podlab_pod_routing: Invalid value: "gateway": no gateway has an address in {node.subnet}, '
            f"the subnet of {node.name}; add a leg to one, or choose vxlan"
            for node in nodes
            if next_hop(cluster, node, way) is None
        ]
    if cluster.pod_routing == "host-gw":
        subnets = [(node, subnet) for node in nodes if (subnet := node.subnet)]
        strangers = (
            (node, subnet, other)
            for node, subnet in subnets
            for other in nodes
            if IPv4Address(other.address) not in subnet
        )
        return [
            f'podlab_pod_routing: Invalid value: "host-gw": {other.name} ({other.address}) is not in {subnet}, '
            f"the subnet of {node.name}, and a next hop is one hop away; choose vxlan"
            for node, subnet, other in islice(strangers, 1)
        ]
    return []

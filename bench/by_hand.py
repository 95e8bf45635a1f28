"""Pods without podlab: a bridge, veth pairs, addresses and routes on two nodes, as commands.

Same topology, same MTU; none of podlab's rules and marks. Settings that decide which way a packet takes are the same:
a gateway that sent redirects would soon be passed by.
"""

from __future__ import annotations

from collections.abc import Mapping

from .labs import GATEWAY, address

SUBNET = {"node1": "10.1.1", "node2": "10.1.2"}
OVERHEAD = 50  # of VXLAN


def addresses(pods: Mapping[str, str]) -> dict[str, str]:
    """Pod -> address; ``pods`` is pod -> node."""
    return {pod: f"{SUBNET[node]}.{number}" for number, (pod, node) in enumerate(pods.items(), 2)}


def scripts(way: str, pods: Mapping[str, str]) -> dict[str, str]:
    """Host -> the shell script that makes it a node, or the gateway between two of them."""
    lines = {"gateway": _gateway() if way == "gateway" else []}
    for node, subnet in SUBNET.items():
        mtu = 1500 - (OVERHEAD if way == "vxlan" else 0)
        own = {pod: ip for pod, ip in addresses(pods).items() if pods[pod] == node}
        lines[node] = [
            "sysctl -qw net.ipv4.ip_forward=1",
            f"ip link add br0 mtu {mtu} type bridge",
            "ip link set br0 up",
            f"ip addr add {subnet}.1/24 dev br0",
            *(line for pod, ip in own.items() for line in _pod(pod, ip, f"{subnet}.1", mtu)),
            *_WAYS[way](node, next(other for other in SUBNET if other != node)),
        ]
    return {host: "\n".join(script) + "\n" for host, script in lines.items()}


def _pod(name: str, ip: str, gateway: str, mtu: int) -> list[str]:
    return [
        f"ip netns add {name}",
        f"ip link add veth-{name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {name}",
        f"ip link set veth-{name} master br0 up",
        f"ip -n {name} link set lo up",
        f"ip -n {name} addr add {ip}/24 dev eth0",
        f"ip -n {name} link set eth0 up",
        f"ip -n {name} route add default via {gateway}",
    ]


def _gateway() -> list[str]:
    return [
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0",
        *(f"ip route add {subnet}.0/24 via {address(node)}" for node, subnet in SUBNET.items()),
    ]


def _over_gateway(node: str, other: str) -> list[str]:
    return [f"ip route add {SUBNET[other]}.0/24 via {GATEWAY}"]


def _straight(node: str, other: str) -> list[str]:
    return [f"ip route add {SUBNET[other]}.0/24 via {address(other)}"]


def _overlay(node: str, other: str) -> list[str]:
    mac = {name: f"0a:58:00:00:00:0{number}" for number, name in enumerate(SUBNET, 1)}
    end = f"{SUBNET[other]}.0"
    return [
        f"ip link add vxlan1 address {mac[node]} mtu {1500 - OVERHEAD} type vxlan id 1 dstport 8472 "
        f"local {address(node)} dev eth0 nolearning",
        "ip link set vxlan1 up",
        f"ip addr add {SUBNET[node]}.0/32 dev vxlan1",
        f"ip neigh add {end} lladdr {mac[other]} dev vxlan1 nud permanent",
        f"bridge fdb append {mac[other]} dev vxlan1 dst {address(other)} self permanent",
        f"ip route add {end}/24 via {end} dev vxlan1 onlink",
    ]


_WAYS = {"gateway": _over_gateway, "host-gw": _straight, "vxlan": _overlay}

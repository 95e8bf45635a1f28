"""What a host's links and routes tell: by which of them packets come and go, and which are podlab's own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface

from ...changes import MARK, ROUTE_PROTOCOL
from ...records.observation import Link, Route
from .host import Host
from .settings import Cluster


def uplink(host: Host) -> str | None:
    """The link that bears the host's address."""
    links = host.seen.get("links", {})
    for name, link in links.items():
        if any(address.split("/")[0] == host.address for address in link["addresses"]):
            return str(name)
    return None


def host_interfaces(host: Host, nodes: Sequence[str]) -> list[str]:
    """The links that have a node in one of their networks: ``nodes`` are addresses, or names."""
    links = host.seen.get("links", {})
    numbers, own = _numbers(tuple(nodes)), _numbers((host.address,))
    networks = {name: map(_network_of, link["addresses"]) for name, link in links.items()}
    return [name for name, mine in networks.items() if any(_has_another(network, numbers, own) for network in mine)]


@lru_cache(16)
def _numbers(addresses: tuple[str, ...]) -> list[int]:
    """In order: to try each host's networks with all the other hosts would take the square of the cluster."""
    return sorted({int(IPv4Address(text)) for text in addresses if _is_address(text)})


@lru_cache(4096)
def _network_of(interface: str) -> tuple[int, int]:
    """The first and the last address of the network that a link's address is in."""
    network = IPv4Interface(interface).network
    return int(network.network_address), int(network.broadcast_address)


def _has_another(network: tuple[int, int], numbers: list[int], own: list[int]) -> bool:
    at = bisect_left(numbers, network[0])
    return any(number <= network[1] and number not in own for number in numbers[at : at + 2])


def uplink_interfaces(host: Host, hosts: Sequence[str]) -> list[str]:
    """The host's own links that packets of pods may come or go by: another host is there, or a router.

    :param hosts: addresses or names of the hosts of the inventory.
    """
    seen = host.seen
    routed = [str(route["dev"]) for route in seen.get("routes", []) if route.get("via") and route.get("dev")]
    found = dict.fromkeys([*([up] if (up := uplink(host)) else []), *host_interfaces(host, hosts), *routed])
    links = seen.get("links", {})
    return sorted(name for name in found if name in links and links[name]["alias"] != MARK)


def uplink_mtu(host: Host) -> int:
    """What the node network carries in one packet, in bytes."""
    return host.seen["links"][str(uplink(host))]["mtu"]


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def is_own(route: Route, host: Host, cluster: Cluster) -> bool:
    on_bridge = route.get("dev") == cluster.bridge and own_bridge(host, cluster) is not None
    return route["protocol"] == str(ROUTE_PROTOCOL) or on_bridge


def own_bridge(host: Host, cluster: Cluster) -> Link | None:
    """The bridge, if it bears podlab's mark."""
    link = host.seen.get("links", {}).get(cluster.bridge)
    return link if link and link["alias"] == MARK else None

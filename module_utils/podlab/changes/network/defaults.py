"""What is worked out for a person who does not say it: addresses, MACs and MTUs, as the plan has them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface

from ...records.observation import Link, Route
from .. import MAC_PREFIX

BRIDGE = "cbr0"
DEFAULT_ROUTE = "0.0.0.0/0"
ETHERNET = 1500  # bytes, of a host without a way out


def mac(address: str) -> str:
    """A pinned MAC, as the CNI plugins derive it: what was repaired is found by the ARP entries of its neighbours."""
    return MAC_PREFIX + ":".join(f"{byte:02x}" for byte in IPv4Interface(address).ip.packed)


def gateway(address: str) -> str:
    """The first address of the network, which the bridge has."""
    return str(IPv4Interface(address).network.network_address + 1)


def uplink(links: Mapping[str, Link], routes: Sequence[Route]) -> str | None:
    """The link of the default route; of several, that with the lowest metric."""
    ways = [route for route in routes if route["to"] == DEFAULT_ROUTE and route.get("dev") in links]
    return min(ways, key=lambda route: route.get("metric") or 0)["dev"] if ways else None


def uplink_mtu(links: Mapping[str, Link], routes: Sequence[Route]) -> int:
    """What leaves the host in one packet."""
    return links[found]["mtu"] if (found := uplink(links, routes)) else ETHERNET


def pod_mtu(bridge: str, links: Mapping[str, Link], routes: Sequence[Route]) -> int:
    """The bridge's own, or that which it gets where nobody says another one."""
    return links[bridge]["mtu"] if bridge in links else uplink_mtu(links, routes)

"""What a host's links and routes tell: by which of them packets come and go, and which are podlab's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from ...changes import MARK, ROUTE_PROTOCOL
from ...changes.network.bridge import Link
from .host import Host
from .settings import Cluster


def uplink(host: Host) -> str | None:
    """The link that bears the host's address."""
    links = (host.observation or {}).get("links", {})
    for name, link in links.items():
        if any(address.split("/")[0] == host.address for address in link["addresses"]):
            return str(name)
    return None


def uplink_mtu(host: Host) -> int:
    """What the node network carries in one packet, in bytes."""
    mtu: int = (host.observation or {})["links"][uplink(host)]["mtu"]
    return mtu


def legs(host: Host, nodes: Sequence[str]) -> list[str]:
    """The links that have a node in one of their networks: ``nodes`` are addresses."""
    links = (host.observation or {}).get("links", {})
    networks = {name: [IPv4Interface(text).network for text in link["addresses"]] for name, link in links.items()}
    return [name for name, own in networks.items() if any(IPv4Address(node) in net for node in nodes for net in own)]


def ways_out(host: Host, others: Sequence[str]) -> list[str]:
    """The host's own links that packets of pods may come or go by: one of the other hosts is there, or a router.

    :param others: addresses or names of the other hosts of the inventory.
    """
    seen = host.observation or {}
    known = [text for text in others if _is_address(text)]
    routed = [str(route["dev"]) for route in seen.get("routes", []) if route.get("via") and route.get("dev")]
    found = dict.fromkeys([*([up] if (up := uplink(host)) else []), *legs(host, known), *routed])
    links = seen.get("links", {})
    return sorted(name for name in found if name in links and links[name]["alias"] != MARK)


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def is_own(route: Mapping[str, Any], host: Host, cluster: Cluster) -> bool:
    on_bridge = route.get("dev") == cluster.bridge and own_bridge(host, cluster) is not None
    return route["protocol"] == str(ROUTE_PROTOCOL) or on_bridge


def own_bridge(host: Host, cluster: Cluster) -> Link | None:
    """The bridge, if it bears podlab's mark."""
    link: Link | None = (host.observation or {}).get("links", {}).get(cluster.bridge)
    return link if link and link["alias"] == MARK else None

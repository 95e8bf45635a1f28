"""What a person says of a bridge, completed with what has a default, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

from ...configs import BridgeConfig
from ...records.observation import Link, Route
from .. import MAC_PREFIX, MARK
from .. import input_checks as check
from . import defaults
from .conflicts import holders

EXAMPLE = "10.1.1.1/24"


def complete(given: Mapping[str, Any], links: Mapping[str, Link], routes: Sequence[Route]) -> BridgeConfig:
    """:param given: what ``problems`` finds nothing wrong with; what was left out is None."""
    return {
        "name": given["name"],
        "address": given["address"],
        "mac": given["mac"] or defaults.mac(given["address"]),
        "mtu": given["mtu"] or defaults.uplink_mtu(links, routes),
    }


def problems(given: Mapping[str, Any]) -> Iterator[str]:
    """In the words of the role's inputs."""
    yield from check.of_link("bridge_name", given["name"])
    yield from check.of_interface("bridge_address", given["address"], EXAMPLE)
    if given["mac"] is not None:
        yield from check.of_mac("bridge_mac", given["mac"])
    if given["mtu"] is not None:
        yield from check.of_mtu("bridge_mtu", given["mtu"])


def in_the_way(name: str, address: str, links: Mapping[str, Link], routes: Sequence[Route]) -> list[str]:
    """A link of that name without podlab's mark, and what holds its network. :param address: a sound one."""
    link = links.get(name)
    found = []
    if link and link["alias"] != MARK and not link["mac"].startswith(MAC_PREFIX):
        found.append(f"link {name} is in the way: podlab has not made it; remove it, or take another bridge_name")
    others = {other: one for other, one in links.items() if other != name and not one["alias"].startswith(MARK)}
    return found + holders(IPv4Interface(address).network, others, routes)

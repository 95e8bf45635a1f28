"""What holds a network already that a person wants for something of podlab's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network

from ...records.observation import Link, Route


def holders(wanted: IPv4Network, links: Mapping[str, Link], routes: Sequence[Route]) -> list[str]:
    """In sentences. :param links: those of others."""
    words = f"network {wanted} is in use: {{}}; take another one"
    held = [
        words.format(f"link {name} has {address}")
        for name, link in links.items()
        for address in link["addresses"]
        if IPv4Interface(address).network.overlaps(wanted)
    ]
    # A route to a wider network leads past this one, whose own is longer; an equal one or a longer one would win.
    return held or [
        words.format(f"a route leads {route['to']} to {route.get('via') or route.get('dev')}")
        for route in routes
        if route["protocol"] != "kernel" and IPv4Network(route["to"]).subnet_of(wanted) and route.get("dev") in links
    ]

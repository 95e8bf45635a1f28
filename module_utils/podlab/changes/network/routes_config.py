"""What a person says of routes, completed with what has a default, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ...configs import RouteConfig, RoutesConfig
from ...records.observation import Link, Route
from .. import ROUTE_PROTOCOL
from .. import input_checks as check

EXAMPLE = "10.1.2.0/24"


def complete(given: Mapping[str, Any], remembered: Sequence[str] = ()) -> RoutesConfig:
    """:param given: what ``problems`` finds nothing wrong with; what was left out is None.
    :param remembered: routes that were there before podlab, as the host's record has them.
    """
    return {
        "within": given["within"],
        "foreign": list(remembered) if given["foreign"] is None else given["foreign"],
        "routes": [{key: value for key, value in route.items() if value is not None} for route in given["routes"]],  # type: ignore[misc]
        "vxlan": given["vxlan"],
        "relay": given["relay"],
    }


def problems(given: Mapping[str, Any]) -> Iterator[str]:
    """In the words of the role's inputs."""
    if given["within"] is not None:
        yield from check.of_network("routes_within", given["within"], "10.1.0.0/16")
    for cidr in given["foreign"] or ():
        yield from check.of_network("routes_foreign", cidr, EXAMPLE)
    for number, route in enumerate(given["routes"]):
        yield from (f"routes_list[{number}]: {words}" for words in _of_route(route))
    for to, count in Counter(route["to"] for route in given["routes"]).items():
        if count > 1:
            yield f"routes_list: {to} is in it {count} times; a network has one next hop"


def _of_route(route: Mapping[str, Any]) -> Iterator[str]:
    yield from check.of_network("to", route["to"], EXAMPLE)
    if check.address(route["via"]) is None:
        yield f"via: {check.shown(route['via'])}write the next hop's IPv4 address, as 10.100.0.3"
    if route.get("dev") is not None:
        yield from check.of_link("dev", route["dev"])


def in_the_way(config: RoutesConfig, routes: Sequence[Route]) -> list[str]:
    """What is inside of ``within`` before the first route of podlab's. After that it is drift."""
    own = str(ROUTE_PROTOCOL)
    if config["within"] is None or any(route["protocol"] == own for route in routes):
        return []
    within = IPv4Network(config["within"])
    words = "route {} to {} is in the way: podlab has not made it; remove it, or name it in routes_foreign"
    return [
        words.format(route["to"], route.get("via") or route.get("dev") or "nowhere")
        for route in routes
        if route["protocol"] != "kernel" and route["to"] not in config["foreign"]
        if IPv4Network(route["to"]).subnet_of(within)
    ]


def unreachable(wanted: Sequence[RouteConfig], links: Mapping[str, Link], routes: Sequence[Route]) -> list[str]:
    """Next hops that no link of the host leads to: the kernel would refuse each of them, the first one alone."""
    direct = [IPv4Interface(text).network for link in links.values() for text in link["addresses"] if link["up"]]
    direct += [IPv4Network(route["to"]) for route in routes if route.get("dev") and not route.get("via")]
    return [
        f"routes_list: no link of this host leads to {route['via']}, the next hop to {route['to']}"
        for route in wanted
        if not route.get("dev") and not any(IPv4Address(route["via"]) in network for network in direct)
    ] + [
        f"routes_list: there is no link {route['dev']}, the dev of {route['to']}"
        for route in wanted
        if route.get("dev") and route["dev"] not in links
    ]

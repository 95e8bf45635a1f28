"""Routes to the pods of other nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import TypedDict

from . import ROUTE_PROTOCOL


class Route(TypedDict, total=False):
    """A route of the main table as ``ip route show`` tells it; ``default`` is 0.0.0.0/0."""

    to: str
    via: str | None
    dev: str | None
    protocol: str
    metric: int


class RouteRow(TypedDict):
    to: str
    via: str


class RoutesRow(TypedDict):
    """Every route inside ``within`` is podlab's, but for those of ``foreign``, which were there before it,
    and those that the kernel makes for an address of a link."""

    within: str
    foreign: list[str]
    routes: list[RouteRow]


def changes(observed: Sequence[Route], row: RoutesRow) -> list[str]:
    """Lines for ``ip -batch``: first what is missing or leads elsewhere, then what has to go."""
    within = IPv4Network(row["within"])
    wanted = {route["to"]: route["via"] for route in row["routes"]}
    ours = [route for route in observed if _is_ours(route, within, row["foreign"])]
    sound = {route["to"] for route in ours if _is_sound(route, wanted)}
    missing = {to: via for to, via in wanted.items() if to not in sound}
    replaced: set[str] = set()
    surplus = []
    for route in ours:
        if _is_sound(route, wanted):
            continue
        # "replace" takes the place of the first route of that network without a metric, and of no other.
        if route["to"] in missing and route["to"] not in replaced and not route.get("metric"):
            replaced.add(route["to"])
        else:
            surplus.append(f"route del {route['to']}{_way(route)}")
    return [f"route replace {to} via {via} proto {ROUTE_PROTOCOL}" for to, via in missing.items()] + surplus


def removal(observed: Sequence[Route]) -> list[str]:
    """Lines that take podlab's routes away."""
    return [f"route del {route['to']}{_way(route)}" for route in observed if route["protocol"] == str(ROUTE_PROTOCOL)]


def _is_sound(route: Route, wanted: Mapping[str, str]) -> bool:
    return (
        route["to"] in wanted
        and route.get("via") == wanted[route["to"]]
        and route["protocol"] == str(ROUTE_PROTOCOL)
        and not route.get("metric")
    )


def _is_ours(route: Route, within: IPv4Network, foreign: Sequence[str]) -> bool:
    if route["protocol"] == str(ROUTE_PROTOCOL):
        return True
    if route["protocol"] == "kernel" or route["to"] in foreign:
        return False
    return IPv4Network(route["to"]).subnet_of(within)


def _way(route: Route) -> str:
    """What tells this route from another one to the same network."""
    via = f" via {route['via']}" if route.get("via") else ""
    dev = f" dev {route['dev']}" if route.get("dev") else ""
    metric = f" metric {route['metric']}" if route.get("metric") else ""
    protocol = route["protocol"] if route["protocol"].isdigit() else "boot"  # ip does not print that one
    return f"{via}{dev}{metric} proto {protocol}"

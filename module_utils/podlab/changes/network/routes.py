"""Routes to the pods of other nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from ...configs import RouteConfig, RoutesConfig
from ...records.observation import Link, Route, Tunnel
from .. import ROUTE_PROTOCOL
from ..actions import Action, Bridge, Ip, Run, Sysctl, set_sysctls
from . import vxlan

PARTS = {
    "make": ("lost", "device", "settings", "entries", "relayed"),
    "switch": ("routes",),
    "break": ("unused",),
}
"""Another way between nodes comes in three parts, each of which begins when all hosts are through with the one before
(make before break): what packets will need, wherever they pass; then nodes send by it, one by one; and what nobody
sends by any more goes last."""


@dataclass(frozen=True)
class RouteChanges:
    """In the order of its fields, as flannel does it: the overlay's device, its ARP and FDB entries, and the routes
    last, so that no packet is sent before it is known where to. ``relayed`` are routes that others' packets take."""

    lost: list[Run] = field(default_factory=list)  # takes away a device that somebody moved elsewhere
    device: list[Ip] = field(default_factory=list)
    settings: list[Sysctl] = field(default_factory=list)
    entries: list[Bridge] = field(default_factory=list)
    relayed: list[Ip] = field(default_factory=list)
    routes: list[Ip] = field(default_factory=list)
    unused: list[Ip] = field(default_factory=list)

    def part(self, name: str) -> RouteChanges:
        """One of ``PARTS``."""
        return RouteChanges(**{key: getattr(self, key) for key in PARTS[name]})

    def parts(self) -> list[str]:
        """Those that have anything to do."""
        return [name for name in PARTS if self.part(name).actions()]

    def actions(self) -> list[Action]:
        return [action for several in vars(self).values() for action in several]


def steps(
    links: Mapping[str, Link],
    tunnels: Mapping[str, Tunnel],
    observed: Sequence[Route],
    row: RoutesConfig,
    lost: Sequence[list[str]] = (),
) -> RouteChanges:
    """What leads to the pods of others: the overlay, if there is one, and the routes.

    :param lost: commands that delete overlay devices of ours which somebody moved into other namespaces.
    """
    overlay = row["vxlan"]
    if overlay:  # what leads over a device that goes, goes with it
        gone = {*vxlan.clashing(links, overlay), *([] if vxlan.is_there(links, overlay) else [overlay["name"]])}
        observed = [route for route in observed if route.get("dev") not in gone]
    device, entries = vxlan.changes(links, tunnels, overlay)
    settings = vxlan.settings(links, tunnels, overlay)
    come, go = ([*map(Ip, lines)] for lines in changes(observed, row))
    unused = [*map(Ip, vxlan.removal(links, overlay))]
    overlay_steps = RouteChanges([*map(Run, lost)], [*map(Ip, device)], set_sysctls(settings), [*map(Bridge, entries)])
    if row.get("relay"):
        return replace(overlay_steps, relayed=come, unused=go + unused)
    return replace(overlay_steps, routes=come + go, unused=unused)


def changes(observed: Sequence[Route], row: RoutesConfig) -> tuple[list[str], list[str]]:
    """Lines for ``ip -batch``: what is missing or leads elsewhere, and what has to go after that."""
    within = IPv4Network(row["within"]) if row["within"] else None
    wanted = {route["to"]: route for route in row["routes"]}
    ours = [route for route in observed if _is_ours(route, within, row["foreign"])]
    sound = {route["to"] for route in ours if _is_sound(route, wanted)}
    missing = {to: route for to, route in wanted.items() if to not in sound}
    replaced: set[str] = set()
    surplus = []
    for route in ours:
        if _is_sound(route, wanted):
            continue
        # "replace" takes the place of the first route of that network without a metric, and of no other.
        plain = not (route.get("metric") or route.get("table"))
        if route["to"] in missing and route["to"] not in replaced and plain:
            replaced.add(route["to"])
        else:
            surplus.append(f"route del {route['to']}{_way(route)}")
    return [f"route replace {_words(route)} proto {ROUTE_PROTOCOL}" for route in missing.values()], surplus


def _words(route: RouteConfig) -> str:
    onlink = f" dev {route['dev']} onlink" if route.get("dev") else ""
    return f"{route['to']} via {route['via']}{onlink}"


def removal(observed: Sequence[Route]) -> list[str]:
    """Lines that take podlab's routes away."""
    return [f"route del {route['to']}{_way(route)}" for route in observed if route["protocol"] == str(ROUTE_PROTOCOL)]


def _is_sound(route: Route, wanted: Mapping[str, RouteConfig]) -> bool:
    row = wanted.get(route["to"])
    return (
        row is not None
        and route.get("via") == row["via"]
        and (not row.get("dev") or route.get("dev") == row["dev"])
        and route["protocol"] == str(ROUTE_PROTOCOL)
        and not (route.get("metric") or route.get("table") or "more" in route)
    )


def _is_ours(route: Route, within: IPv4Network | None, foreign: Sequence[str]) -> bool:
    if route["protocol"] == str(ROUTE_PROTOCOL):
        return True
    # The kernel makes routes for addresses of links; whoever writes another one can say that it was the kernel.
    if (route["protocol"] == "kernel" and route.get("dev") and not route.get("via")) or route["to"] in foreign:
        return False
    return within is not None and IPv4Network(route["to"]).subnet_of(within)


def _way(route: Route) -> str:
    """What tells this route from another one to the same network."""
    via = f" via {route['via']}" if route.get("via") else ""
    dev = f" dev {route['dev']}" if route.get("dev") else ""
    metric = f" metric {route['metric']}" if route.get("metric") else ""
    table = f" table {route['table']}" if route.get("table") else ""
    # ip does not print "boot".
    protocol = route["protocol"] if route["protocol"].isdigit() or route["protocol"] == "kernel" else "boot"
    return f"{via}{dev}{metric}{table} proto {protocol}"

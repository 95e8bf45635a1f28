"""Kernel settings that a host needs to carry packets that are not its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...records.observation import Link, Route
from .. import MARK
from ..network.defaults import uplink
from ..network.link_state import knob
from .sysctls import FORWARD, is_forwarding

BRIDGE_NETFILTER = "net.bridge.bridge-nf-call-iptables"
"""Without it a pod's answer to a pod of the same node passes the bridge unseen by iptables, and a service address is
never turned back."""

RP_FILTERS = (knob("all", "rp_filter"),)


def of_node(
    links: Mapping[str, Link], routes: Sequence[Route], seen: Mapping[str, str], recorded: Mapping[str, str]
) -> dict[str, str]:
    """Those of a host with pods, by what it tells of itself; the plan knows the other hosts as well."""
    ways = sorted({str(route["dev"]) for route in routes if route.get("via") and route.get("dev") in links})
    own = [name for name in ways if links[name]["alias"] != MARK]
    wanted = {FORWARD: "1", **forwarding(own, seen, recorded), BRIDGE_NETFILTER: "1"}
    device = uplink(links, routes)
    return wanted | (loose_rp_filter(device, seen, recorded) if device else {})


def forwarding(ways_out: Iterable[str], seen: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """Of a single link it may be off for all that is said of all; a link that is yet to be made has that of "default".

    :param ways_out: links that others' packets come and go by.
    """
    wanted = {knob(name, "forwarding"): "1" for name in ["default", *ways_out]}
    return wanted | {key: "1" for key in recorded if is_forwarding(key) and key in seen}


def loose_rp_filter(device: str, seen: Mapping[str, str], recorded: Mapping[str, str]) -> dict[str, str]:
    """Packets of the outside come through the gateway, whatever way this host would send them itself."""
    key = knob(device, "rp_filter")
    is_strict = "1" in (seen.get(knob("all", "rp_filter")), seen.get(key)) and seen.get(key) != "2"
    return {key: "2"} if is_strict or key in recorded else {}

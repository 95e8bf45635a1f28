"""Namespaces, bridges and veth pairs: what separates them from what they shall be, as commands of ip(8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface
from typing import TypedDict

from ...records.observation import Link, Route
from ..actions import Action, Ip, NetnsIp, Run
from ..network.defaults import mac
from . import NAMESPACE_MARK
from .configs import BRIDGED, ISOLATED, NamespaceConfig, network


class ObservedNamespace(TypedDict):
    """A named network namespace; of one without the mark nothing else is known."""

    is_marked: bool
    lo_up: bool
    eth0: Link | None
    defaults: list[str]  # default routes, in ip(8)'s words
    connected: list[str]  # networks that the kernel has a route to by eth0


class Observed(TypedDict):
    """What a host has that single namespaces are made of."""

    links: Mapping[str, Link]
    routes: Sequence[Route]
    namespaces: Mapping[str, ObservedNamespace]
    tables: Mapping[str, Mapping[str, Sequence[str]]]  # iptables
    ip_forward: str
    has_dummy: bool  # whether the kernel knows links of kind dummy


def isolated_kind(seen: Observed) -> str:
    """Where the kernel has no dummy links, a bridge without ports stands in: it has an address and no neighbour."""
    return "dummy" if seen["has_dummy"] else "bridge"


def own_links(seen: Observed) -> dict[str, Link]:
    """Links of the host that bear the mark."""
    return {name: link for name, link in seen["links"].items() if link["alias"] == NAMESPACE_MARK and name != "lo"}


def own_names(seen: Observed) -> list[str]:
    return [name for name, it in seen["namespaces"].items() if it["is_marked"]]


def changes(seen: Observed, wanted: Sequence[NamespaceConfig]) -> list[Action]:
    """What goes, then bridges, then one namespace after the other. What is sound is not named."""
    going = _surplus_links(seen, wanted)
    found: list[Action] = [Ip(f"link del {name}") for name in going]
    names = {one.name for one in wanted}
    found += [Run(("ip", "netns", "del", name)) for name in own_names(seen) if name not in names]
    for bridge, address in {one.bridge: one.host_address for one in wanted if one.bridge}.items():
        found += _bridge(seen, bridge, address)
    for one in wanted:
        found += _namespace(seen, one, gone=going)
    return found


def _surplus_links(seen: Observed, wanted: Sequence[NamespaceConfig]) -> list[str]:
    """Veths before bridges. One of another kind under a wanted name goes as well."""
    kinds = {one.bridge: "bridge" for one in wanted if one.bridge} | {one.veth: "veth" for one in wanted if one.veth}
    own = own_links(seen)
    surplus = [name for name, link in own.items() if kinds.get(name) != link["kind"]]
    return sorted(surplus, key=lambda name: (own[name]["kind"] == "bridge", name))


def _bridge(seen: Observed, name: str, address: str) -> Iterator[Action]:
    """Its MAC is pinned: a bridge without one takes that of a port, and another one when that port goes."""
    link = seen["links"].get(name)
    if link is None or link["kind"] != "bridge":
        yield Ip(f"link add {name} address {mac(address)} type bridge")
        yield Ip(f"link set {name} alias {NAMESPACE_MARK} up")
        yield Ip(f"addr add {address} brd + dev {name}")
        return
    if link["mac"] != mac(address):
        yield Ip(f"link set {name} address {mac(address)}")
    yield from _host_end(seen, name, link, address, master="")


def _namespace(seen: Observed, one: NamespaceConfig, gone: Sequence[str]) -> Iterator[Action]:
    there = seen["namespaces"].get(one.name)
    if there is None:
        yield Run(("ip", "netns", "add", one.name))  # alone: in a batch, an older ip stays in the namespace
        yield NetnsIp(one.name, f"link set lo alias {NAMESPACE_MARK} up")
    elif not there["lo_up"]:
        yield NetnsIp(one.name, "link set lo up")
    eth0 = there["eth0"] if there else None
    if eth0 and eth0["kind"] == "veth" and f"veth-{one.name}" in gone:
        eth0 = None  # both ends of a veth pair go at once
    if one.mode == ISOLATED:
        yield from _isolated(seen, one, there, eth0)
    else:
        yield from _wired(seen, one, there, eth0, gone)


def _isolated(
    seen: Observed, one: NamespaceConfig, there: ObservedNamespace | None, eth0: Link | None
) -> Iterator[Action]:
    kind = isolated_kind(seen)
    if eth0 and eth0["kind"] != kind:
        yield NetnsIp(one.name, "link del eth0")
        eth0 = None
    if eth0 is None:
        yield NetnsIp(one.name, f"link add eth0 type {kind}")
    yield from _inside(one, there, eth0)


def _wired(
    seen: Observed, one: NamespaceConfig, there: ObservedNamespace | None, eth0: Link | None, gone: Sequence[str]
) -> Iterator[Action]:
    veth = None if one.veth in gone else seen["links"].get(one.veth)
    if veth is None or eth0 is None or eth0["kind"] != "veth":
        if veth:
            yield Ip(f"link del {one.veth}")
        if eth0 and not (veth and eth0["kind"] == "veth"):
            yield NetnsIp(one.name, "link del eth0")
        eth0 = None
        yield Ip(f"link add {one.veth} type veth peer name eth0 address {mac(one.address)} netns {one.name}")
        master = f" master {one.bridge}" if one.bridge else ""
        yield Ip(f"link set {one.veth} alias {NAMESPACE_MARK}{master} up")
        if one.mode != BRIDGED:
            yield Ip(f"addr add {one.host_address} brd + dev {one.veth}")
    else:
        if eth0["mac"] != mac(one.address):
            yield NetnsIp(one.name, f"link set eth0 address {mac(one.address)}")
        yield from _host_end(seen, one.veth, veth, "" if one.bridge else one.host_address, master=one.bridge)
    yield from _inside(one, there, eth0)


def _host_end(seen: Observed, name: str, link: Link, address: str, master: str) -> Iterator[Action]:
    """Repair a link of the host: its port, its state, its address."""
    wrong = []
    if (link["master"] or "") != master:
        wrong.append(f"master {master}" if master else "nomaster")
    if not link["up"]:
        wrong.append("up")
    if wrong:
        yield Ip(f"link set {name} {' '.join(wrong)}")
    connected = [route["to"] for route in seen["routes"] if route["dev"] == name and route["protocol"] == "kernel"]
    for words in _addresses(name, link, address, connected):
        yield Ip(words)


def _inside(one: NamespaceConfig, there: ObservedNamespace | None, eth0: Link | None) -> Iterator[Action]:
    """Address, state and default route of eth0; None: it has just been made."""
    if eth0 is None or there is None:
        words = [f"addr add {one.address} brd + dev eth0", "link set eth0 up"]
        words += [f"route add {one.default_route}"] if one.default_route else []
    else:
        # Routes first: the last address of a link takes its routes along, and what is gone cannot be deleted.
        words = [f"route del {route}" for route in there["defaults"] if route != one.default_route]
        addressed = [] if eth0["up"] else ["link set eth0 up"]
        addressed += _addresses("eth0", eth0, one.address, there["connected"])
        words += addressed
        if one.default_route and (addressed or one.default_route not in there["defaults"]):
            words.append(f"route replace {one.default_route}")
    return (NetnsIp(one.name, line) for line in words)


def _addresses(name: str, link: Link, address: str, connected: Sequence[str]) -> list[str]:
    """The wanted address is written last: with promote_secondaries off, deleting the first address of a subnet takes
    the others of that subnet along.

    :param address: the only one of the link; empty for a link without any.
    """
    surplus = [other for other in link["addresses"] if other != address]
    words = [f"addr del {other} dev {name}" for other in surplus]
    if not address:
        return words
    if surplus or address not in link["addresses"]:
        words.append(f"addr replace {address} brd + dev {name}")
    # The kernel makes this route when the address comes or the link goes up, and never again.
    elif link["up"] and network(address).prefixlen < 32 and str(network(address)) not in connected:
        words.append(
            f"route replace {network(address)} dev {name} proto kernel scope link src {IPv4Interface(address).ip}"
        )
    return words

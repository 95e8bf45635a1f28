"""What is wrong with a list of namespaces, by itself and on this host: all of it, before anything is written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Interface

from ..input_checks import LINK_LENGTH, SHORTEST, shown, unusable
from ..network.conflicts import holders
from .configs import BRIDGED, HOST_ONLY, ISOLATED, MODES, VETH_PREFIX, Item, NamespaceConfig, config, network
from .links import Observed, own_links

NAME_LENGTH = LINK_LENGTH - len(VETH_PREFIX)
EXAMPLE = "192.168.222.10/24"
_ALONE = IPv4Interface("0.0.0.0/32")  # of an address whose network is not known
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")


def problems(items: Sequence[Item]) -> list[str]:
    """What is wrong with the list by itself, in sentences."""
    found = [f"{_label(n, item)}: {words}" for n, item in enumerate(items) for words in _of_item(item)]
    names = Counter(item["name"] for item in items if item["name"])
    found += [
        f"name {name} is given to {count} namespaces; give each its own" for name, count in names.items() if count > 1
    ]
    # Of several with one name this says nothing more.
    known = sound(items)
    return found + [words for n, one in enumerate(known) for other in known[:n] for words in _of_pair(other, one)]


def sound(items: Sequence[Item]) -> list[NamespaceConfig]:
    """Those with nothing wrong in themselves."""
    return [config(item) for item in items if not list(_of_item(item))]


def _label(number: int, item: Item) -> str:
    return f"namespace {item['name']}" if item["name"] else f"namespaces_list[{number}]"


def _of_item(item: Item) -> Iterator[str]:
    name, mode = item["name"], item["mode"]
    if not _NAME.fullmatch(name):
        yield f"name: {name!r} is no name; take letters, digits, '.', '_' and '-', and begin with a letter or digit"
    elif len(name) > NAME_LENGTH:
        yield f"name: {name} has more than {NAME_LENGTH} characters; link {VETH_PREFIX}{name} could not be made"
    if mode not in MODES:
        yield f"mode: {mode!r} is none of {', '.join(MODES)}" if mode else f"mode: say one of {', '.join(MODES)}"
        return
    yield from _of_bridge(mode, item["bridge"])
    address = _interface(item["address"])
    if address is None:
        yield f"address: {shown(item['address'])}write an IPv4 address with prefix length, as 192.168.222.10/24"
    else:
        yield from _of_address(mode, address)
    yield from _of_host_address(mode, item["host_address"], address)


def _of_bridge(mode: str, bridge: str) -> Iterator[str]:
    if bridge and mode != BRIDGED:
        yield f"bridge: mode {mode} has none; leave it out"
    elif bridge and (not _NAME.fullmatch(bridge) or len(bridge) > LINK_LENGTH):
        yield f"bridge: {bridge!r} is no name of a link; those have up to {LINK_LENGTH} letters, digits, '.', '_', '-'"


def _of_address(mode: str, address: IPv4Interface) -> Iterator[str]:
    if mode != ISOLATED and address.network.prefixlen > SHORTEST:
        yield f"address: {address} leaves no address for the host; take a prefix length of at most {SHORTEST}"
    else:
        yield from unusable("address", address.ip, address.network, EXAMPLE)


def _of_host_address(mode: str, given: str, address: IPv4Interface | None) -> Iterator[str]:
    if mode == ISOLATED:
        if given:
            yield f"host_address: mode {ISOLATED} has none, as the host has no way there; leave it out"
        return
    host = _interface(given, address or _ALONE)
    if host is None:
        yield f"host_address: {shown(given)}write the host's IPv4 address in the network of the namespace"
    elif address and host.network != address.network:
        yield f"host_address: {given} is not in {address.network}, the network of address {address}"
    elif address and host.ip == address.ip:
        yield f"address: {address.ip} is host_address too; the host and the namespace need one each"
    else:
        yield from unusable("host_address", host.ip, host.network, EXAMPLE)


def _interface(given: str, of: IPv4Interface | None = None) -> IPv4Interface | None:
    """:param of: gives an address its prefix length; without it, one that has none is no address."""
    if "/" not in given:
        given = f"{given}/{of.network.prefixlen}" if of else ""
    try:
        return IPv4Interface(given)
    except ValueError:
        return None


def _of_pair(one: NamespaceConfig, other: NamespaceConfig) -> Iterator[str]:
    if one.name == other.name or ISOLATED in (one.mode, other.mode):
        return  # isolated networks never meet
    for veth, bridge in ((one.veth, other.bridge), (other.veth, one.bridge)):
        if veth == bridge:
            yield f"bridge: {bridge} is the name of a namespace's veth; take another one"
    both = f"namespaces {one.name} and {other.name}"
    if one.bridge and one.bridge == other.bridge:
        if one.host_address != other.host_address:
            yield f"{both}: bridge {one.bridge} has one host_address, not {one.host_address} and {other.host_address}"
        elif one.address.split("/")[0] == other.address.split("/")[0]:
            yield f"{both}: both have address {one.address}; give each its own"
    elif network(one.address).overlaps(network(other.address)):
        shared = " (or the same bridge)" if one.mode == other.mode == BRIDGED else ""
        yield (
            f"{both}: {network(one.address)} and {network(other.address)} overlap; "
            f"give each a network of its own{shared}"
        )


def in_the_way(seen: Observed, wanted: Sequence[NamespaceConfig]) -> list[str]:
    """What bears a wanted name, or holds a wanted network, without the mark."""
    found = [
        f"network namespace {one.name} is in the way: podlab has not made it; remove it, or take another name"
        for one in wanted
        if one.name in seen["namespaces"] and not seen["namespaces"][one.name]["is_marked"]
    ]
    others = {name: link for name, link in seen["links"].items() if name not in own_links(seen)}
    names = dict.fromkeys(name for one in wanted for name in one.host_links)
    found += [
        f"link {name} is in the way: podlab has not made it; remove it, or take another name"
        for name in names
        if name in others
    ]
    networks = dict.fromkeys(network(one.address) for one in wanted if one.mode in (HOST_ONLY, BRIDGED))
    for wide in networks:
        found += holders(wide, others, seen["routes"])
    return found

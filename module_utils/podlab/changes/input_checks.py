"""What a person writes into the inputs of a role, checked: what is wrong with a value, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

LINK_LENGTH = 15  # of a link's name: IFNAMSIZ with its final zero is 16
SHORTEST = 30  # prefix length of a network with two addresses for hosts
_LINK = re.compile("[A-Za-z0-9][A-Za-z0-9._-]*")
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def shown(value: object) -> str:
    return f"{value!r} is none; " if value not in (None, "") else "it is missing; "


def interface(value: object) -> IPv4Interface | None:
    """An address with its prefix length."""
    try:
        return IPv4Interface(value) if isinstance(value, str) and "/" in value else None
    except ValueError:
        return None


def address(value: object) -> IPv4Address | None:
    try:
        return IPv4Address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def network(value: object) -> IPv4Network | None:
    try:
        return IPv4Network(value) if isinstance(value, str) and "/" in value else None
    except ValueError:
        return None


def of_interface(field: str, value: object, example: str) -> Iterator[str]:
    """The address of a link: one that a host can have."""
    found = interface(value)
    if found is None:
        yield f"{field}: {shown(value)}write an IPv4 address with prefix length, as {example}"
    else:
        yield from unusable(field, found.ip, found.network, example)


def unusable(field: str, ip: IPv4Address, within: IPv4Network, example: str) -> Iterator[str]:
    if ip.is_multicast or ip.is_loopback or ip.is_unspecified:
        yield f"{field}: {ip} is no address for a link; take one of a private network, as {example}"
    elif within.prefixlen <= SHORTEST and ip in (within.network_address, within.broadcast_address):
        kind = "network's own address" if ip == within.network_address else "broadcast address"
        yield f"{field}: {ip} is the {kind} of {within}; take one in between"


def of_network(field: str, value: object, example: str) -> Iterator[str]:
    if network(value) is None:
        own = interface(value)
        mend = f"write {own.network}" if own else f"write an IPv4 network, as {example}"
        yield f"{field}: {shown(value)}{mend}"


def of_link(field: str, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and _LINK.fullmatch(value) and len(value) <= LINK_LENGTH):
        words = f"is no name of a link; those have up to {LINK_LENGTH} letters, digits, '.', '_', '-'"
        yield f"{field}: {value!r} {words}"


def of_mac(field: str, value: object) -> Iterator[str]:
    if not (isinstance(value, str) and _MAC.fullmatch(value) and int(value[:2], 16) % 2 == 0):
        yield f"{field}: {value!r} is no MAC address of one link; write it as 0a:58:0a:01:01:01, in lower case"


def of_mtu(field: str, value: object) -> Iterator[str]:
    """68 is IPv4's (RFC 791), 65535 its longest packet."""
    if not (isinstance(value, int) and 68 <= value <= 65535):
        yield f"{field}: {value!r} is not from 68 to 65535"

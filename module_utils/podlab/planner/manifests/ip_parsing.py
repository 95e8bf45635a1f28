"""Addresses as Kubernetes reads them: with leading zeros, which are no octal numbers (``netutils.ParseIPSloppy``).

What comes out is normalised, because iptables would take 172.30.0.041 for 172.30.0.33.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from .reading import Field

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DOTTED = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_ZEROS = re.compile(r"\b0+(?=[0-9])")


def address(text: str) -> Address | None:
    """None where it is none. An IPv4 address in IPv6's clothes (``::ffff:10.0.0.1``) is an IPv4 address."""
    try:
        if _DOTTED.fullmatch(text):
            return IPv4Address(_ZEROS.sub("", text))
        found = None if "%" in text else IPv6Address(text)
    except ValueError:
        return None
    return found and (found.ipv4_mapped or found)


def network(text: str) -> Network | None:
    """A CIDR; bits behind the prefix are cut off."""
    ip, slash, prefix = text.partition("/")
    found = address(ip)
    if found is None or not slash or not re.fullmatch("[0-9]{1,3}", prefix):
        return None
    kind = IPv4Network if isinstance(found, IPv4Address) else IPv6Network
    try:
        return kind(f"{found}/{int(prefix)}", strict=False)
    except ValueError:
        return None


def check_usable(node: Field, found: Address, text: str) -> None:
    """What no endpoint and no external address may be (``ValidateNonSpecialIP``)."""
    if found.is_unspecified:
        node.invalid(f"may not be unspecified ({text})", text)
    if found.is_loopback:
        node.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)", text)
    if found.is_link_local:
        node.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)", text)
    if found in _LOCAL_MULTICAST[found.version]:
        node.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)", text)


_LOCAL_MULTICAST: dict[int, Network] = {4: IPv4Network("224.0.0.0/24"), 6: IPv6Network("ff02::/16")}

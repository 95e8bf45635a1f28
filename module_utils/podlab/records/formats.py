"""Strings and numbers that are more than their type says, as annotations of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Interface, IPv4Network, ip_address
from math import isfinite
from socket import inet_aton, inet_ntoa
from typing import Annotated, Any

from ..shapes import Rule


def _is_address(text: str) -> bool:
    try:
        return inet_ntoa(inet_aton(text)) == text
    except (OSError, ValueError):
        return False


_LENGTHS = frozenset(map(str, range(33)))


def _is_made_by(kind: Callable[[str], object]) -> Any:
    def holds(text: str) -> bool:
        try:
            kind(text)
            return True
        except ValueError:
            return False

    return holds


def _is_interface(text: str) -> bool:
    """As ``IPv4Interface`` reads it, which takes ten times as long: each pod has two of them."""
    address, _, length = text.partition("/")
    return (_is_address(address) and length in _LENGTHS) or _is_written_otherwise(text)


_is_written_otherwise: Callable[[str], bool] = _is_made_by(IPv4Interface)
# Each host tells the networks of all the others.
_is_network: Callable[[str], bool] = functools.lru_cache(4096)(_is_made_by(IPv4Network))


def _matches(pattern: str) -> Any:
    return re.compile(pattern).fullmatch


_is_like_a_time: Callable[[str], bool] = _matches("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_is_date_and_time = _is_made_by(datetime.fromisoformat)


@functools.lru_cache(1024)  # pods that came with one run have one time
def is_time(text: str) -> bool:
    """RFC 3339 in UTC, as Kubernetes writes it, of a day that there is."""
    return bool(_is_like_a_time(text) and _is_date_and_time(text[:-1]))


Address = Annotated[str, Rule(_is_address, "an IPv4 address")]
AnyAddress = Annotated[str, Rule(_is_made_by(ip_address), "an IP address")]
Interface = Annotated[str, Rule(_is_interface, "an IPv4 address with prefix length")]
Network = Annotated[str, Rule(_is_network, "an IPv4 network")]
Name = Annotated[str, Rule(_matches("[A-Za-z0-9][A-Za-z0-9._-]*"), "a name")]
Key = Annotated[str, Rule(_matches("[^/]+/[^/]+"), "namespace/name")]
ObjectKey = Annotated[str, Rule(_matches("[^/]+/[^/]+/[^/]+"), "Kind/namespace/name")]
Time = Annotated[str, Rule(is_time, "a time")]
Count = Annotated[int, Rule(lambda number: number >= 0, "greater than or equal to 0")]
Moment = Annotated[float, Rule(lambda seconds: 0 <= seconds < 2**37, "seconds since 1970")]
Seconds = Annotated[float, Rule(isfinite, "a number of seconds")]
Sysctl = Annotated[str, Rule(_matches(r"net\.[A-Za-z0-9_./-]+(?<!\.\.)"), "a kernel setting of the network")]
ClusterIP = Annotated[str, Rule(lambda text: text in ("", "None") or _is_address(text), "an IPv4 address or None")]
Strings = dict[str, str]

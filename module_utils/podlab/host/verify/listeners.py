"""Whether a program listens where an endpoint of a Service shall be: the sockets of its network namespace.

By sock_diag(7), as ss(8) asks. /proc/net/tcp6 does not say which sockets take IPv6 alone, and the kernel walks through
all connections of the machine to print it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

from ..network.namespaces import inside

LISTENS, NOTHING, FULL, ONLY = "listens", "nothing", "full", "only at "
"""``ONLY`` is followed by the addresses that it does listen at."""

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP = 4, 20, 0x301  # linux/netlink.h, linux/sock_diag.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
V6ONLY = 11  # INET_DIAG_SKV6ONLY
LOOPBACK_INDEX = 1
STATES = {"tcp": 1 << 10, "udp": 1 << 7}  # TCP_LISTEN; TCP_CLOSE is a datagram socket that is connected to nobody
NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}

_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_SOCKET = struct.Struct(">4xH2x16s16s")
_QUEUE = struct.Struct("=4xII8x")  # after the id: expires, rqueue, wqueue, uid, inode


class Listener(NamedTuple):
    protocol: str
    address: str
    port: int
    is_full: bool
    """Whether its queue of connections that nobody has accepted yet has no room left."""


def look(endpoints: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """``10.1.1.2:80/tcp`` -> what is there, of each endpoint; those that cannot be known are left out.

    :param endpoints: ``netns``, ``address``, ``port``, ``protocol``.
    """
    known: dict[str | None, list[Listener]] = {}
    found = {}
    for endpoint in endpoints:
        netns = endpoint["netns"]
        try:
            if netns not in known:
                known[netns] = list(listeners(netns))
        except OSError:
            continue
        to = f"{endpoint['address']}:{endpoint['port']}/{endpoint['protocol']}"
        found[to] = state(known[netns], endpoint["protocol"], endpoint["address"], endpoint["port"])
    return found


def state(some: Iterable[Listener], protocol: str, address: str, port: int) -> str:
    here = [one for one in some if (one.protocol, one.port) == (protocol, port)]
    fitting = [one for one in here if one.address in ("0.0.0.0", address)]
    if fitting:
        return FULL if all(one.is_full for one in fitting) else LISTENS
    return ONLY + ", ".join(sorted({one.address for one in here})) if here else NOTHING


def listeners(netns: str | None) -> Iterator[Listener]:
    """All that a network namespace listens at. A socket for IPv6 that takes IPv4 as well listens at 0.0.0.0."""
    with inside(netns):
        diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    with diag:
        for family in (socket.AF_INET, socket.AF_INET6):
            for protocol, number in NUMBERS.items():
                body = _REQUEST.pack(family, number, 0, 0, STATES[protocol])
                diag.send(_HEADER.pack(_HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, DUMP, 0, 0) + body)
                for message in _messages(diag):
                    yield _listener(protocol, message)


def _messages(diag: socket.socket) -> Iterator[bytes]:
    while True:
        data = diag.recv(1 << 16)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            body = data[at + _HEADER.size : at + length]
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                code = -struct.unpack_from("=i", body)[0]
                raise OSError(code, f"sock_diag: {os.strerror(code)}")
            yield body
            at += (length + 3) & ~3


def _listener(protocol: str, message: bytes) -> Listener:
    """A ``struct inet_diag_msg`` with its attributes (linux/inet_diag.h)."""
    port, source, _ = _SOCKET.unpack_from(message)
    (device,) = struct.unpack_from("=I", message, 40)
    waiting, room = _QUEUE.unpack_from(message, 52)
    is_full = protocol == "tcp" and waiting > room
    if message[0] == socket.AF_INET:
        address = str(IPv4Address(source[:4]))
    else:
        ipv6 = IPv6Address(source)
        takes_ipv4 = ipv6 == IPv6Address("::") and not _is_ipv6_only(message)
        address = "0.0.0.0" if takes_ipv4 else str(ipv6.ipv4_mapped or f"[{ipv6}]")
    return Listener(protocol, "127.0.0.1" if device == LOOPBACK_INDEX else address, port, is_full)


def _is_ipv6_only(message: bytes) -> bool:
    at = 72
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == V6ONLY:
            return bool(message[at + 4])
        at += max(4, (length + 3) & ~3)
    return False

"""Connections as connection tracking tells of them at the moment when their first packet leaves.

Not by ``conntrack -E``: its ``--buffer-size`` enlarges another socket than the one that hears events (1.4.7), so 166 of
them fill it, fewer than one host's calls at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

ConnectionEvent = tuple[str, str, int, str, int, str, int, str, int]
"""Protocol; source and its port, address and port that were called; source and port that the endpoint saw; it."""

NAME = "podlab-flows"
BUFFER = 8 << 20
MOST = 128 << 20  # bytes of events; half a million connections. Pods may make as many as they like
NETLINK_NETFILTER, GROUP_NEW = 12, 1  # linux/netlink.h, linux/netfilter/nfnetlink_compat.h
SWITCH = "/proc/sys/net/netfilter/nf_conntrack_events"
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
NEW, OVERRUN = 0x100, 4  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW; NLMSG_OVERRUN
TUPLE_ORIG, TUPLE_REPLY = 1, 2  # linux/netfilter/nfnetlink_conntrack.h, these and all below
IP, PROTO = 1, 2
SOURCE, DESTINATION = 1, 2
NUMBER, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
NESTED = 0x8000

PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp"}
_HEADER = struct.Struct("=IHHII")
_FAMILY = 4  # the length of a struct nfgenmsg
_ATTRIBUTE = struct.Struct("=HH")


class Told(NamedTuple):
    """``is_whole``: no event got lost in a full buffer, and nobody has switched them off."""

    flows: list[ConnectionEvent]
    is_whole: bool


def watch(seconds: float) -> int:
    """Begin to write down events; the number of the process that does. It ends with ``collect``, or after this time.

    It writes into memory that goes with it: whatever becomes of the run, nothing stays on the host.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as events:
        try:
            events.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        except PermissionError:  # the root of a user namespace: as far as net.core.rmem_max
            events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        events.bind((0, GROUP_NEW))
        begun, beginning = os.pipe()
        process = os.fork()
        if not process:
            try:
                _write_down(events, seconds)
            finally:
                os._exit(0)
    os.close(beginning)
    with open(begun, "rb") as pipe:
        pipe.read()  # to the end: it has closed what it has of the caller's, and may be told to end
    return process


def collect(process: int) -> Told:
    """What was written down; the process ends."""
    nothing = Told([], is_whole=False)
    with contextlib.ExitStack() as opened:
        try:
            handle = os.pidfd_open(process)
            opened.callback(os.close, handle)
            path = f"/proc/{process}/fd/1"
            if NAME not in os.readlink(path):
                return nothing
            memory = opened.enter_context(open(path, "rb"))
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        except OSError:
            return nothing
        has_ended, _, _ = select.select([handle], [], [], 5)
        told = parse(memory.read())
        return Told(told.flows, told.is_whole and bool(has_ended) and _are_told())


def _are_told() -> bool:
    with contextlib.suppress(OSError):  # an older kernel has no choice
        return Path(SWITCH).read_text().strip() != "0"
    return True


def _write_down(events: socket.socket, seconds: float) -> None:
    """Nothing of the caller's stays open, who is waited for until it has closed everything."""
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: events.setblocking(False))  # what waits is written down before the end
    memory, nowhere = os.memfd_create(NAME), os.open(os.devnull, os.O_RDWR)
    for old, new in ((nowhere, 0), (memory, 1), (nowhere, 2)):
        os.dup2(old, new)
    events.settimeout(0.1)
    os.closerange(3, events.fileno())
    os.closerange(events.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    lost = _HEADER.pack(_HEADER.size, OVERRUN, 0, 0, 0)
    end, room = time.monotonic() + seconds, MOST
    while time.monotonic() < end:
        try:
            told = events.recv(1 << 16)
        except BlockingIOError:
            return
        except TimeoutError:
            continue
        except OSError:  # ENOBUFS
            told = lost
        if 0 < room < len(told):
            room = 0
            os.write(1, lost)
        elif room:
            room -= os.write(1, told)


def parse(data: bytes) -> Told:
    flows: list[ConnectionEvent] = []
    is_whole, at = True, 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == OVERRUN:
            is_whole = False
        elif kind == NEW and (flow := _flow(data[at + _HEADER.size + _FAMILY : at + length])):
            flows.append(flow)
        at += max(_HEADER.size, (length + 3) & ~3)
    return Told(flows, is_whole)


def _flow(message: bytes) -> ConnectionEvent | None:
    """A connection as it came, and how its answers go back. None: not of IPv4, or of a protocol without ports."""
    found = dict(_attributes(message))
    try:
        number, source, address, source_port, port = _tuple(found[TUPLE_ORIG])
        _, to, seen, to_port, seen_port = _tuple(found[TUPLE_REPLY])
        return PROTOCOLS[number], source, source_port, address, port, seen, seen_port, to, to_port
    except KeyError:
        return None


def _tuple(data: bytes) -> tuple[int, str, str, int, int]:
    found = dict(_attributes(data))
    ip, proto = dict(_attributes(found[IP])), dict(_attributes(found[PROTO]))
    source, destination = (str(IPv4Address(ip[which])) for which in (SOURCE, DESTINATION))
    source_port, port = (int.from_bytes(proto[which], "big") for which in (SOURCE_PORT, DESTINATION_PORT))
    return proto[NUMBER][0], source, destination, source_port, port


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & ~NESTED, data[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)

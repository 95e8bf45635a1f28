"""Connections as connection tracking has them: where a call was led to, and which source address was seen there.

Two sources, and what either of them knows counts. Events tell of every connection at the moment when its first packet
leaves: one that is reset at once is never in the table. The table tells of those whose event got lost in a full buffer.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from .run import run, wait_until

Flow = tuple[str, str, int, str, int, str, int, str, int]
"""Protocol; source and its port, address and port that were called; source and port that the endpoint saw; it."""

_FLOW = re.compile(
    r"^(?:\s*\[NEW\] )?(tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) "
    r".*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)",
    re.M,
)
NAME = "podlab-flows"
EVENTS = ["conntrack", "-E", "-e", "NEW", "-b", str(8 << 20)]
NETLINK_NETFILTER, GROUP_NEW = "12", 1  # linux/netlink.h, linux/netfilter/nfnetlink_compat.h


def watch(seconds: float) -> int:
    """Begin to write down events; the number of the process that does. It ends with ``collect``, or after this time.

    It writes into memory that goes with it: whatever becomes of the run, nothing stays on the host.
    """
    memory = os.memfd_create(NAME)
    try:
        process = subprocess.Popen(
            EVENTS,
            stdin=subprocess.DEVNULL,
            stdout=memory,
            stderr=memory,
            start_new_session=True,
            preexec_fn=lambda: signal.alarm(int(seconds)) and None,  # an alarm outlives exec
        )
    except FileNotFoundError:
        return 0  # who looks into the table will say so
    finally:
        os.close(memory)
    wait_until(lambda: _socket_of(process.pid) is not None or process.poll() is not None, 5)
    return process.pid


def collect(process: int, places: Collection[Sequence[Any]]) -> list[Flow]:
    """What was written down of connections to these addresses and ports; the process ends."""
    path = f"/proc/{process}/fd/1"
    try:
        if NAME not in os.readlink(path):
            return []
        wait_until(lambda: _socket_of(process) in (None, 0), 5)
        with open(path) as file:
            text = file.read()
    except OSError:
        return []
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    return among(places, text)


def tracked(places: Collection[Sequence[Any]]) -> list[Flow]:
    """Connections to these addresses and ports, as far as the kernel has not forgotten them yet."""
    if not places:
        return []
    return among(places, run(["conntrack", "-L", "-p", "tcp"]) + run(["conntrack", "-L", "-p", "udp"]))


def among(places: Collection[Sequence[Any]], text: str) -> list[Flow]:
    wanted = {(str(address), int(port)) for address, port in places}
    return [flow for flow in flows_of(text) if (flow[3], flow[4]) in wanted]


def flows_of(text: str) -> Iterator[Flow]:
    """What conntrack prints: a connection as it came, and how its answers go back."""
    for protocol, source, address, source_port, port, to, seen, to_port, seen_port in _FLOW.findall(text):
        yield protocol, source, int(source_port), address, int(port), seen, int(seen_port), to, int(to_port)


def _socket_of(process: int) -> int | None:
    """Bytes that wait for the process in its subscribed socket; None: it has subscribed to nothing.

    By inode: of the sockets that conntrack opens only one has the number of its process.
    """
    own = set()
    with contextlib.suppress(OSError), os.scandir(f"/proc/{process}/fd") as entries:
        own = {os.readlink(entry.path) for entry in entries}
    with open("/proc/net/netlink") as file:
        for line in file:
            _, protocol, _, groups, waiting, *_, inode = line.split()
            if protocol == NETLINK_NETFILTER and f"socket:[{inode}]" in own and int(groups, 16) & GROUP_NEW:
                return int(waiting)
    return None

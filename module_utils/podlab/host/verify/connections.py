"""Connections as connection tracking has them: where a call was led to, and which source address was seen there.

Two sources, and what either of them knows counts. ``connection_events`` has every connection as it begins: one that is
reset at once is never in the table. The table, which is here, has those whose event got lost in a full buffer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from ..run import run
from .connection_events import ConnectionEvent

_FLOW = re.compile(
    r"^(tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) "
    r".*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)",
    re.M,
)


def tracked(places: Collection[Sequence[Any]]) -> list[ConnectionEvent]:
    """Connections to these addresses and ports, as far as the kernel has not forgotten them yet."""
    if not places:
        return []
    text = run(["conntrack", "-L", "-p", "tcp"]) + run(["conntrack", "-L", "-p", "udp"])
    return among(places, flows_of(text))


def among(places: Collection[Sequence[Any]], flows: Iterable[ConnectionEvent]) -> list[ConnectionEvent]:
    wanted = {(str(address), int(port)) for address, port in places}
    return [flow for flow in flows if (flow[3], flow[4]) in wanted]


def flows_of(text: str) -> Iterator[ConnectionEvent]:
    """What conntrack prints: a connection as it came, and how its answers go back."""
    for protocol, source, address, source_port, port, to, seen, to_port, seen_port in _FLOW.findall(text):
        yield protocol, source, int(source_port), address, int(port), seen, int(seen_port), to, int(to_port)

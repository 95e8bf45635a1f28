"""Call Services from inside every pod of this host, and tell where the calls went.

A client cannot tell which endpoint has answered it, but the node that turned its address can: by its connection
tracking. So nobody has to serve anything, and nothing has to be started or cleared away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .namespaces import socket_in
from .probe import ATTEMPT, allow_many_files
from .run import run

MOST_AT_ONCE = 200
PAUSE = 0.05
LOOK = 3.0  # seconds between two looks at connections: the kernel forgets one that was refused after ten

ANSWER, REFUSED, SILENCE = "answer", "refused", "silence"

Flow = tuple[str, str, int, str, int, str, int, str, int]
"""Protocol; source and its port, address and port that were called; source and port that the endpoint saw; it."""

_FLOW = re.compile(
    r"^(tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)", re.M
)


@dataclass
class Call:
    """One try of one ask."""

    ask: Mapping[str, Any]
    started: float = 0.0
    port: int = 0
    socket: socket.socket | None = field(default=None, repr=False)


def call(
    asks: Sequence[Mapping[str, Any]], watched: Collection[Sequence[Any]], deadline: float
) -> tuple[dict[int, list[tuple[str, int]]], list[Flow]]:
    """What each ask heard at each of its tries, and the port that it called from; and the connections of it all.

    :param asks: those of the planner's ``service_expectations.probes``.
    :param watched: (address, port) of connections that are worth telling; none where nobody here turns addresses.
    """
    allow_many_files()
    heard: dict[int, list[tuple[str, int]]] = {ask["id"]: [] for ask in asks}
    flows: dict[Flow, None] = {}
    end, look = time.monotonic() + deadline, time.monotonic() + LOOK
    lanes = deque(_lanes(asks))
    with selectors.DefaultSelector() as selector:
        open_calls: dict[int, tuple[Call, deque[Mapping[str, Any]]]] = {}
        while (lanes or open_calls) and time.monotonic() < end:
            while lanes and len(open_calls) < MOST_AT_ONCE:
                _next(selector, open_calls, lanes.popleft(), heard)
            for key, _ in selector.select(PAUSE):
                one, lane = open_calls.pop(key.fd)
                _close(selector, one, lane, heard, _outcome(one))
                _next(selector, open_calls, lane, heard)
            now = time.monotonic()
            for number in [number for number, (one, _) in open_calls.items() if now - one.started > ATTEMPT]:
                one, lane = open_calls.pop(number)
                _close(selector, one, lane, heard, SILENCE)
                _next(selector, open_calls, lane, heard)
            if watched and now > look:
                flows |= dict.fromkeys(tracked(watched))
                look = now + LOOK
        for one, _ in open_calls.values():
            _close(selector, one, deque(), heard, "not tried to the end")
    return heard, list(flows | dict.fromkeys(tracked(watched)))


def tracked(watched: Collection[Sequence[Any]]) -> list[Flow]:
    """Connections to these addresses and ports, as far as the kernel has not forgotten them yet."""
    places = {(str(address), int(port)) for address, port in watched}
    if not places:
        return []
    text = run(["conntrack", "-L", "-p", "tcp"]) + run(["conntrack", "-L", "-p", "udp"])
    return [flow for flow in flows_of(text) if (flow[3], flow[4]) in places]


def flows_of(text: str) -> Iterator[Flow]:
    """What ``conntrack -L`` prints: a connection as it came, and how its answers go back."""
    for protocol, source, address, source_port, port, to, seen, to_port, seen_port in _FLOW.findall(text):
        yield protocol, source, int(source_port), address, int(port), seen, int(seen_port), to, int(to_port)


def _lanes(asks: Sequence[Mapping[str, Any]]) -> Iterator[deque[Mapping[str, Any]]]:
    """Calls that go one after the other. Most are alone in their lane; the tries of an ask come in turn with others."""
    shared: dict[str, deque[Mapping[str, Any]]] = {}
    for ask in asks:
        if ask["lane"]:
            shared.setdefault(ask["lane"], deque()).extend([ask] * ask["tries"])
    yield from shared.values()
    for turn in range(max((ask["tries"] for ask in asks), default=0)):
        for ask in asks:
            if not ask["lane"] and turn < ask["tries"]:
                yield deque([ask])


def _next(
    selector: selectors.BaseSelector,
    open_calls: dict[int, tuple[Call, deque[Mapping[str, Any]]]],
    lane: deque[Mapping[str, Any]],
    heard: dict[int, list[tuple[str, int]]],
) -> None:
    """Begin the next call of a lane that has any left."""
    while lane:
        one = Call(lane.popleft())
        at_once = _start(one)
        if at_once:
            _close(None, one, lane, heard, at_once)
            continue
        assert one.socket is not None
        event = selectors.EVENT_WRITE if one.ask["protocol"] == "tcp" else selectors.EVENT_READ
        selector.register(one.socket, event)
        open_calls[one.socket.fileno()] = one, lane
        return


def _start(one: Call) -> str:
    """Nothing, or what came of it at once."""
    ask = one.ask
    kind = socket.SOCK_STREAM if ask["protocol"] == "tcp" else socket.SOCK_DGRAM
    one.started = time.monotonic()
    try:
        one.socket = socket_in(ask["netns"], kind=kind)
        one.socket.setblocking(False)
        code = one.socket.connect_ex((ask["address"], ask["port"]))
        one.port = one.socket.getsockname()[1]
        if code not in (0, errno.EINPROGRESS):
            return _words(code)
        if ask["protocol"] == "udp":
            one.socket.send(b"podlab\n")
    except OSError as error:
        return _words(error.errno or 0)
    return ""


def _outcome(one: Call) -> str:
    assert one.socket is not None
    if one.ask["protocol"] == "tcp":
        code = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return _words(code) if code else ANSWER
    try:
        one.socket.recv(1)
    except OSError as error:
        return _words(error.errno or 0)
    return ANSWER


def _words(code: int) -> str:
    return {errno.ECONNREFUSED: REFUSED, errno.ETIMEDOUT: SILENCE}.get(code, os.strerror(code).lower())


def _close(
    selector: selectors.BaseSelector | None,
    one: Call,
    lane: deque[Mapping[str, Any]],
    heard: dict[int, list[tuple[str, int]]],
    outcome: str,
) -> None:
    """What was heard counts, unless it is to be tried until something else is heard."""
    if one.socket is not None:
        if selector is not None:
            with contextlib.suppress(KeyError):
                selector.unregister(one.socket)
        one.socket.close()
    until, number = one.ask["until"], one.ask["id"]
    if until and outcome == until:
        while lane and lane[0]["id"] == number:
            lane.popleft()
    elif until and lane and lane[0]["id"] == number:
        return
    heard[number].append((outcome, one.port))

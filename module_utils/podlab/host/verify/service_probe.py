"""Call Services from inside every pod of this host, and tell what was heard.

A client cannot tell which endpoint has answered it, but the node that turned its address can: ``connections`` has that.
So nobody has to serve anything, and nothing has to be started or cleared away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import struct
import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..network.namespaces import socket_in
from . import connections, listeners
from .connection_events import ConnectionEvent
from .pod_probe import ATTEMPT, allow_many_files

MOST_AT_ONCE = 200
PAUSE = 0.05
FIRST_PORT, PORTS = 32768, 28232  # as net.ipv4.ip_local_port_range has them
LOOK = 3.0  # seconds between two looks at connections and listeners
FAREWELL = 0.1  # seconds for the other side to close, too: then its program has accepted the call

ANSWER, LATE, REFUSED, SILENCE = "answer", "late answer", "refused", "silence"
"""``LATE``: TCP had to ask again. Where the first packet was lost before the node had written it down, the next one may
have been led to another endpoint, so such an answer hides a way that is broken."""

TOTAL_RETRANS = struct.Struct("=100xI")  # of a struct tcp_info (linux/tcp.h)

Probe = Mapping[str, Any]
SerialProbes = deque[Probe]
"""Calls that go one after the other."""


@dataclass
class Call:
    """One try of one ask. ``until``: when it is given up."""

    ask: Probe
    until: float = 0.0
    port: int = 0
    is_over: bool = False
    """What was heard is written down, and the other side has yet to close."""
    socket: socket.socket | None = field(default=None, repr=False)


class Found(NamedTuple):
    """``outcomes``: of each ask what each of its tries heard, and the port that it called from. ``listening``: endpoint
    -> what was there, at each look in turn."""

    outcomes: dict[int, list[tuple[str, int]]]
    flows: list[ConnectionEvent]
    listening: dict[str, list[str]]


def call(
    asks: Sequence[Probe],
    watched: Collection[Sequence[Any]],
    deadline: float,
    endpoints: Sequence[Mapping[str, Any]] = (),
) -> Found:
    """
    :param asks: those of the planner's ``service_expectations.probes``.
    :param watched: (address, port) of connections that are worth telling; none where nobody here turns addresses.
    :param endpoints: those of Services that are on this host, as ``listeners.look`` takes them.
    """
    allow_many_files()
    met: dict[ConnectionEvent, None] = {}
    listening: dict[str, list[str]] = defaultdict(list)

    def look() -> None:
        met.update(dict.fromkeys(connections.tracked(watched)))
        for to, state in listeners.look(endpoints).items():
            listening[to].append(state)

    now = time.monotonic()
    end, next_look = now + deadline, now + LOOK
    with selectors.DefaultSelector() as selector:
        calls = _Calls(selector, asks)
        while calls.go_on() and time.monotonic() < end:
            if time.monotonic() > next_look:
                look()
                next_look = time.monotonic() + LOOK
        calls.give_up()
    look()
    return Found(calls.outcomes, list(met), dict(listening))


class _Calls:
    """All calls of a host, many of them at once.

    Where an ask says that few calls are to be under way ``together``, that holds for all asks of its ``service``: what
    listens there may have a short queue, and the kernel drops what comes while it is full. A dropped call is not lost.
    TCP asks again after one second, after three and seven, and by then it is alone. When one was silent for all its
    ``patience``, haste does no harm any more.
    """

    def __init__(self, selector: selectors.BaseSelector, asks: Sequence[Probe]) -> None:
        self.outcomes: dict[int, list[tuple[str, int]]] = {ask["id"]: [] for ask in asks}
        self._selector = selector
        self._queues = deque(_queues(asks))
        self._open: dict[int, tuple[Call, SerialProbes]] = {}
        self._together: Counter[str] = Counter()
        self._held: dict[str, deque[SerialProbes]] = defaultdict(deque)
        self._silent: set[str] = set()

    def go_on(self) -> bool:
        """Begin what may begin, and hear what there is to hear; whether anything is left to do."""
        while self._queues and len(self._open) < MOST_AT_ONCE:
            self._next(self._queues.popleft())
        for key, _ in self._selector.select(PAUSE):
            one, _ = self._open[key.fd]
            if one.is_over:
                self._close(key.fd)
            else:
                self._settle(key.fd, _outcome(one))
        now = time.monotonic()
        for number in [number for number, (one, _) in self._open.items() if now > one.until]:
            one, _ = self._open[number]
            if one.is_over:
                self._close(number)
            else:
                self._settle(number, SILENCE)
        return bool(self._queues or self._open)

    def give_up(self) -> None:
        for one, _ in self._open.values():
            if not one.is_over:
                self._write(one, deque(), "not tried to the end")
            if one.socket is not None:
                one.socket.close()

    def _next(self, queue: SerialProbes) -> None:
        """Begin the next call of a queue that has any left, or put the queue aside until there is room."""
        while queue:
            ask = queue[0]
            if self._is_bounded(ask) and self._together[ask["service"]] >= ask["together"]:
                self._held[ask["service"]].append(queue)
                return
            one = Call(queue.popleft())
            at_once = self._start(one)
            if at_once:
                self._write(one, queue, at_once)
                if one.socket is not None:
                    one.socket.close()
                self._release(ask["service"])
                continue
            assert one.socket is not None
            event = selectors.EVENT_WRITE if ask["protocol"] == "tcp" else selectors.EVENT_READ
            self._selector.register(one.socket, event)
            self._open[one.socket.fileno()] = one, queue
            self._together[ask["service"]] += bool(ask["together"])
            return

    def _is_bounded(self, ask: Probe) -> bool:
        return bool(ask["together"]) and ask["service"] not in self._silent

    def _start(self, one: Call) -> str:
        """Nothing, or what came of it at once."""
        ask = one.ask
        kind = socket.SOCK_STREAM if ask["protocol"] == "tcp" else socket.SOCK_DGRAM
        one.until = time.monotonic() + (ATTEMPT if ask["service"] in self._silent else ask["patience"])
        try:
            one.socket = socket_in(ask["netns"], kind=kind)
            one.socket.setblocking(False)
            _choose_port(one.socket)
            code = one.socket.connect_ex((ask["address"], ask["port"]))
            one.port = one.socket.getsockname()[1]
            if code not in (0, errno.EINPROGRESS):
                return _words(code)
            if ask["protocol"] == "udp":
                one.socket.send(b"podlab\n")
        except OSError as error:
            return _words(error.errno or 0)
        return ""

    def _settle(self, number: int, outcome: str) -> None:
        """Write down what was heard. Where few calls may be under way, the place is free when the other side closes."""
        one, queue = self._open[number]
        self._write(one, queue, outcome)
        if outcome == SILENCE and one.ask["together"]:
            self._silent.add(one.ask["service"])
        if outcome not in (ANSWER, LATE) or not self._is_bounded(one.ask):
            self._close(number)
            return
        assert one.socket is not None
        one.is_over, one.until = True, time.monotonic() + FAREWELL
        with contextlib.suppress(OSError):
            one.socket.shutdown(socket.SHUT_WR)
        self._selector.modify(one.socket, selectors.EVENT_READ)

    def _close(self, number: int) -> None:
        one, queue = self._open.pop(number)
        assert one.socket is not None
        self._selector.unregister(one.socket)
        one.socket.close()
        self._together[one.ask["service"]] -= bool(one.ask["together"])
        if queue:
            self._queues.append(queue)
        self._release(one.ask["service"])

    def _release(self, service: str) -> None:
        """Let the next queue have the free place; all of them, where haste does no harm any more."""
        waiting = self._held[service]
        for _ in range(len(waiting) if service in self._silent else min(1, len(waiting))):
            self._queues.append(waiting.popleft())

    def _write(self, one: Call, queue: SerialProbes, outcome: str) -> None:
        """What was heard counts, unless it is to be tried until something else is heard."""
        until, number = one.ask["until"], one.ask["id"]
        if until and outcome == until:
            while queue and queue[0]["id"] == number:
                queue.popleft()
        elif until and queue and queue[0]["id"] == number:
            return
        self.outcomes[number].append((outcome, one.port))


def _choose_port(one: socket.socket) -> None:
    """A source port at random, not the kernel's choice: that soon takes a port again which a lost call has had, and
    connection tracking leads the new call where the lost one went, for two minutes after the rules are right again.
    """
    for _ in range(8):
        with contextlib.suppress(OSError):  # it is taken
            one.bind(("", FIRST_PORT + int.from_bytes(os.urandom(4), "big") % PORTS))
            return


def _queues(asks: Sequence[Probe]) -> Iterator[SerialProbes]:
    """Most calls are alone in their queue; the tries of an ask come in turn with others."""
    shared: dict[str, SerialProbes] = {}
    for ask in asks:
        if ask["serial_key"]:
            shared.setdefault(ask["serial_key"], deque()).extend([ask] * ask["tries"])
    yield from shared.values()
    for turn in range(max((ask["tries"] for ask in asks), default=0)):
        for ask in asks:
            if not ask["serial_key"] and turn < ask["tries"]:
                yield deque([ask])


def _outcome(one: Call) -> str:
    assert one.socket is not None
    if one.ask["protocol"] == "tcp":
        code = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return _words(code) if code else LATE if _was_repeated(one.socket) else ANSWER
    try:
        one.socket.recv(1)
    except OSError as error:
        return _words(error.errno or 0)
    return ANSWER


def _was_repeated(one: socket.socket) -> bool:
    """Not by the clock: on a busy machine an answer to the first packet may take a second, too."""
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANS.size)
    return bool(TOTAL_RETRANS.unpack(info)[0])


def _words(code: int) -> str:
    return {errno.ECONNREFUSED: REFUSED, errno.ETIMEDOUT: SILENCE}.get(code, os.strerror(code).lower())

"""Every socket has its turn, in one thread.

A conversation is a generator. It yields the event that it waits for and until when, and goes on when the event has
come. It must bear to be woken for nothing. Whoever is slow makes only itself wait.
"""

from __future__ import annotations

import _socket as socket
import os
import select
import time

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    Wait = tuple[int, float]
    Conversation = Generator[Wait, None, None]

NEVER = float("inf")
IDLE = 600.0  # seconds without a word after which a connection is closed
SWEEP = 1.0  # seconds between two looks at who is idle
BATCH = 64  # connections or datagrams taken in one turn: many, as a busy round is long; not all, as a flood has no end


class Channel:
    """A connection: bytes of one, with waits. ``tls.TlsChannel`` is one, too."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read(self, idle: float = IDLE) -> Generator[Wait, None, bytes]:
        """The next bytes; none when the other side has said its last."""
        deadline = time.monotonic() + idle
        while True:
            try:
                return self.receive()
            except BlockingIOError:
                yield select.EPOLLIN, deadline

    def write(self, data: bytes) -> Conversation:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                yield select.EPOLLOUT, time.monotonic() + IDLE

    def receive(self) -> bytes:
        return self.sock.recv(16384)

    def close(self) -> Conversation:
        """Without what is still on its way here: closed with unread data, a connection is reset, and the answer lost
        with it (RFC 9112, 9.6)."""
        self.sock.shutdown(socket.SHUT_WR)
        while (yield from self.read(5.0)):
            pass


class _Turn:
    __slots__ = ("conversation", "deadline", "event", "sock")

    def __init__(self, sock: socket.socket, conversation: Conversation) -> None:
        self.sock = sock
        self.conversation = conversation
        self.event = 0
        self.deadline = NEVER


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._turns: dict[int, _Turn] = {}
        # Open files, less the standard ones, epoll, and a socket in the act of accepting.
        self._most = min(1000, os.sysconf("SC_OPEN_MAX") - 8)

    def add(self, sock: socket.socket, conversation: Conversation) -> None:
        """Begin a conversation. Where there are too many, the one nearest to its deadline makes room."""
        if len(self._turns) >= self._most:
            self._drop(min(self._turns.values(), key=lambda turn: turn.deadline))
        sock.setblocking(False)
        turn = self._turns[sock.fileno()] = _Turn(sock, conversation)
        self._epoll.register(sock.fileno(), 0)
        self._advance(turn)

    def run(self) -> None:
        swept = time.monotonic()
        while True:
            is_idle = all(turn.deadline == NEVER for turn in self._turns.values())
            for fd, _ in self._epoll.poll(None if is_idle else SWEEP, BATCH):
                if fd in self._turns:  # else another one has taken its place in this very round
                    self._advance(self._turns[fd])
            now = time.monotonic()
            if now - swept >= SWEEP:
                for turn in [turn for turn in self._turns.values() if turn.deadline <= now]:
                    self._drop(turn)
                swept = now

    def _advance(self, turn: _Turn) -> None:
        try:
            event, turn.deadline = next(turn.conversation)
        except (StopIteration, OSError):  # all is said, or the other side has gone
            return self._drop(turn)
        if event != turn.event:
            turn.event = event
            self._epoll.modify(turn.sock.fileno(), event)

    def _drop(self, turn: _Turn) -> None:
        del self._turns[turn.sock.fileno()]
        turn.sock.close()  # by which it leaves epoll, too


def accept(loop: Loop, listener: socket.socket, converse: Callable[[socket.socket, Any], Conversation]) -> Conversation:
    while True:
        yield select.EPOLLIN, NEVER
        for _ in range(BATCH):
            try:
                fd, peer = listener._accept()  # type: ignore[attr-defined]
            except OSError:  # nobody is left in the queue, or one has gone away in it
                break
            sock = socket.socket(fileno=fd)
            loop.add(sock, converse(sock, peer))


def echo_datagrams(sock: socket.socket, tell: Callable[[Any], None]) -> Conversation:
    while True:
        yield select.EPOLLIN, NEVER
        for _ in range(BATCH):
            try:
                data, peer = sock.recvfrom(65535)
                tell(peer)
                sock.sendto(data, peer)
            except BlockingIOError:
                break
            except OSError:  # this client's port is closed, or a firewall forbids the answer
                continue

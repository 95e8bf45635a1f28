"""A client of services: who answers, at which port, and which address he sees.

It is sent into a network namespace as text, so it needs Python's standard library and nothing else:
``python3 -IS -c PROGRAM ask QUESTIONS`` asks until every answer is known. ``watch TARGETS`` asks on and on until its
input ends. Those who answer are agnhost's netexec. Both print JSON.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any

WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    None: "timeout",  # the one of a socket's own clock has no number
    errno.ETIMEDOUT: "timeout",
}
UNANSWERED = (OSError, HTTPException)
LEISURE = 0.04  # between two calls of one who asks on and on
TOTAL_RETRANS = 100  # place of tcpi_total_retrans in struct tcp_info (linux/tcp.h)

Call = list[str]
"""Who has answered, ``name:port``, and the address that he saw."""


def word_of(error: Exception) -> str:
    # An end without an answer is an OSError without a number as well: http.client.RemoteDisconnected.
    if isinstance(error, HTTPException):
        return "reset"
    return WORDS.get(getattr(error, "errno", None), str(error))


# --- one call ---------------------------------------------------------------------------------------------


def call(protocol: str, address: str, port: int, patience: float) -> Call:
    """By a connection of its own; its three questions stay together."""
    with (tcp if protocol == "tcp" else udp)(address, port, patience) as talk:
        name, number, source = (talk.ask(what) for what in ("hostname", "serverport", "clientip"))
    return [f"{name}:{number}", source.rpartition(":")[0]]


class tcp:
    def __init__(self, address: str, port: int, patience: float, own_port: int = 0) -> None:
        self.connection = HTTPConnection(address, port, timeout=patience, source_address=("", own_port))
        self.connection.auto_open = 0  # a second connection might find somebody else

    def __enter__(self) -> tcp:
        self.connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, what: str) -> str:
        self.connection.request("GET", f"/{what}")
        return self.connection.getresponse().read().decode()

    def sent_again(self) -> int:
        """Packets that were lost on the way, or taken for lost."""
        told = self.connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANS + 4)
        return int.from_bytes(told[TOTAL_RETRANS:], sys.byteorder)


class udp:
    def __init__(self, address: str, port: int, patience: float, own_port: int = 0) -> None:
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.settimeout(patience)
        self.sock.bind(("", own_port))
        self.sock.connect((address, port))

    def __enter__(self) -> udp:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, what: str) -> str:
        with suppress(PermissionError):  # this very host drops or refuses it; which of the two, comes now
            self.sock.send(what.encode())
        return self.sock.recv(2048).decode()


# --- until the answer is known ------------------------------------------------------------------------------


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Call until everybody of ``until`` was met, ``least`` times at least and ``most`` times at most."""
    calls: list[Call] = []
    try:
        while len(calls) < question["least"] or (
            len(calls) < question["most"] and not set(question["until"]) <= {server for server, _ in calls}
        ):
            if calls:
                time.sleep(question["pause"])
            calls.append(call(question["protocol"], question["address"], question["port"], question["patience"]))
    except UNANSWERED as error:
        return {"outcome": word_of(error), "calls": calls}
    return {"outcome": "answered", "calls": calls}


def ask(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(answer, questions))


# --- on and on ----------------------------------------------------------------------------------------------


Note = tuple[float, str]
"""When, and who has answered, or a word for what happened instead."""


def each(target: dict[str, Any], go_on: Callable[[], bool]) -> list[Note]:
    """A connection for each call. ``lost``: there was an answer, but a packet had to be sent twice.

    Each has the port after the last one's. The kernel would soon take one of its own choice again, and for two minutes
    conntrack sends whatever comes from there to the pod that a call from there was sent to, though it has gone.
    """
    notes: list[Note] = []
    while go_on():
        began = time.time()
        try:
            own_port = target["own_port"] + len(notes)
            with tcp(target["address"], target["port"], target["patience"], own_port) as talk:
                said = talk.ask("hostname")
                notes.append((began, "lost" if talk.sent_again() else said))
        except UNANSWERED as error:
            notes.append((began, word_of(error)))
        time.sleep(LEISURE)
    return notes


def one(target: dict[str, Any], go_on: Callable[[], bool]) -> list[Note]:
    """One connection for all calls."""
    notes = []
    try:
        with tcp(target["address"], target["port"], target["patience"]) as talk:
            while go_on():
                notes.append((time.time(), talk.ask("hostname")))
                time.sleep(LEISURE)
            notes.append((time.time(), "lost" if talk.sent_again() else talk.ask("hostname")))
    except UNANSWERED as error:
        notes.append((time.time(), word_of(error)))
    return notes


def same_port(target: dict[str, Any], go_on: Callable[[], bool]) -> list[Note]:
    """Datagrams from one port, so that the kernel takes them all for one connection. ``lost``: one had no answer, and
    the next one had one at once, or was refused."""
    notes = []
    while go_on():
        began = time.time()
        word = from_port(target)
        if word == "timeout" and from_port(target) != "timeout":
            word = "lost"
        notes.append((began, word))
        time.sleep(LEISURE)
    return notes


def from_port(target: dict[str, Any]) -> str:
    """With a socket of its own: what was meant for the one before comes too late."""
    try:
        with udp(target["address"], target["port"], target["patience"], target["own_port"]) as talk:
            return talk.ask("hostname")
    except OSError as error:
        return word_of(error)


def watch(targets: list[dict[str, Any]]) -> list[list[Note]]:
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    ways = {"each": each, "one": one, "same port": same_port}
    with ThreadPoolExecutor(len(targets)) as pool:
        return list(pool.map(lambda target: ways[target["way"]](target, lambda: not over.is_set()), targets))


if __name__ == "__main__":
    work = {"ask": ask, "watch": watch}[sys.argv[1]]
    print(json.dumps(work(json.loads(sys.argv[2]))))

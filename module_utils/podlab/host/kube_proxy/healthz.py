#!/usr/bin/python3 -IS
"""What load balancers ask a node: whether kube-proxy is well, and whether a Service has endpoints here.

A program in one file, as a service of s6 has it: ``/usr/bin/python3 -IS program`` in a directory with ``state.json``.
It listens at :10256 as kube-proxy does, and at the health check node port of every Service that has one. After SIGHUP
it reads the file anew, and tells in ``listening.json`` which version of it holds now, and which ports it did not get.
Paths, bodies and headers are those of release 1.30 (pkg/proxy/healthcheck).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from typing import Any

    Answer = tuple[str, dict[str, str], str]  # status line, headers, body

PORT = 10256
STATE, LISTENING = "state.json", "listening.json"
TIMEOUT = 5.0  # seconds for a request, and between two attempts at a port that somebody else has
MOST_BYTES = 8192
MOST_CLIENTS = 500
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
)


def answer(path: str, service: dict[str, Any] | None, now: float) -> Answer:
    """What to say. Pure.

    :param service: ``namespace``, ``name`` and number of ``endpoints`` of the one whose port was asked; None at 10256.
    """
    headers = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    if service is not None:
        count = service["endpoints"]
        name = f'"namespace": {json.dumps(service["namespace"])},\n\t\t"name": {json.dumps(service["name"])}'
        headers["X-Load-Balancing-Endpoint-Weight"] = str(count)
        body = (
            f'{{\n\t"service": {{\n\t\t{name}\n\t}},\n\t"localEndpoints": {count},\n\t"serviceProxyHealthy": true\n}}'
        )
        return "200 OK" if count else "503 Service Unavailable", headers, body
    if path in ("/healthz", "/livez"):
        # Rules stand in the kernel and need nobody, so they are always up to date.
        moment = _go_time(now)
        eligible = ', "nodeEligible": true' if path == "/healthz" else ""
        return "200 OK", headers, f'{{"lastUpdated": "{moment}","currentTime": "{moment}"{eligible}}}'
    headers["Content-Type"] = "text/plain; charset=utf-8"
    return "404 Not Found", headers, "404 page not found\n"


def _go_time(now: float) -> str:
    """As Go prints a time."""
    whole = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    fraction = f"{now % 1:.6f}"[1:].rstrip("0").rstrip(".")
    return f"{whole}{fraction} +0000 UTC"


def response(request: bytes, service: dict[str, Any] | None, now: float) -> bytes:
    """The whole answer to a request, as it goes over the wire. Pure."""
    words = request.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1"):
        return BAD_REQUEST
    status, headers, body = answer(words[1].partition("?")[0], service, now)
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
    headers |= {"Date": date, "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n{body if words[0] != 'HEAD' else ''}".encode()


class Client:
    """A connection: what it has asked so far, and what it has not yet been told."""

    def __init__(self, wire: socket.socket, port: int) -> None:
        self.wire = wire
        self.port = port
        self.asked = b""
        self.left = b""
        self.until = time.monotonic() + TIMEOUT


class Server:
    """One thread: whoever is slow makes only himself wait."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.state: dict[str, Any] = {}
        self.listeners: dict[int, socket.socket] = {}  # by port
        self.ports: dict[int, int] = {}  # file descriptor -> port
        self.clients: dict[int, Client] = {}  # by file descriptor
        self.failed: dict[str, str] = {}
        self.again = float("inf")

    def run(self, wakeup_fd: int) -> None:
        """For ever. A byte comes through ``wakeup_fd`` when the state has changed."""
        self.epoll.register(wakeup_fd, select.EPOLLIN)
        self.read()
        while True:
            until = min([self.again, *(client.until for client in self.clients.values())])
            timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
            for fd, _ in self.epoll.poll(timeout):
                if fd == wakeup_fd:
                    os.read(wakeup_fd, 4096)
                    self.read()
                elif fd in self.ports:
                    self.welcome(self.listeners[self.ports[fd]], self.ports[fd])
                elif fd in self.clients:
                    self.serve(self.clients[fd])
            now = time.monotonic()
            for client in [client for client in self.clients.values() if client.until <= now]:
                self.dismiss(client)
            if self.again <= now:
                self.listen()

    def read(self) -> None:
        """A state that cannot be read leaves everything as it is."""
        try:
            with open(STATE, encoding="utf-8") as file:
                state = json.load(file)
            state = {"version": state["version"], "services": {int(port): it for port, it in state["services"].items()}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"{STATE}: {error}", file=sys.stderr, flush=True)
            return
        self.state = state
        self.listen()

    def listen(self) -> None:
        wanted = {PORT, *self.state.get("services", {})}
        for port in [port for port in self.listeners if port not in wanted]:
            listener = self.listeners.pop(port)
            del self.ports[listener.fileno()]
            listener.close()
        self.failed = {}
        for port in sorted(wanted - self.listeners.keys()):
            listener = socket.socket()
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("0.0.0.0", port))
                listener.listen(128)
            except (OSError, OverflowError) as error:
                listener.close()
                self.failed[str(port)] = getattr(error, "strerror", None) or str(error)
                continue
            listener.setblocking(False)
            self.listeners[port] = listener
            self.ports[listener.fileno()] = port
            self.epoll.register(listener.fileno(), select.EPOLLIN)
        self.again = time.monotonic() + TIMEOUT if self.failed else float("inf")
        self.tell()

    def tell(self) -> None:
        try:
            with open(f"{LISTENING}.new", "w", encoding="utf-8") as file:
                json.dump({"version": self.state.get("version", ""), "failed": self.failed}, file)
            os.rename(f"{LISTENING}.new", LISTENING)
        except OSError:  # its supervisor starts it anew, until there is room on the disk
            with contextlib.suppress(OSError):
                os.unlink(f"{LISTENING}.new")
            raise

    def welcome(self, listener: socket.socket, port: int) -> None:
        try:
            wire, _ = listener.accept()
        except OSError:
            return  # it has gone again
        wire.setblocking(False)
        client = Client(wire, port)
        if len(self.clients) >= MOST_CLIENTS:
            self.dismiss(next(iter(self.clients.values())))  # the one that has been there the longest
        self.clients[wire.fileno()] = client
        self.epoll.register(wire.fileno(), select.EPOLLIN)

    def serve(self, client: Client) -> None:
        try:
            if not client.left:
                more = client.wire.recv(4096)
                client.asked += more
                if b"\r\n\r\n" not in client.asked and more and len(client.asked) < MOST_BYTES:
                    return
                service = self.state.get("services", {}).get(client.port)
                client.left = response(client.asked, service, time.time()) if client.asked else b""
                self.epoll.modify(client.wire.fileno(), select.EPOLLOUT)
            client.left = client.left[client.wire.send(client.left) :]
        except BlockingIOError:
            return
        except OSError:
            client.left = b""
        if not client.left:
            self.dismiss(client)

    def dismiss(self, client: Client) -> None:
        del self.clients[client.wire.fileno()]
        client.wire.close()


def main() -> None:
    ringing, wakeup_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with open("/proc/self/comm", "w") as name:  # for ps, which would say python3
            name.write("kube-proxy")
    except OSError:
        pass
    Server().run(ringing)


if __name__ == "__main__":
    main()

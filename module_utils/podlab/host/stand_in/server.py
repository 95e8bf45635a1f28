"""Listen where the pod says that something does, and answer by the first bytes of whoever calls."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the large one imports enum
import _socket as socket
import os
import select
import time

from . import http
from .loop import Channel, Loop, accept, echo_datagrams

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop import Conversation
    from .options import Options


def serve(options: Options) -> None:
    """Until SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT):  # process 1 of a PID namespace hears what it has a handler for
        signal.signal(number, lambda *_: os._exit(0))
    loop = Loop()
    listening = [port for port in options.ports["tcp"] if _listen(loop, port, Channel, options)]
    if options.ports["tls"]:
        listening += _listen_by_tls(loop, options)
    datagrams = [port for port in options.ports["udp"] if _receive(loop, port)]
    words = [f"{port}/TCP" for port in listening] + [f"{port}/UDP" for port in datagrams]
    log(f"listens on {', '.join(words)}" if words else "listens on no port, as the pod names none")
    loop.run()


def _listen_by_tls(loop: Loop, options: Options) -> list[int]:
    from . import tls  # 4 MiB, which only those pay who are asked for it

    ports = options.ports["tls"]
    try:
        channel = tls.channels(socket.gethostname())
    except OSError as error:
        log(f"no TLS on {', '.join(map(str, ports))}, as openssl makes no certificate: {error.strerror or error}")
        return []
    return [port for port in ports if _listen(loop, port, channel, options)]


def _listen(loop: Loop, port: int, channel: Callable[[socket.socket], Channel], options: Options) -> bool:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for TIME_WAIT
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by what it accepts
    if not _bind(sock, port, "TCP"):
        return False
    sock.listen(4096)
    loop.add(sock, accept(loop, sock, lambda one, peer: converse(channel(one), peer, options.image)))
    return True


def _receive(loop: Loop, port: int) -> bool:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if not _bind(sock, port, "UDP"):
        return False
    loop.add(sock, echo_datagrams(sock, lambda peer: log(f"UDP from {written(peer)}")))
    return True


def _bind(sock: socket.socket, port: int, protocol: str) -> bool:
    """Whether the port is free. Where another container of the pod has it, that one answers."""
    try:
        sock.bind(("0.0.0.0", port))
    except OSError as error:
        log(f"port {port}/{protocol}: {str(error.strerror).lower()}")
        return False
    return True


def converse(channel: Channel, peer: Any, image: str) -> Conversation:
    """One connection: HTTP, HTTP/2, or anything else, which is echoed."""
    data = yield from channel.read()
    while http.may_become_request(data) or (data and PREFACE.startswith(data) and data != PREFACE):
        more = yield from channel.read()
        if not more:
            break
        data += more
    client = written(peer)
    if data.startswith(PREFACE):
        from . import grpc  # which few ever ask for

        yield from grpc.converse(channel, data, lambda head: _answer(head, channel, client, image))
        return
    if http.is_request(data):
        yield from http.converse(channel, data, lambda head: _answer(head, channel, client, image))
        return
    log(f"TCP from {client}")
    while data:
        yield from channel.write(data)
        data = yield from channel.read()


def _answer(head: str, channel: Channel, client: str, image: str) -> str:
    """Who it is, who calls, and what was asked, in the form that test programs of this kind have."""
    log(f"{head.partition(chr(10))[0].strip()} from {client}")
    return (
        f"Hostname: {socket.gethostname()}\n"
        f"Stands in for: {image}\n"
        f"Server address: {written(channel.sock.getsockname())}\n"
        f"Client address: {client}\n\n"
        f"{head}"
    )


def written(address: Any) -> str:
    return f"{address[0]}:{address[1]}"


def log(text: str) -> None:
    """One line, whatever a client has put into it. It is left out where stdout is a full pipe: who does not read the
    log must not stop the service."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text[:500])
    try:
        if select.select([], [1], [], 0)[1]:
            os.write(1, f"{time.strftime('%Y/%m/%d %H:%M:%S')} {line}\n".encode(errors="replace"))
    except OSError:
        pass

"""A connection for one request over HTTP or HTTPS. Errors are in the words of Go's net/http."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from .dial import dial
from .http_response import READ_SIZE, BodyError, Head, RequestError, ResponseReader
from .url import Url, address_family, host_and_port
from .waiting import NEVER, DeadlineExceeded, before

DEFAULT_PORTS = {"http": 80, "https": 443}
LATE_HEAD = "(Client.Timeout exceeded while awaiting headers)"
LATE_BODY = "(Client.Timeout or context cancellation while reading body)"


class Connection:
    response: ResponseReader
    writer: asyncio.StreamWriter | None = None

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    async def open(self, sock: socket.socket, tls_name: str | None) -> None:
        """:param tls_name: of the server, perhaps empty; None: without TLS."""
        tls: dict[str, Any] = {}
        if tls_name is not None:  # how long the handshake takes is the deadline's business
            tls = {"ssl": _tls_context(), "server_hostname": tls_name, "ssl_handshake_timeout": NEVER}
        reader, self.writer = await asyncio.open_connection(sock=sock, limit=READ_SIZE, **tls)
        self.response = ResponseReader(reader)

    def close(self) -> None:
        """At once and without TLS's good-bye: an answer that goes on is not waited for."""
        if self.writer:
            self.writer.transport.abort()

    async def send(self, request: bytes) -> Head:
        """The head of the answer. :raises RequestError: there is none."""
        assert self.writer
        try:
            self.writer.write(request)  # without ``drain``: why it cannot be sent is told by the read, with its errno
            return await before(self.deadline, self.response.head())
        except DeadlineExceeded as error:
            raise RequestError(f"context deadline exceeded {LATE_HEAD}") from error
        except OSError as error:
            raise RequestError(_broken(error, self.writer)) from error

    async def body(self, head: Head) -> str:
        """:raises BodyError: it breaks off."""
        try:
            return await before(self.deadline, self.response.body(head))
        except DeadlineExceeded as error:
            raise BodyError(f"context deadline exceeded {LATE_BODY}") from error
        except OSError as error:
            raise BodyError(_broken(error, self.writer)) from error


@contextlib.asynccontextmanager
async def connection(url: Url, deadline: float) -> AsyncIterator[Connection]:
    """:raises RequestError: there is no connection."""
    if url.opaque or not url.host:
        raise RequestError("http: no Host in request URL")
    if url.scheme not in DEFAULT_PORTS:
        raise RequestError(f'unsupported protocol scheme "{url.scheme}"')
    try:
        sock = await dial(url.host, url.port or DEFAULT_PORTS[url.scheme], deadline)
    except OSError as error:
        words = str(error)
        raise RequestError(f"{words} {LATE_HEAD}" if words.endswith("i/o timeout") else words) from error
    opened = Connection(deadline)
    try:
        name = url.host if address_family(url.host) is None else ""
        await before(deadline, opened.open(sock, name if url.scheme == "https" else None))
        yield opened
    except DeadlineExceeded as error:
        raise RequestError(f"context deadline exceeded {LATE_HEAD}") from error
    except OSError as error:
        raise RequestError(_broken(error)) from error
    finally:
        opened.close()


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """It believes any certificate, as Kubernetes' probes do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT@SECLEVEL=1")  # Debian's own level refuses keys that Go takes
    return context


def _broken(error: OSError, writer: asyncio.StreamWriter | None = None) -> str:
    """Why a connection has ended."""
    reason: str | None = getattr(error, "reason", None)  # of an error of TLS
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "http: server gave HTTP response to HTTPS client"
    if reason or not error.errno:
        return str(error) or "EOF"
    verb = "write" if error.errno == errno.EPIPE else "read"
    ends = [writer.get_extra_info(name) for name in ("sockname", "peername")] if writer else []
    where = " " + "->".join(host_and_port(*end[:2]) for end in ends) if all(ends) and ends else ""
    return f"{verb} tcp{where}: {verb}: {os.strerror(error.errno).lower()}"

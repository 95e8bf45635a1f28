"""TCP connections. Errors are in the words of Go's net package, which stand in the events of a real kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from .commands import on_host, run_command
from .url import address_family, host_and_port
from .waiting import DeadlineExceeded, before


async def dial(host: str, port: int, deadline: float) -> socket.socket:
    """:raises OSError: there is no connection."""
    failure: OSError | None = None
    for address in await _addresses(host, deadline):
        try:
            return await connect(address, port, deadline)
        except OSError as error:
            failure = failure or error
    assert failure
    raise failure


async def _addresses(host: str, deadline: float) -> list[str]:
    if address_family(host) is not None:
        return [host]
    # A child asks, not a thread as in ``loop.getaddrinfo``: a resolver that hangs cannot be ended in a thread, and a
    # process with threads should not fork, as commands in containers do.
    code, output = await run_command(on_host("/usr/bin/getent", "ahosts", host), deadline)
    found = list(dict.fromkeys(line.split()[0] for line in output.splitlines() if line.strip()))
    if code or not found:
        raise OSError(f"dial tcp: lookup {host}: {'i/o timeout' if code is None else 'no such host'}")
    return found


async def connect(address: str, port: int, deadline: float) -> socket.socket:
    """:raises OSError: there is no connection."""
    if port > 65535:  # of an answer, which may write what it likes
        raise OSError(f"dial tcp: address {port}: invalid port")
    there, family = host_and_port(address, port), address_family(address) or socket.AF_INET
    with contextlib.ExitStack() as cleanup:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        cleanup.callback(sock.close)
        try:
            await before(deadline, asyncio.get_running_loop().sock_connect(sock, (address, port)))
        except DeadlineExceeded as error:
            raise OSError(f"dial tcp {there}: i/o timeout") from error
        except OSError as error:
            words = os.strerror(error.errno).lower() if error.errno else str(error)
            raise OSError(f"dial tcp {there}: connect: {words}") from error
        cleanup.pop_all()
        return sock

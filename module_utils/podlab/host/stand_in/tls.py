"""TLS with a certificate that a stand-in gives itself."""

from __future__ import annotations

import os
import ssl

from .loop import Channel

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    import _socket as socket
    from collections.abc import Callable

    from .loop import Conversation

OPENSSL = "/usr/bin/openssl"


def channels(hostname: str) -> Callable[[socket.socket], Channel]:
    """What makes a channel of a connection. :raises OSError: there is no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file = os.memfd_create("certificate")
    try:
        os.write(file, _certificate(hostname))
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return lambda sock: TlsChannel(sock, context)


def _certificate(hostname: str) -> bytes:
    """A key and a certificate that it has signed itself, in PEM. It never lies in a file, and is another one at the
    next start."""
    reading, writing = os.pipe()
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"]
    words += ["-subj", f"/CN={hostname[:64]}", "-keyout", "-", "-out", "-"]
    actions = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    try:
        pid = os.posix_spawn(OPENSSL, ["openssl", *words], {"PATH": "/usr/bin"}, file_actions=actions)
    finally:
        os.close(writing)
    with open(reading, "rb") as pipe:
        made = pipe.read()
    os.waitpid(pid, 0)
    return made


class TlsChannel(Channel):
    """What comes and goes is in memory, so that a handshake waits as everything else does."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self) -> bytes:
        """:raises BlockingIOError: there is nothing to read yet."""
        while True:
            try:
                return self._tls.read(16384)  # which shakes hands first
            except ssl.SSLWantReadError:
                self._flush()
                self._take(self.sock.recv(16384))
            except ssl.SSLZeroReturnError:
                return b""

    def write(self, data: bytes) -> Conversation:
        self._tls.write(data)
        yield from super().write(self._outgoing.read())

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        """Words of the handshake, which are few: a socket has room for them."""
        if self._outgoing.pending:
            self.sock.send(self._outgoing.read())

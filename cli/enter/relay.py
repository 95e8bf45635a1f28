"""Carry bytes between this program's input and output and a port of a pod, on the pod's node.

``./lab port-forward`` runs this text with Python in the pod's network namespace, once for each connection;
argument: the port. Not with ``nc``: as soon as the server has said its last word, that one drops what the
client still sends.

Before each block of output stands its length, and length 0 is the server's last word. To close the output would
not do: nsenter and sudo hold it open beside this program, until it ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import threading

BLOCK = 65536


def connect(port: int) -> socket.socket:
    """To the listener on this machine; without one the error is that of the first attempt."""
    refusal: OSError | None = None
    for address in ("127.0.0.1", "::1"):
        try:
            return socket.create_connection((address, port))
        except OSError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def carry(wire: socket.socket) -> None:
    """Until both sides have closed, or the output is no longer read.

    One thread each way: a server that echoes stops reading while its own output is not read.
    """
    upwards = threading.Thread(target=send, args=(wire,), daemon=True)
    upwards.start()
    poller = select.poll()
    poller.register(wire, select.POLLIN)
    poller.register(1, 0)  # only its end is reported: the program that started this one has gone
    while all(descriptor != 1 for descriptor, _ in poller.poll()):
        block = wire.recv(BLOCK)
        write(len(block).to_bytes(4, "big") + block)
        if not block:
            upwards.join()
            return


def send(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := os.read(0, BLOCK):
            wire.sendall(block)
        wire.shutdown(socket.SHUT_WR)


def write(block: bytes) -> None:
    while block:
        block = block[os.write(1, block) :]


def main(port: int) -> int:
    try:
        wire = connect(port)
    except OSError as error:
        print(f"connect: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1
    try:
        carry(wire)
    except OSError:  # one of the two sides broke off: so does the other one, as this ends
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

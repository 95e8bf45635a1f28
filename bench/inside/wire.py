"""A server and a client in one file: how much a wire carries, and how soon it answers.

``serve PORT`` waits for all kinds of callers. ``stream ADDRESS PORT SECONDS`` sends as much as it can and prints
Gbit/s as the server has counted them; ``ask ADDRESS PORT SECONDS`` sends one byte, waits for one, and prints the
median of the microseconds that this took; ``first ADDRESS PORT SECONDS`` does so with a new connection for each byte.

Server and client each stay on a processor of their own, as far as there are two: whether the scheduler lets them share
one makes more of a difference than any wire.
"""

import contextlib
import os
import socket
import statistics
import struct
import sys
import threading
import time

BLOCK = 1 << 20
CALLS = 200  # new connections at most: each has a port of its own
RESET = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: a connection that is closed so does not keep its port


def serve(port: int) -> None:
    listener = socket.create_server(("", port))
    print("ready", flush=True)
    while True:
        caller, _ = listener.accept()
        threading.Thread(target=answer, args=(caller,), daemon=True).start()


def answer(caller: socket.socket) -> None:
    with caller, contextlib.suppress(ConnectionResetError):
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        (swallow if caller.recv(1) == b"s" else echo)(caller)


def swallow(caller: socket.socket) -> None:
    """Count from the first byte to the last, by the server's clock: what lies in buffers has not arrived."""
    block, received = bytearray(BLOCK), 0
    started = time.perf_counter()
    while count := caller.recv_into(block):
        received += count
    caller.sendall(str(received * 8 / (time.perf_counter() - started) / 1e9).encode())


def echo(caller: socket.socket) -> None:
    while byte := caller.recv(1):
        caller.send(byte)


def stream(address: str, port: int, seconds: float) -> float:
    with socket.create_connection((address, port), timeout=10) as server:
        server.sendall(b"s")
        block, end = bytes(BLOCK), time.perf_counter() + seconds
        while time.perf_counter() < end:
            server.sendall(block)
        server.shutdown(socket.SHUT_WR)
        return float(server.recv(64))


def ask(address: str, port: int, seconds: float) -> float:
    times = []
    with socket.create_connection((address, port), timeout=10) as server:
        server.settimeout(None)  # a timeout would cost a call of poll for each byte
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.sendall(b"e")
        end = time.perf_counter() + seconds
        while (before := time.perf_counter()) < end:
            server.send(b"x")
            server.recv(1)
            times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e6


def first(address: str, port: int, seconds: float) -> float:
    """From the call to the first byte of the answer."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end and len(times) < CALLS:
        with socket.create_connection((address, port), timeout=10) as server:
            server.sendall(b"ex")
            server.recv(1)
            times.append(time.perf_counter() - before)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[0 if sys.argv[1] == "serve" else -1]})
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    questions = {"stream": stream, "ask": ask, "first": first}
    print(questions[sys.argv[1]](sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))

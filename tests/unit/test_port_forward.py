"""``./lab port-forward`` with real sockets and real processes; only the pod's network is this machine's own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.enter import port_forward
from cli.errors import CommandError

ROOT = Path(__file__).resolve().parents[2]
MUCH = os.urandom(1 << 20) * 10
TIMEOUT = 30.0
DRIVER = """
import os, sys
from cli.enter import port_forward
from cli.enter.port_forward import RELAY, Forwarder, Mapping
from cli.errors import CommandError
from cli.hosts import Call

port_forward.TIMEOUT = 0.2

# As through nsenter or ssh: to kill what was started does not kill the relay.
relay = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-IS", "-c", RELAY.read_text()]
# One that lies stands for port 1.
calls = {1: ["sh", "-c", os.environ.get("LIE", "")]}
pairs = [Mapping(*map(int, word.split(":"))) for word in sys.argv[1:]]
try:
    Forwarder("web", "default_web", lambda port: Call(calls.get(port, [*relay, str(port)]))).serve(pairs)
except CommandError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
"""

Serve = Callable[[Callable[[socket.socket], None]], int]
Start = Callable[..., "tuple[subprocess.Popen[str], list[int]]"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on the loopback that hands every connection to a function; its port."""
    listeners = []

    def start(answer: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.settimeout(TIMEOUT)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=loop, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """The forwarder in a process of its own, and the local ports that it says it listens on."""
    processes = []

    def call(*pairs: str, listening: int | None = None) -> tuple[subprocess.Popen[str], list[int]]:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, *pairs],
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/module_utils"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout
        ports = []
        for _ in range(len(pairs) if listening is None else listening):
            words = process.stdout.readline().split()
            assert words[:2] == ["Forwarding", "from"], process.stderr and process.stderr.read()
            ports.append(int(words[2].rpartition(":")[2]))
        return process, ports

    yield call
    for process in processes:
        process.kill()
        process.communicate()


def call(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def echo(connection: socket.socket) -> None:
    with connection:
        while block := connection.recv(65536):
            connection.sendall(block)


def test_much_goes_both_ways_at_once_and_arrives_as_it_was(serve: Serve, start: Start) -> None:
    _, (port,) = start(f"0:{serve(echo)}")
    with call(port) as connection:

        def speak() -> None:
            connection.sendall(MUCH)
            connection.shutdown(socket.SHUT_WR)

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert read_all(connection) == MUCH
        speaker.join()


def test_a_server_that_echoes_to_nobody_who_reads_yet_is_not_stuck(serve: Serve, start: Start) -> None:
    """A client that reads only after it has sent more than fits into sockets and pipes, and into what is read ahead."""
    got = threading.Event()

    def count(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"x" * (1 << 20))
            assert len(read_all(connection)) == len(MUCH)
            got.set()

    _, (port,) = start(f"0:{serve(count)}")
    with call(port) as connection:
        connection.sendall(MUCH)
        connection.shutdown(socket.SHUT_WR)
        assert got.wait(TIMEOUT)
        assert len(read_all(connection)) == 1 << 20


def test_a_client_that_has_said_its_last_word_still_hears_the_answer(serve: Serve, start: Start) -> None:
    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(str(len(read_all(connection))).encode())

    _, (port,) = start(f"0:{serve(answer)}")
    with call(port) as connection:
        connection.sendall(b"abc")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"3"


def test_a_server_that_has_said_its_last_word_still_hears_the_client(serve: Serve, start: Start) -> None:
    heard: list[bytes] = []
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"bye")
            connection.shutdown(socket.SHUT_WR)
            heard.append(read_all(connection))
            done.set()

    _, (port,) = start(f"0:{serve(answer)}")
    with call(port) as connection:
        assert read_all(connection) == b"bye"
        connection.sendall(MUCH[: 1 << 20])
        connection.shutdown(socket.SHUT_WR)
        assert done.wait(TIMEOUT)
    assert heard == [MUCH[: 1 << 20]]


def test_many_at_once_on_several_ports(serve: Serve, start: Start) -> None:
    def name(word: bytes) -> Callable[[socket.socket], None]:
        return lambda connection: (connection.sendall(word), connection.close())[1]

    _, ports = start(f"0:{serve(name(b'one'))}", f"0:{serve(name(b'two'))}")
    connections = [(call(port), word) for _ in range(8) for port, word in zip(ports, (b"one", b"two"), strict=True)]
    for connection, word in connections:
        with connection:
            assert read_all(connection) == word


def test_a_refused_connection_is_told_and_the_next_one_works(serve: Serve, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = int(taken.getsockname()[1])
    process, ports = start(f"0:{nobody}", f"0:{serve(echo)}")
    with call(ports[0]) as connection:
        assert read_all(connection) == b""
    with call(ports[1]) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert err == (
        f"an error occurred forwarding {ports[0]} -> {nobody}: error forwarding port {nobody} to pod web: "
        f'failed to connect to localhost:{nobody} inside namespace "default_web": connect: connection refused\n'
    )


def test_a_port_in_use_is_an_error_unless_another_one_is_free(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process, _ = start(f"{port}:80", listening=0)
        _, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 1
        assert err == (
            f"Unable to listen on port {port}: Listeners failed to create with the following errors: "
            f"[unable to create listener: Error listen tcp4 127.0.0.1:{port}: bind: address already in use]\n"
            f"error: unable to listen on any of the requested ports: [{{{port} 80}}]\n"
        )
        process, ports = start(f"{port}:80", "0:81", listening=1)
        assert ports != [port]
        assert process.poll() is None


def children(pid: int) -> list[int]:
    """Of all its threads; one that ends meanwhile has none."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_end_leaves_no_process_and_no_words(serve: Serve, start: Start, number: int, code: int) -> None:
    """Also where nobody can clean up, and the server holds its end open."""
    release = threading.Event()

    def hold(connection: socket.socket) -> None:
        connection.sendall(b"here")
        release.wait()
        connection.close()

    process, (port,) = start(f"0:{serve(hold)}")
    try:
        with call(port) as connection:
            assert connection.recv(4) == b"here"
            relays = [os.pidfd_open(pid) for way in children(process.pid) for pid in children(way)]
            assert relays
            os.killpg(process.pid, number)  # as the terminal does it with Ctrl-C
            out, err = process.communicate(timeout=TIMEOUT)
            assert (process.returncode, err, out) == (code, "", f"Handling connection for {port}\n")
            for relay in relays:
                assert select.select([relay], [], [], TIMEOUT)[0], "a relay outlives the forwarder"
                os.close(relay)
    finally:
        release.set()


def test_a_client_that_breaks_off_takes_its_relay_along(serve: Serve, start: Start) -> None:
    """While the server says nothing and holds its end open, and the forwarder goes on."""
    release = threading.Event()

    def hold(connection: socket.socket) -> None:
        connection.sendall(b"here")
        release.wait()
        connection.close()

    process, (port,) = start(f"0:{serve(hold)}")
    try:
        connection = call(port)
        assert connection.recv(4) == b"here"
        relays = [os.pidfd_open(pid) for way in children(process.pid) for pid in children(way)]
        # Without a linger time a close is a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        for relay in relays:
            assert select.select([relay], [], [], TIMEOUT)[0], "a relay outlives its client"
            os.close(relay)
        assert relays and process.poll() is None
    finally:
        release.set()


LIES = {
    "a block of 4 GiB": r"printf '\377\377\377\377'; exec sleep infinity",
    "a little more than any relay sends": r"printf '\000\001\000\001'; exec sleep infinity",
    "half a length": r"printf '\000\000'",
    "half a block": r"printf '\000\000\000\011here'",
    "an end, and no end": r"exec >&-; exec sleep infinity",
    "errors without an end": r"exec >&-; exec yes >&2",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_relay_that_lies_ends_its_own_connection(
    serve: Serve, start: Start, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """A host makes of it what it likes. It is believed nothing, waited for in nothing, and ended in the end."""
    monkeypatch.setenv("LIE", lie)
    process, ports = start("0:1", f"0:{serve(echo)}")
    with call(ports[0]) as connection:
        assert read_all(connection) in (b"", b"here")
    with call(ports[1]) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    deadline = time.monotonic() + TIMEOUT
    while children(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (children(process.pid), process.poll()) == ([], None)


def test_nothing_but_the_loopback_is_listened_on(serve: Serve, start: Start) -> None:
    _, (port,) = start(f"0:{serve(echo)}")
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


POD: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "a", "ports": [{"name": "http", "containerPort": 80}]}]},
}


@pytest.mark.parametrize(
    ("word", "pair"),
    [
        ("8080:80", (8080, 80)),
        ("80", (80, 80)),
        (":80", (0, 80)),
        ("0:80", (0, 80)),
        ("1:http", (1, 80)),
        ("http", (80, 80)),
    ],
)
def test_ports(word: str, pair: tuple[int, int]) -> None:
    assert port_forward.parse(word, POD) == port_forward.Mapping(*pair)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("1:2:3", "invalid port format '1:2:3'"),
        ("80:", "invalid port format '80:'"),
        ("8080:0", "remote port must be > 0"),
        ("x:80", "error parsing local port 'x'"),
        ("65536", "error parsing remote port '65536'"),
        ("8080:dns", "Pod 'web' does not have a named port 'dns'"),
    ],
)
def test_ports_that_are_none(word: str, why: str) -> None:
    with pytest.raises(CommandError, match=f"^error: {why}"):
        port_forward.parse(word, POD)


SERVICE: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {
        "clusterIP": "10.96.0.10",
        "ports": [
            {"name": "page", "port": 8000, "protocol": "TCP", "targetPort": "http"},
            {"name": "plain", "port": 81, "protocol": "TCP", "targetPort": 9090},
            {"name": "ask", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "both", "port": 54, "protocol": "UDP", "targetPort": 1},
            {"name": "both-tcp", "port": 54, "protocol": "TCP", "targetPort": 2},
            {"name": "lost", "port": 82, "protocol": "TCP", "targetPort": "nowhere"},
        ],
    },
}


@pytest.mark.parametrize(
    ("word", "pair"),
    [
        ("1:8000", (1, 80)),
        ("8000", (8000, 80)),
        (":8000", (0, 80)),
        ("page", (8000, 80)),
        ("1:page", (1, 80)),
        ("81", (81, 9090)),
        ("54", (54, 2)),
    ],
)
def test_ports_of_a_service_lead_to_those_of_the_pod(word: str, pair: tuple[int, int]) -> None:
    assert port_forward.parse(word, POD, SERVICE) == port_forward.Mapping(*pair)


def test_ports_of_a_headless_service_are_those_of_the_pod() -> None:
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    assert port_forward.parse("8000", POD, headless) == port_forward.Mapping(8000, 8000)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("80", "Service web does not have a service port 80"),
        ("1:none", "Service 'web' does not have a named port 'none'"),
        ("82", "Pod 'web' does not have a named port 'nowhere'"),
        ("53", "UDP protocol is not supported for 53"),
        ("ask", "UDP protocol is not supported for ask"),
    ],
)
def test_ports_that_a_service_has_not(word: str, why: str) -> None:
    with pytest.raises(CommandError) as caught:
        port_forward.parse(word, POD, SERVICE)
    assert str(caught.value) == f"error: {why}"

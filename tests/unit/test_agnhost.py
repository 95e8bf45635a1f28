"""images/agnhost as it runs: the real program, real sockets on 127.0.0.1, ports that the kernel chooses."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

IMAGES = Path(__file__).resolve().parents[2] / "images"
AGNHOST = str(IMAGES / "agnhost")
TIMEOUT = 10  # seconds after which a test fails rather than hangs


class Server:
    """A running agnhost and the ports that it has logged."""

    def __init__(self, process: subprocess.Popen[str], ports: dict[str, int]) -> None:
        self.process = process
        self.ports = ports

    def connect(self, protocol: str = "HTTP") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[protocol]), timeout=TIMEOUT)

    def raw(self, request: bytes) -> bytes:
        """All that comes back for these bytes and an end of file."""
        with self.connect() as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            return everything(sock)

    def get(self, target: str, *headers: str) -> tuple[int, str]:
        lines = [f"GET {target} HTTP/1.0", *headers, "", ""]
        head, _, body = self.raw("\r\n".join(lines).encode()).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def ask(self, datagram: bytes) -> tuple[str, str]:
        """The answer to a datagram, and the address from which it was asked."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(("127.0.0.1", self.ports["UDP"]))
            sock.send(datagram)
            return sock.recv(4096).decode(), "{}:{}".format(*sock.getsockname())

    def log(self) -> str:
        """The next line of the log, without its time."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n").split(" ", 2)[2]

    def exit_code(self) -> int:
        return self.process.wait(timeout=TIMEOUT)


@contextmanager
def agnhost(*arguments: str, files: int | None = None, within: tuple[str, ...] = ()) -> Iterator[Server]:
    """Start it, with a command in front if need be, wait until it says that it serves, and end it."""

    def limit_files() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    process = subprocess.Popen(
        [*within, AGNHOST, *arguments], stdout=subprocess.PIPE, text=True, preexec_fn=limit_files
    )
    assert process.stdout
    ports: dict[str, int] = {}
    try:
        while not {"HTTP", "Serving"} & set(ports):
            line = process.stdout.readline()
            assert line, f"agnhost ended with {process.wait()}"
            words = line.removesuffix(".\n").split()
            ports[words[3] if words[2] == "Started" else words[2]] = int(words[-1])
        yield Server(process, ports)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def netexec() -> Iterator[Server]:
    with agnhost("netexec", "--http-port", "0", "--udp-port=0") as server:
        yield server


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """For tests that leave no trace: none of them reads the log."""
    with agnhost("netexec", "--http-port=0", "--udp-port=0") as server:
        yield server


def everything(sock: socket.socket) -> bytes:
    received = b""
    while more := sock.recv(65536):
        received += more
    return received


def answer(sock: socket.socket) -> bytes:
    """One response with a Content-Length: its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return body


def sent(sock: socket.socket, data: bytes) -> bool:
    try:
        return sock.send(data) > 0
    except BlockingIOError:
        return False


def namespaces(*options: str) -> tuple[str, ...]:
    """The command that puts a program into namespaces of its own."""
    unshare = ("unshare", "--user", "--map-root-user", *options)
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this user may not create namespaces")
    return unshare


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AGNHOST, *arguments], capture_output=True, text=True, timeout=TIMEOUT)


# netexec over HTTP


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/hostname", (200, socket.gethostname())),
        ("/hostName", (200, socket.gethostname())),
        ("/healthz", (200, "")),
        ("/readyz", (200, "ok")),
        ("/echo?msg=a%20b+c%26d&msg=second", (200, "a b c&d")),
        ("/echo?msg=teapot&code=418", (418, "teapot")),
        ("/echo?msg=none&code=204", (204, "")),
        ("/echo?code=many", (200, "argument 'code' must be an integer or empty, got \"many\"\n")),
        ("/echo?code=99", (200, "argument 'code' must be an integer or empty, got \"99\"\n")),
        ("/ec%68o?msg=path", (200, "path")),
        ("http://pod/echo?msg=absolute", (200, "absolute")),
        ("/exit?code=x", (200, "argument 'code' must be an integer [0-127] or empty, got \"x\"\n")),
        ("/exit?wait=5", (200, "argument 'wait' must be a valid golang duration or empty, got \"5\"\n")),
        ("/dial?host=a", (501, "/dial is not part of this agnhost\n")),
    ],
)
def test_http_answer(shared: Server, target: str, expected: tuple[int, str]) -> None:
    assert shared.get(target) == expected


@pytest.mark.parametrize("target", ["/", "/any/other?path"])
def test_root_tells_the_time(shared: Server, target: str) -> None:
    status, body = shared.get(target)
    assert (status, body[:7]) == (200, "NOW: 20")


def test_clientip_is_address_and_port_of_the_client(shared: Server) -> None:
    with shared.connect() as sock:
        sock.sendall(b"GET /clientip HTTP/1.1\r\nHost: pod\r\n\r\n")
        assert answer(sock).decode() == "{}:{}".format(*sock.getsockname())


def test_the_hostname_is_read_when_it_is_asked_for() -> None:
    with agnhost("netexec", "--http-port=0", "--udp-port=0", within=namespaces("--uts")) as server:
        enter = ["nsenter", "--target", str(server.process.pid), "--user", "--uts", "--preserve-credentials"]
        subprocess.run([*enter, "hostname", "renamed"], check=True)
        assert server.get("/hostname") == (200, "renamed")
        assert server.ask(b"hostname")[0] == "renamed"


def test_serverport(shared: Server) -> None:
    assert shared.get("/serverport") == (200, str(shared.ports["HTTP"]))


def test_header_by_name_and_all_of_them(shared: Server) -> None:
    sent = ("Host: pod", "x-forwarded-for: 10.1.1.2", "X-Forwarded-For: 10.1.1.3")
    assert shared.get("/header?key=X-Forwarded-For", *sent) == (200, "10.1.1.2")
    assert shared.get("/header?key=absent", *sent) == (200, "")
    assert json.loads(shared.get("/header", *sent)[1]) == {"X-Forwarded-For": ["10.1.1.2", "10.1.1.3"]}


def test_http_override_answers_everything() -> None:
    with agnhost("netexec", "--http-port=0", "--udp-port=-1", "--http-override=/echo?msg=a&code=201") as server:
        assert server.get("/hostname") == (201, "a")
        assert "UDP" not in server.ports


def test_each_request_is_one_line_of_the_log(netexec: Server) -> None:
    for target in ("/hostname", "/nothing", "/echo?msg=a%0aforged&code=", "/header?key=Host"):
        netexec.get(target)
    expected = ["GET /hostname", "GET /", "GET /echo?msg=a?forged&code=", "GET /header?key=Host"]
    assert [netexec.log() for _ in expected] == expected


def test_a_log_that_nobody_reads_stops_nothing(netexec: Server) -> None:
    request = b"GET /hostname HTTP/1.1\r\nHost: a\r\n\r\n"
    assert netexec.raw(request * 3000).count(b"HTTP/1.1 200 OK") == 3000  # a pipe holds 64 KiB, 1,500 lines


# How HTTP is spoken


def test_keep_alive_serves_many_requests_on_one_connection(shared: Server) -> None:
    with shared.connect() as sock:
        for number in range(3):
            sock.sendall(b"GET /echo?msg=%d HTTP/1.1\r\nHost: pod\r\n\r\n" % number)
            assert answer(sock) == b"%d" % number


def test_pipelined_requests_are_answered_in_order(shared: Server) -> None:
    requests = b"".join(b"GET /echo?msg=<%d> HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50))
    answers = shared.raw(requests)
    assert [int(part.split(b">")[0]) for part in answers.split(b"<")[1:]] == list(range(50))


@pytest.mark.parametrize(
    ("head", "connection"),
    [
        (b"GET / HTTP/1.0\r\n", b"close"),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", b"keep-alive"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n", b"close"),
    ],
)
def test_connection_header(shared: Server, head: bytes, connection: bytes) -> None:
    response = shared.raw(head + b"\r\n")
    assert response.partition(b"Connection: ")[2].partition(b"\r\n")[0] == connection


def test_the_server_closes_when_it_said_so(shared: Server) -> None:
    with shared.connect() as sock:
        sock.sendall(b"GET /echo?msg=bye HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert everything(sock).endswith(b"\r\n\r\nbye")


def test_head_has_the_headers_of_get_and_no_body(shared: Server) -> None:
    response = shared.raw(b"HEAD /echo?msg=four HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 4\r\n" in response and response.endswith(b"\r\n\r\n")


def test_the_body_of_a_post_is_not_taken_for_a_request(shared: Server) -> None:
    with shared.connect() as sock:
        sock.sendall(b"POST /echo?msg=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\nGET / ")
        sock.sendall(b"HTTP/9\r\nGET /echo?msg=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = everything(sock)
    assert answers.count(b"HTTP/1.1 200 OK") == 2 and answers.endswith(b"\r\n\r\n2")


def test_lines_may_end_as_a_person_types_them(shared: Server) -> None:
    assert shared.raw(b"\n\r\nGET /echo?msg=typed HTTP/1.0\nA: b\n\n").endswith(b"\r\n\r\ntyped")


HOST = b"Host: a\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b" / HTTP/1.1\r\n" + HOST, 400),
        (b"GET  / HTTP/1.1\r\n" + HOST, 400),
        (b"GET / HTTP/1.1 \r\n" + HOST, 400),
        (b"GET hostname HTTP/1.1\r\n" + HOST, 400),
        (b"GET /\t HTTP/1.1\r\n" + HOST, 400),
        (b"GET / FTP/1.1\r\n" + HOST, 400),
        (b"GET / HTTP/x\r\n" + HOST, 400),
        (b"GET / HTTP/2.0\r\n" + HOST, 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: b\r\n" + HOST, 400),
        (b"GET / HTTP/1.1\r\nNo colon\r\n" + HOST, 400),
        (b"GET / HTTP/1.1\r\nBlank : 1\r\n" + HOST, 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n" + HOST, 400),
        (b"GET / HTTP/1.1\r\nA: b\rc\r\n" + HOST, 400),
        (b"GET /%zz HTTP/1.1\r\n" + HOST, 400),
        (b"GET /echo?msg=% HTTP/1.1\r\n" + HOST, 400),
        (b"GET /echo?msg=%++ HTTP/1.1\r\n" + HOST, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n" + HOST, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + HOST, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n" + HOST, 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST, 411),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 65536 + b"\r\n" + HOST, 431),
        (b"a" * 200_000, 431),
    ],
)
def test_refused_request(shared: Server, request_: bytes, status: int) -> None:
    response = shared.raw(request_ + b"GET /echo?msg=smuggled HTTP/1.0\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close\r\n" in response
    assert b"smuggled" not in response


def test_the_largest_head_is_served(shared: Server) -> None:
    start, end = b"GET /echo?msg=", b" HTTP/1.0\r\n\r\n"
    message = b"m" * (65536 - len(start) - len(end))
    assert shared.raw(start + message + end).endswith(b"\r\n\r\n" + message)


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_echo_gives_back_any_text(shared: Server, text: str) -> None:
    assert shared.raw(f"GET /echo?msg={quote(text)} HTTP/1.0\r\n\r\n".encode()).partition(b"\r\n\r\n")[2] == (
        text.encode()
    )


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([b"GET ", b"/echo?msg=", b"%", b" HTTP/1.1", b"\r\n", b":", b"\xff", b"\0"])))
def test_no_request_ends_the_server(shared: Server, pieces: list[bytes]) -> None:
    response = shared.raw(b"".join(pieces))
    assert response == b"" or response.startswith(b"HTTP/1.1 ")
    assert shared.get("/echo?msg=alive") == (200, "alive")


# Many clients, and slow ones


def test_hundreds_of_connections_and_silent_clients_block_nobody(shared: Server) -> None:
    half = [shared.connect() for _ in range(150)]
    silent = [shared.connect() for _ in range(150)]
    try:
        for sock in half:
            sock.sendall(b"GET /echo?msg=late HTTP/1.1\r\nHost:")
        assert shared.get("/echo?msg=first") == (200, "first")
        for sock in half:
            sock.sendall(b" a\r\n\r\n")
        assert {answer(sock) for sock in half} == {b"late"}
    finally:
        for sock in half + silent:
            sock.close()


def test_a_client_that_does_not_read_blocks_nobody(shared: Server) -> None:
    large = b"GET /echo?msg=" + b"m" * 60_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    with shared.connect() as greedy:
        greedy.setblocking(False)
        refusals = 0
        while refusals < 20:  # in a row, with others served in between: the server has stopped reading
            refusals = 0 if sent(greedy, large) else refusals + 1
            assert shared.get("/echo?msg=others") == (200, "others")


def test_too_many_connections_make_room_for_the_newest() -> None:
    with agnhost("netexec", "--http-port=0", "--udp-port=0", files=40) as server:
        crowd = [server.connect() for _ in range(60)]
        try:
            assert server.get("/echo?msg=newest") == (200, "newest")
            assert crowd[0].recv(1) == b""  # the longest idle one was closed
            crowd[-1].sendall(b"GET /echo?msg=kept HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer(crowd[-1]) == b"kept"
        finally:
            for sock in crowd:
                sock.close()


def test_who_is_silent_for_too_long_is_dropped() -> None:
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader = SourceFileLoader("agnhost", AGNHOST)
        spec = spec_from_loader("agnhost", loader)
        assert spec
        program = module_from_spec(spec)
        loader.exec_module(program)
    finally:
        sys.dont_write_bytecode = before
    loop = program.Loop()
    idle, slow = socket.socketpair(), socket.socketpair()
    for ours, theirs in (idle, slow):
        theirs.settimeout(TIMEOUT)
        loop.add(ours, program.converse(ours, "client", lambda request: (200, "")))
    slow[1].sendall(b"GET")
    for fd, _ in loop.epoll.poll(TIMEOUT):
        loop.advance(loop.talks[fd])

    loop.expire(time.monotonic() + program.REQUEST_SECONDS + 1)
    assert [talk.sock for talk in loop.talks.values()] == [idle[0]]
    assert slow[1].recv(1) == b""
    loop.expire(time.monotonic() + program.IDLE_SECONDS + 1)
    assert loop.talks == {}
    for _, theirs in (idle, slow):
        theirs.close()
    loop.epoll.close()


# netexec over UDP


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"hostname", socket.gethostname()),
        (b" hostName\n", socket.gethostname()),
        (b"echo Some Words\n", "some words"),
    ],
)
def test_udp_answer(shared: Server, datagram: bytes, expected: str) -> None:
    assert shared.ask(datagram)[0] == expected


def test_udp_clientip_and_serverport(shared: Server) -> None:
    told, real = shared.ask(b"clientip")
    assert told == real
    assert shared.ask(b"serverport")[0] == str(shared.ports["UDP"])


def test_unknown_datagrams_get_no_answer_and_do_no_harm(netexec: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        for datagram in (b"", b"\xff\xfe\n", b"echo", b"hostname"):
            sock.sendto(datagram, ("127.0.0.1", netexec.ports["UDP"]))
        assert sock.recv(4096).decode() == socket.gethostname()  # the first answer is that to the last one
    logged = [netexec.log().partition(" from ")[0] for _ in range(4)]
    assert logged == ["UDP ", "UDP ??", "UDP echo", "UDP hostname"]


# serve-hostname and pause


def test_serve_hostname_over_http() -> None:
    with agnhost("serve-hostname", "--port=0") as server:
        server.ports["HTTP"] = server.ports["Serving"]
        assert server.get("/any") == (200, socket.gethostname())
        assert server.log().startswith("HTTP request from 127.0.0.1:")


def test_serve_hostname_can_close_each_connection() -> None:
    with agnhost("serve-hostname", "--port=0", "--close") as server, server.connect("Serving") as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"\r\nConnection: close\r\n" in everything(sock)


def test_serve_hostname_over_tcp() -> None:
    flags = ("--http=false", "--tcp", "--port", "0")
    with agnhost("serve-hostname", *flags) as server, server.connect("Serving") as sock:
        assert everything(sock).decode() == socket.gethostname()


def test_serve_hostname_over_udp() -> None:
    with agnhost("serve-hostname", "--http=false", "--udp", "--port=0") as server:
        server.ports["UDP"] = server.ports["Serving"]
        assert server.ask(b"whatever")[0] == socket.gethostname()


def test_pause_waits_for_a_signal() -> None:
    with subprocess.Popen([AGNHOST, "pause"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "Paused\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=TIMEOUT) == 143


# How it starts and ends


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it_at_once(netexec: Server, number: int, code: int) -> None:
    netexec.process.send_signal(number)
    assert netexec.exit_code() == code


def test_sigterm_reaches_the_first_process_of_a_pid_namespace() -> None:
    unshare = namespaces("--pid", "--fork", "--mount-proc", "--kill-child")
    with subprocess.Popen([*unshare, AGNHOST, "pause"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "Paused\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert process.wait(timeout=TIMEOUT) == 143


def test_delayed_shutdown_serves_on_and_says_not_ready() -> None:
    with agnhost("netexec", "--http-port=0", "--udp-port=0", "--delay-shutdown", "60") as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.log() == "Sleeping 60 seconds before terminating..."
        assert server.get("/readyz") == (503, "shutting down")
        assert server.get("/healthz") == (200, "")


@pytest.mark.parametrize(
    ("target", "reply", "code"),
    [
        ("/exit?code=3", b"", 3),
        ("/exit", b"", 0),
        ("/exit?code=7&wait=10ms", b"HTTP/1.1 200 OK", 7),
        ("/exit?code=7&wait=0h0m0.01s", b"HTTP/1.1 200 OK", 7),
        ("/shutdown", b"", 0),
    ],
)
def test_exit_on_request(netexec: Server, target: str, reply: bytes, code: int) -> None:
    response = netexec.raw(f"GET {target} HTTP/1.0\r\n\r\n".encode())
    assert response.partition(b"\r\n")[0] == reply
    assert netexec.exit_code() == code


def test_a_taken_port_is_an_error_of_one_line(netexec: Server) -> None:
    http, udp = netexec.ports["HTTP"], netexec.ports["UDP"]
    for arguments, expected in [
        ([f"--http-port={http}", "--udp-port=0"], f"listen tcp :{http}: bind: address already in use\n"),
        (["--http-port=0", f"--udp-port={udp}"], f"listen udp :{udp}: bind: address already in use\n"),
    ]:
        second = run("netexec", *arguments)
        assert (second.returncode, second.stderr) == (1, expected)


def test_a_port_is_free_again_at_once(netexec: Server) -> None:
    """The server closes first here, so its side of the connection stays in TIME_WAIT."""
    with netexec.connect() as sock:
        sock.sendall(b"GET /echo?msg=1 HTTP/1.0\r\n\r\n")
        assert everything(sock).endswith(b"1")
    netexec.process.terminate()
    netexec.exit_code()
    with agnhost("netexec", f"--http-port={netexec.ports['HTTP']}", "--udp-port=0") as server:
        assert server.get("/echo?msg=2") == (200, "2")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["dance"], 'unknown command "dance" for "agnhost"; see agnhost --help'),
        (["netexec", "--sctp-port=1"], "unknown flag: --sctp-port=1; see agnhost --help"),
        (["netexec", "-v"], "unknown flag: -v; see agnhost --help"),
        (["netexec", "8080"], "unknown flag: 8080; see agnhost --help"),
        (["pause", "--port=1"], "unknown flag: --port=1; see agnhost --help"),
        (["netexec", "--http-port"], 'invalid argument "" for "--http-port" flag'),
        (["netexec", "--http-port=eighty"], 'invalid argument "eighty" for "--http-port" flag'),
        (["netexec", "--http-port=65536"], "listen tcp: address 65536: invalid port"),
        (["serve-hostname", "--tcp=maybe"], 'invalid argument "maybe" for "--tcp" flag'),
        (["serve-hostname", "--tcp"], "cannot serve TCP or UDP and HTTP at the same time; add --http=false"),
    ],
)
def test_what_cannot_be_done_is_said_and_is_an_error(arguments: list[str], problem: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", problem + "\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["netexec", "--help"]])
def test_help(arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stderr) == (0, "") and result.stdout.startswith("Usage: agnhost ")


def test_a_copy_is_lean(netexec: Server) -> None:
    """What a hundred copies take a hundred times: 2.8 MiB, or 4.5 with the syntax tree."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("measured with Python 3.11 only")
    rollup = Path(f"/proc/{netexec.process.pid}/smaps_rollup").read_text()
    kibibytes = int(rollup.split("Private_Dirty:")[1].split()[0])
    assert kibibytes < 3400


# The catalogue


def test_catalogue_names_are_canonical_and_unique() -> None:
    catalogue = yaml.safe_load((IMAGES / "catalogue.yml").read_text())
    names = [name for key, entry in catalogue.items() for name in [key, *entry.get("aliases", [])]]
    assert len(names) == len(set(names))
    for name in names:
        assert not name.startswith(("docker.io/", "library/"))
        assert "@" not in name and ":" not in name.rpartition("/")[2]


def test_catalogue_entries_have_what_an_image_has() -> None:
    for entry in yaml.safe_load((IMAGES / "catalogue.yml").read_text()).values():
        assert set(entry) <= {"entrypoint", "cmd", "path", "aliases", "binds"}
        assert [*entry.get("entrypoint", []), *entry.get("cmd", [])], "an image must start something"
        assert all(isinstance(word, str) for word in [*entry.get("entrypoint", []), *entry.get("cmd", [])])

"""host/stand_in/ as it runs: the program as hosts have it, real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podlab.controller.single_file import join
from podlab.host import stand_in
from podlab.host.kubelet import hpack, http2
from podlab.host.kubelet.config import Grpc
from podlab.host.kubelet.grpc import check_health
from podlab.host.kubelet.http_get import Result

TIMEOUT = 20  # seconds after which a test fails rather than hangs


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("images") / "stand-in"
    path.write_text(join(Path(stand_in.__file__).parent))
    path.chmod(0o755)
    return str(path)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Until it says where it listens."""
    with subprocess.Popen([program, "--for=example.com/shop", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            while "listens on" not in (line := process.stdout.readline()):
                assert line, "it has ended"
            yield process
        finally:
            process.kill()


def ask(port: int, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """All that comes back for these bytes and an end of file."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    with context.wrap_socket(plain) if context else plain as sock:
        sock.sendall(data)
        if not context:
            sock.shutdown(socket.SHUT_WR)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts)


def get(path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *fields, "", ""]).encode() + body


LAST = "Connection: close"


def test_http_is_answered_with_who_it_is_who_calls_and_what_was_asked(program):
    port = free_port()
    with running(program, f"--tcp={port}"):
        answer = ask(port, get("/any/path?x=1", LAST)).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert re.sub(r"(Client address: 127.0.0.1:)\d+", r"\1N", body) == (
        f"Hostname: {socket.gethostname()}\nStands in for: example.com/shop\nServer address: 127.0.0.1:{port}\n"
        "Client address: 127.0.0.1:N\n\nGET /any/path?x=1 HTTP/1.1\nHost: h\nConnection: close\n\n"
    )


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        (get("/a") + get("/b", LAST), ["GET /a", "GET /b"]),
        (get("/a", "Content-Length: 5", body=b"GET x", method="POST") + get("/b", LAST), ["POST /a", "GET /b"]),
        (get("/a", "Transfer-Encoding: chunked", body=b"4;x=y\r\nGET \r\n0\r\nT: 1\r\n\r\n", method="PUT") + get("/b", LAST), ["PUT /a", "GET /b"]),
        (get("/a") + b"\r\n" + get("/b", LAST) + get("/c"), ["GET /a", "GET /b"]),
        (b"GET /a HTTP/1.0\n\n", ["GET /a"]),
        (get("/a", method="HEAD") + get("/b", LAST), ["GET /b"]),
        (get("*", method="OPTIONS") + get("/half")[:-4], ["OPTIONS *"]),
    ],
)  # fmt: skip
def test_requests_of_one_connection(program, requests, answers):
    port = free_port()
    with running(program, f"--tcp={port}"):
        answer = ask(port, requests).decode()
    assert re.findall(r"^\w+ \S+(?= HTTP/1.[01]$)", answer, re.MULTILINE) == answers


def test_who_waits_for_leave_to_send_a_body_gets_it(program):
    port = free_port()
    with running(program, f"--tcp={port}"):
        sent = get("/", "Expect: 100-continue", "Content-Length: 1", LAST, method="POST")
        assert ask(port, sent + b"x").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_what_is_no_request_is_refused_where_it_looks_like_one(program):
    port = free_port()
    with running(program, f"--tcp={port}"):
        assert ask(port, b"GET /\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("data", [b"\x00\x01binary", b"*1\r\n$4\r\nPING\r\n", b"GETTY\n", b"x" * 300_000, b"G"])
def test_anything_else_is_echoed(program, data):
    port = free_port()
    with running(program, f"--tcp={port}"):
        assert ask(port, data) == data


def test_the_first_bytes_may_come_one_by_one(program):
    port = free_port()
    with running(program, f"--tcp={port}"), socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/", LAST):
            sock.send(bytes([byte]))
        assert sock.recv(8) == b"HTTP/1.1"


def test_datagrams_are_echoed(program):
    port = free_port(socket.SOCK_DGRAM)
    with running(program, f"--udp={port}"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(("127.0.0.1", port))
        sock.send(b"\x12\x34dns")
        assert sock.recv(100) == b"\x12\x34dns"


def test_tls_has_a_certificate_of_its_own(program):
    port, plain = free_port(), free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with running(program, f"--tls={port}", f"--tcp={plain}"):
        assert b"\nGET /a HTTP/1.1\n" in ask(port, get("/a", LAST), context)
        assert b"\nGET /a HTTP/1.1\n" in ask(plain, get("/a", LAST))
        assert ask(port, get("/", LAST)) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as one, context.wrap_socket(one) as sock:
            for word in (b"\x01one", b"\x02two" * 20_000):
                sock.sendall(word)
                got = b""
                while len(got) < len(word):
                    got += sock.recv(65536)
                assert got == word


def test_a_port_that_is_taken_is_left_to_whoever_has_it(program):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = free_port()
        with running(program, f"--tcp={other.getsockname()[1]},{port}"):
            assert ask(port, b"\x00") == b"\x00"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(program, number):
    with running(program) as process:
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 0


# --- the program that may be there ------------------------------------------------------------------------


def run(program: str, *words: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, "--for=i", *words], capture_output=True, text=True, timeout=TIMEOUT, **more)


def test_it_becomes_the_program_that_is_there(program, tmp_path):
    script = tmp_path / "serve"
    script.write_text('#!/bin/sh\necho $$ "$@"\ngrep SigIgn /proc/self/status\nprintenv | sort\n')
    script.chmod(0o755)
    env = {"PATH": f"/nowhere:{tmp_path}:/usr/bin", "A": "b=c"}
    for command in (["serve"], [str(script)]):
        process = subprocess.Popen([program, "--for=i", "--tcp=1", "--", *command, "x", "--"], env=env, stdout=subprocess.PIPE, text=True)  # fmt: skip
        out, _ = process.communicate(timeout=TIMEOUT)
        first, ignored, *variables = out.splitlines()
        assert (first, process.returncode) == (f"{process.pid} x --", 0)
        assert int(ignored.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0
        assert [line for line in variables if not line.startswith(("PWD", "_"))] == ["A=b=c", f"PATH={env['PATH']}"]


def test_it_stands_in_for_one_that_is_not(program, tmp_path):
    port = free_port()
    for command in (["no-such-program", "x"], ["/app/serve"], [str(tmp_path / "a" / "b")]):
        with running(program, f"--tcp={port}", "--", *command) as process:
            assert ask(port, b"\x00") == b"\x00"
            assert Path(f"/proc/{process.pid}/comm").read_text() == "podlab-stand-in\n"


def test_one_whose_interpreter_is_missing_is_not_there_either(program, tmp_path):
    script = tmp_path / "serve"
    script.write_text("#!/opt/no/python\n")
    script.chmod(0o755)
    assert (
        run(program, "--ends", "--", str(script)).stdout == f"podlab: stands in for i, as this node has no {script}\n"
    )


def test_one_that_must_not_be_run_is_the_manifests_mistake(program, tmp_path):
    script = tmp_path / "serve"
    script.write_text("#!/bin/sh\n")
    done = run(program, "--", str(script))
    assert (done.returncode, done.stderr) == (126, f'exec: "{script}": permission denied\n')


def test_what_would_have_ended_ends_at_once(program):
    assert (run(program, "--ends").stdout, run(program, "--ends").returncode) == ("podlab: stands in for i\n", 0)
    assert run(program, "--ends", "--", "sh", "-c", "exit 3").returncode == 3


def test_a_copy_is_small(program):
    with running(program, f"--tcp={free_port()}") as process:
        sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path(f"/proc/{process.pid}/smaps_rollup").read_text(), re.M))
        assert int(sizes["Private_Dirty"]) + int(sizes["Private_Clean"]) < 6 * 1024


# --- HTTP/2 -----------------------------------------------------------------------------------------------


def check(port: int, service: str) -> Result:
    request: Grpc = {"host": "127.0.0.1", "port": port, "service": service}
    return asyncio.run(check_health(request, time.monotonic() + TIMEOUT))


def test_grpc_is_told_that_all_is_well(program):
    port = free_port()
    with running(program, f"--tcp={port}"):
        assert [check(port, service) for service in ("", "a.B", "x" * 500)] == [Result(True)] * 3
        assert b"\nGET / HTTP/1.1\n" in ask(port, get("/", LAST))


def exchange(port: int, *frames: bytes) -> list[http2.Frame]:
    """What comes back for frames of a client, up to the end of the last stream, or of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(http2.PREFACE + b"".join(frames))
        found, data = [], b""
        while not (found and found[-1].ends_stream):
            one, data = http2.taken(data)
            if one:
                found.append(one)
            elif more := sock.recv(65536):
                data += more
            else:
                break
        return found


def request_frames(path: str, *more: tuple[bytes, bytes], flags: int = http2.END_HEADERS | http2.END_STREAM) -> bytes:
    fields = [(b":method", b"GET"), (b":path", path.encode()), (b":authority", b"h"), *more]
    return http2.frame(http2.HEADERS, flags, 1, hpack.encoded(fields))


GRPC = (b"content-type", b"application/grpc")


def test_other_requests_over_http2(program):
    port = free_port()
    with running(program, f"--tcp={port}"):
        settings, headers, data = exchange(port, request_frames("/a"))
        assert (settings.kind, data.kind) == (http2.SETTINGS, http2.DATA)
        assert (b":status", b"200") in hpack.Decoder().fields(headers.payload)
        assert b"\nGET /a HTTP/2\nHost: h\n" in data.payload
        _, refused = exchange(port, request_frames("/a.B/C", GRPC))
        assert dict(hpack.Decoder().fields(refused.payload))[b"grpc-status"] == b"12"


def test_a_request_in_parts_between_others(program):
    port = free_port()
    whole = request_frames("/parts")[9:]
    parts = [
        http2.frame(http2.HEADERS, http2.PADDED | http2.PRIORITY, 1, b"\x02" + bytes(5) + whole[:4] + bytes(2)),
        http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, whole[4:]),
        http2.frame(http2.PING, 0, 0, b"12345678"),
        http2.frame(http2.DATA, 0, 1, b"x" * 9000),
        http2.frame(http2.DATA, http2.END_STREAM, 1),
    ]
    with running(program, f"--tcp={port}"):
        found = exchange(port, *parts)
    kinds = [(one.kind, one.flags) for one in found]
    assert kinds[:3] == [(http2.SETTINGS, 0), (http2.PING, http2.ACK), (http2.WINDOW_UPDATE, 0)]
    assert b"\nGET /parts HTTP/2\n" in found[-1].payload


@pytest.mark.parametrize(
    "data", [b"\xff" * 20, http2.frame(http2.HEADERS, 0xD, 1), http2.frame(http2.HEADERS, 4, 1, b"\xbe")]
)
def test_what_is_no_http2_ends_its_connection_alone(program, data):
    port = free_port()
    with running(program, f"--tcp={port}"):
        assert [one.kind for one in exchange(port, data)] == [http2.SETTINGS]
        assert check(port, "") == Result(True)

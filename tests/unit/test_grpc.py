"""The health check of gRPC: HPACK by the RFC's own examples, the client against what real servers have answered and
against a stand-in, which is a server as well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from podlab.host.kubelet import hpack, http2
from podlab.host.kubelet.grpc import check_health, duration
from podlab.host.kubelet.http_get import Result

TIMEOUT = 20.0  # seconds after which a test fails rather than hangs

# --- HPACK ------------------------------------------------------------------------------------------------

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
REQUESTS = [
    REQUEST,
    [*REQUEST, (b"cache-control", b"no-cache")],
    [REQUEST[0], (b":scheme", b"https"), (b":path", b"/index.html"), REQUEST[3], (b"custom-key", b"custom-value")],
]


@pytest.mark.parametrize(
    "blocks",
    [
        # RFC 7541, C.3: literals as they are, and C.4: compressed; later blocks refer to fields of earlier ones.
        ["828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865", "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"],
        ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"],
    ],
)  # fmt: skip
def test_fields_are_read_as_the_rfc_has_them(blocks: list[str]) -> None:
    decoder = hpack.Decoder()
    assert [decoder.fields(bytes.fromhex(block)) for block in blocks] == REQUESTS


def test_what_is_written_is_read_and_remembered_by_nobody() -> None:
    fields = [*REQUEST, (b"x", b"y" * 126), (b"x", b"y" * 127), (b"z" * 300, bytes(range(256)) * 9)]
    decoder = hpack.Decoder()
    assert decoder.fields(hpack.encoded(fields)) == fields
    with pytest.raises(ValueError, match="there is no field 62"):
        decoder.fields(b"\xbe")


def test_what_is_forgotten_cannot_be_named() -> None:
    decoder = hpack.Decoder()
    large = b"\x40\x01a\x7f\xa5\x0e" + b"b" * 1956  # twice as much fits, and not three times
    for _ in range(3):
        decoder.fields(large)
    assert decoder.fields(b"\xbe\xbf") == [(b"a", b"b" * 1956)] * 2
    with pytest.raises(ValueError, match="there is no field 64"):
        decoder.fields(b"\xc0")
    with pytest.raises(ValueError, match="there is no field 62"):
        decoder.fields(b"\x20\xbe")  # a table without room


@pytest.mark.parametrize(
    "block", ["41", "7f ff ff", "00 05 61", "00 01 61 81 00", "3f e2 1f", "ff ff ff ff ff ff", "80", "00 82 ff ff"]
)
def test_what_is_no_block_of_fields_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        hpack.Decoder().fields(bytes.fromhex(block))


# --- the client -------------------------------------------------------------------------------------------

# Of grpc's C core 1.66: its settings and pings, fields as they are. Of node's http2: fields compressed.
BEGIN = (
    "000018040000000000000400400000000500400000000600004000fe030000000100000408000000000000"
    "3f0001000000040100000000000004080000000000000000050000080600000000000000000000000000"
)
FIELDS = (
    "00004e01040000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f677270634014677270632d6163636570742d656e"
    "636f64696e67176964656e746974792c206465666c6174652c20677a6970"
)
OK = "00001e010500000001400b677270632d7374617475730130000c677270632d6d65737361676500"
SERVING, NOT_SERVING = (f"0000070000000000010000000002080{status}" for status in (1, 2))
NOT_FOUND = "00001e010500000001400b677270632d7374617475730135000c677270632d6d65737361676500"
UNIMPLEMENTED = (
    "00005001050000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f67727063400b677270632d7374617475730231320"
    "00c677270632d6d657373616765114d6574686f64206e6f7420666f756e6421"
)
OF_NODE = (
    "00000004000000000000000004010000000000002b010400000001885f901d75d0620d263d4c4d6564ff75d8749f6196d07abe94640a693f7504"
    "0138a05bb8172e082a62d1bf00000700000000000100000000020801000019010500000001408"
    "89acac8b21234da8f01304001788941e92a89b066a0b67f"
)


@contextlib.contextmanager
def server(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """One connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        converse(connection)

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]


def says(answer: str) -> Callable[[socket.socket], None]:
    def converse(connection: socket.socket) -> None:
        connection.recv(9999)
        connection.sendall(bytes.fromhex(answer))
        while connection.recv(9999):
            pass

    return converse


def check(port: int, service: str = "", seconds: float = TIMEOUT) -> Result:
    request = {"host": "127.0.0.1", "port": port, "service": service}
    return asyncio.run(check_health(request, time.monotonic() + seconds))  # type: ignore[arg-type]


FAILED = "error: health rpc probe failed: rpc error: code = "


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (BEGIN + FIELDS + SERVING + OK, ""),
        (OF_NODE, ""),
        (BEGIN + FIELDS + NOT_SERVING + OK, 'service unhealthy (responded with "NOT_SERVING")'),
        (BEGIN + FIELDS + "000005000000000001" + "00" * 5 + OK, 'service unhealthy (responded with "UNKNOWN")'),
        (BEGIN + FIELDS + NOT_FOUND, f"{FAILED}NotFound desc = "),
        (BEGIN + UNIMPLEMENTED, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): Method not found!"),
        (BEGIN + "000001010500000001" + "8d", "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unexpected HTTP status code received from server: 404"),
        (BEGIN + "000001010500000001" + "88", f"{FAILED}Unknown desc = "),
        (BEGIN + "00000403000000000100000002", f"{FAILED}Unavailable desc = stream terminated by RST_STREAM"),
        (BEGIN + "000008070000000000" + "00" * 8, f"{FAILED}Unavailable desc = the connection is draining"),
        (BEGIN + FIELDS + "0010010000000000010000001000" + "00" * 4092, f"{FAILED}Unknown desc = an answer that is too large"),
        (BEGIN + "ffffff010500000001", f"{FAILED}Unavailable desc = error reading from server: no HTTP/2: a frame of 16777215 bytes"),
        (BEGIN + "000001010500000001be", f"{FAILED}Unavailable desc = error reading from server: no HTTP/2: there is no field 62"),
        (BEGIN + "000000010d00000001", f"{FAILED}Unavailable desc = error reading from server: no HTTP/2: index out of range"),
    ],
)  # fmt: skip
def test_what_a_server_answers(answer: str, message: str) -> None:
    with server(says(answer)) as port:
        assert check(port) == Result(not message, message)


@pytest.mark.parametrize("answer", ["", b"HTTP/1.1 400 Bad Request\r\n\r\n".hex(), "504f4e4720"])
def test_who_speaks_no_http2_is_not_connected_to(answer: str) -> None:
    with server(says(answer)) as port:
        words = f'timeout: failed to connect service "127.0.0.1:{port}" within 1s: context deadline exceeded'
        assert check(port, seconds=1) == Result(False, words)


def test_where_nobody_listens_it_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    asked = []

    def late() -> None:
        time.sleep(0.2)
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(9999))
                connection.sendall(bytes.fromhex(BEGIN + FIELDS + SERVING + OK))
                connection.recv(9999)

    thread = threading.Thread(target=late)
    thread.start()
    assert check(port, "a.B") == Result(True)
    thread.join()
    assert asked[0].startswith(http2.PREFACE)
    assert b"\0\0\0\0\x05\x0a\x03a.B" in asked[0]


def test_a_server_that_does_not_answer_is_waited_for_as_long_as_the_probe_may() -> None:
    with server(says(BEGIN)) as port:
        assert check(port, seconds=1) == Result(False, "timeout: health rpc did not complete within 1s")


def test_durations_are_gos() -> None:
    assert [duration(seconds) for seconds in (1, 90, 3600)] == ["1s", "1m30s", "1h0m0s"]

"""HTTP/1.1 (RFC 9112) as far as a stand-in needs it: any request is understood, whatever it asks for."""

from __future__ import annotations

from time import gmtime, strftime

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .loop import Channel, Conversation, Wait

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT")
LARGEST = 64 * 1024  # bytes of a request's head


def is_request(data: bytes) -> bool:
    return data.startswith(tuple(method + b" " for method in METHODS))


def may_become_request(data: bytes) -> bool:
    """Whether it takes more bytes to tell."""
    return bool(data) and any((method + b" ").startswith(data) for method in METHODS)


def converse(channel: Channel, data: bytes, answer: Callable[[str], str]) -> Conversation:
    """Requests of one client, until one of the two has had enough.

    :param data: what has come already. :param answer: the body, to the head of a request.
    """
    keep_alive = True
    while keep_alive:
        head, data = yield from _head(channel, data)
        if not head:
            break
        method, version, fields = _parsed(head)
        if not version.startswith("HTTP/1."):
            yield from channel.write(_response(400, "no request of HTTP/1.1\n", keep_alive=False))
            break
        keep_alive = "close" not in fields.get("connection", "") and version != "HTTP/1.0"
        if "100-continue" in fields.get("expect", ""):
            yield from channel.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        data = yield from _without_body(channel, data, fields)
        text = _response(200, answer(head.replace("\r\n", "\n")), keep_alive=keep_alive)
        yield from channel.write(text.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else text)
    yield from channel.close()


def _head(channel: Channel, data: bytes) -> Generator[Wait, None, tuple[str, bytes]]:
    """The next request's first line and fields, and what has come of the rest; empty when the client has gone."""
    while True:
        data = data.lstrip(b"\r\n")  # empty lines do no harm (RFC 9112, 2.2)
        # A bare LF ends a line as well, for people who type requests into nc.
        ends = [data.find(end) + len(end) for end in (b"\n\r\n", b"\n\n") if end in data]
        if ends or len(data) > LARGEST:
            size = min(ends, default=LARGEST)
            return data[:size].decode(errors="replace"), data[size:]
        more = yield from channel.read()
        if not more:
            return "", b""
        data += more


def _parsed(head: str) -> tuple[str, str, dict[str, str]]:
    """Method, version, and fields by lower-case name."""
    first, *rest = head.splitlines()
    words = first.split()
    fields: dict[str, str] = {}
    for line in rest:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), value.strip().lower())
    return words[0], words[-1], fields


def _without_body(channel: Channel, data: bytes, fields: dict[str, str]) -> Generator[Wait, None, bytes]:
    """What comes after the request's body, which nobody reads."""
    if "chunked" in fields.get("transfer-encoding", ""):
        return (yield from _without_chunks(channel, data))
    length = fields.get("content-length", "0")
    left = int(length) if length.isdecimal() and len(length) < 16 else 0
    while left > len(data):
        left -= len(data)
        data = yield from channel.read()
        if not data:
            return b""
    return data[left:]


def _without_chunks(channel: Channel, data: bytes) -> Generator[Wait, None, bytes]:
    """RFC 9112, 7.1: sizes in hexadecimal, the last one 0, and perhaps fields after it."""
    is_last = False
    while True:
        line, data = yield from _line(channel, data)
        if line is None or (is_last and not line):
            return data
        if is_last:
            continue
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return b""
        is_last = size == 0
        left = size + 2 if size else 0
        while left > len(data):
            left -= len(data)
            data = yield from channel.read()
            if not data:
                return b""
        data = data[left:]


def _line(channel: Channel, data: bytes) -> Generator[Wait, None, tuple[bytes | None, bytes]]:
    while b"\n" not in data:
        more = yield from channel.read()
        if not more or len(data) > LARGEST:
            return None, b""
        data += more
    line, _, rest = data.partition(b"\n")
    return line.strip(), rest


def _response(status: int, body: str, *, keep_alive: bool) -> bytes:
    content = body.encode(errors="replace")
    head = [
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}",
        strftime("Date: %a, %d %b %Y %H:%M:%S GMT", gmtime()),
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(content)}",
        *([] if keep_alive else ["Connection: close"]),
    ]
    return "\r\n".join([*head, "", ""]).encode() + content

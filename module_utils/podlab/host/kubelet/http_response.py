"""An answer over HTTP/1.1, read as Go's client reads it."""

from __future__ import annotations

import string
from asyncio import StreamReader
from collections.abc import Mapping

from .commands import MAX_OUTPUT

MAX_HEADERS = 1 << 20  # bytes
MAX_INFORMATIONAL = 5  # answers which say that the answer is yet to come
MAX_CHUNK_LINE = 4096  # bytes
MAX_NON_DATA = 16 * 1024  # bytes of chunks beyond what comes with their data
READ_SIZE = 16 * 1024
BROKEN = "net/http: HTTP/1.x transport connection broken: "


class RequestError(Exception):
    """What Go's client would return as an error of a request, without the words ``Get "URL"``."""


class BodyError(Exception):
    """Why a body has broken off."""


class Head:
    """Status and headers, by their names in small letters."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers


class ResponseReader:
    """Reads what comes over a connection: first ``head``, then ``body``."""

    def __init__(self, stream: StreamReader) -> None:
        self.stream = stream
        self.received = bytearray()

    async def head(self) -> Head:
        """The first that is not informational. :raises RequestError: this is no HTTP."""
        for _ in range(MAX_INFORMATIONAL + 1):
            head = parse_head(await self._head_bytes())
            if not 100 <= head.status < 200 or head.status == 101:
                return head
        raise RequestError(f"{BROKEN}net/http: too many 1xx informational responses")

    async def _head_bytes(self) -> bytes:
        """All up to the empty line."""
        searched, has_status = 0, False
        while not (end := _end_of_head(self.received, searched)):
            if not has_status and (newline := self.received.find(b"\n", searched)) >= 0:
                parse_status(bytes(self.received[:newline]))  # of what is no HTTP no more is waited for
                has_status = True
            searched = max(0, len(self.received) - 3)  # the empty line may have begun
            data = await self.stream.read(READ_SIZE)
            if not data:
                self._raise_eof()
            self.received += data
            if len(self.received) > MAX_HEADERS:
                raise RequestError(f"net/http: server response headers exceeded {MAX_HEADERS} bytes; aborted")
        head = bytes(self.received[:end])
        del self.received[:end]
        return head

    def _raise_eof(self) -> None:
        if not self.received:
            raise RequestError("EOF")
        parse_status(bytes(self.received.partition(b"\n")[0]))
        raise RequestError(f"{BROKEN}unexpected EOF")

    async def body(self, head: Head) -> str:
        """Its beginning. :raises BodyError: it breaks off before its end."""
        if head.status < 200 or head.status in (204, 304):
            return ""
        decoder = _decoder(head.headers)
        data = bytes(self.received)
        while True:
            decoder.feed(data)
            if decoder.is_complete or len(decoder.content) >= MAX_OUTPUT:
                return decoder.content[:MAX_OUTPUT].decode(errors="replace")
            data = await self.stream.read(READ_SIZE)
            if not data:
                if not decoder.ends_with_connection:
                    raise BodyError("unexpected EOF")
                return decoder.content.decode(errors="replace")


def _end_of_head(data: bytearray, start: int) -> int:
    """Where the empty line is over; 0 if it has not come."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n", b"\n\r\n") if (at := data.find(mark, start)) >= 0]
    return min(ends, default=0)


def parse_status(line: bytes) -> int:
    """:raises RequestError: this is no status line."""
    text = line.decode(errors="replace").rstrip("\r\n")
    protocol, blank, rest = text.partition(" ")
    if not blank:
        raise RequestError(f'{BROKEN}malformed HTTP response "{text}"')
    code = rest.lstrip(" ").partition(" ")[0]
    if len(code) != 3 or not all(letter in string.digits for letter in code):
        raise RequestError(f'{BROKEN}malformed HTTP status code "{code}"')
    number = protocol.removeprefix("HTTP/")
    if number == protocol or len(number) != 3 or number[1] != "." or not (number[0] + number[2]).isdigit():
        raise RequestError(f'{BROKEN}malformed HTTP version "{protocol}"')
    return int(code)


def parse_head(head: bytes) -> Head:
    first, *lines = head.split(b"\n")
    status, headers = parse_status(first), dict[str, str]()
    for raw in lines:
        line = raw.decode("latin-1").rstrip("\r")
        name, colon, value = line.partition(":")
        if line[:1] in (" ", "\t"):
            continue  # the rest of a long line: no header that is read here has one
        if line and (not colon or not name or name != name.strip()):
            raise RequestError(f"{BROKEN}malformed MIME header line: {line}")
        if line:
            headers.setdefault(name.lower(), value.strip())
    return Head(status, headers)


def _decoder(headers: Mapping[str, str]) -> PlainDecoder | ChunkedDecoder:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return ChunkedDecoder()
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise RequestError(f'{BROKEN}bad Content-Length "{length}"')
    return PlainDecoder(None if length is None else int(length))


class PlainDecoder:
    """A body as it is: of a known length, or to the end of the connection."""

    def __init__(self, length: int | None) -> None:
        self.content = bytearray()
        self.length = length
        self.is_complete = length == 0
        self.ends_with_connection = length is None

    def feed(self, data: bytes) -> None:
        self.content += data
        if self.length is not None:
            del self.content[self.length :]
            self.is_complete = len(self.content) == self.length


class ChunkedDecoder:
    """A body in chunks, decoded as they come. What is no data has the limits of Go's net/http/internal/chunked.go:
    one thread reads all that pods answer."""

    ends_with_connection = False

    def __init__(self) -> None:
        self.content = bytearray()
        self.is_complete = False
        self.rest = b""  # a line that has begun
        self.left = 0  # bytes of a chunk that are yet to come
        self.in_chunk = False  # an empty line ends it
        self.non_data = 0

    def feed(self, data: bytes) -> None:
        """:raises BodyError: these are no chunks, or hardly anything in them is data."""
        received, at = self.rest + data, 0
        while not self.is_complete and len(self.content) < MAX_OUTPUT:
            part = received[at : at + self.left]
            self.content += part
            self.left -= len(part)
            at += len(part)
            end = received.find(b"\n", at, at + MAX_CHUNK_LINE)
            if self.left or end < 0:
                break
            self._line(received[at : end + 1])
            at = end + 1
        self.rest = received[at:]
        if len(self.rest) >= MAX_CHUNK_LINE and len(self.content) < MAX_OUTPUT:
            raise BodyError("header line too long")

    def _line(self, line: bytes) -> None:
        if self.in_chunk:
            if line.strip():
                raise BodyError("malformed chunked encoding")
            self.in_chunk = False
            return
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 16 or not all(digit in string.hexdigits.encode() for digit in digits):
            raise BodyError("invalid byte in chunk length")
        self.left = int(digits, 16)
        self.in_chunk, self.is_complete = True, not self.left
        self.non_data = max(0, self.non_data + len(line) + 2 - 16 - 2 * self.left)
        if self.non_data > MAX_NON_DATA:
            raise BodyError("chunked encoding contains too much non-data")

"""Frames of HTTP/2 (RFC 9113)."""

from __future__ import annotations

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20  # flags

LARGEST = 16384  # bytes of a frame, as long as nothing else was agreed on
LARGEST_BLOCK = 64 * 1024  # bytes of header fields


class Frame:
    def __init__(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload

    @property
    def content(self) -> bytes:
        """Of DATA and HEADERS: without what is there beside it."""
        content = self.payload
        if self.flags & PADDED:
            content = content[1 : len(content) - content[0]]
        return content[5:] if self.kind == HEADERS and self.flags & PRIORITY else content

    @property
    def ends_stream(self) -> bool:
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def taken(data: bytes) -> tuple[Frame | None, bytes]:
    """The first frame of some bytes, None where it is not there as a whole; and the rest.

    :raises ValueError: it is larger than was agreed on.
    """
    size = int.from_bytes(data[:3], "big")
    if len(data) >= 3 and size > LARGEST:
        raise ValueError(f"a frame of {size} bytes")
    if len(data) < 9 + size:
        return None, data
    stream = int.from_bytes(data[5:9], "big") & 0x7FFFFFFF
    return Frame(data[3], data[4], stream, data[9 : 9 + size]), data[9 + size :]


def reply(one: Frame) -> bytes:
    """What every frame of this kind is answered with, if it is."""
    if one.kind in (SETTINGS, PING) and not one.flags & ACK:
        return frame(one.kind, ACK, 0, one.payload if one.kind == PING else b"")
    if one.kind == DATA and one.payload:  # which was taken, so that as much may come again
        more = len(one.payload).to_bytes(4, "big")
        return frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, one.stream, more)
    return b""

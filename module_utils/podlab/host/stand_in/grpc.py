"""HTTP/2 with prior knowledge (RFC 9113, 3.3): the health check of gRPC is answered with SERVING, anything else that is
no gRPC as over HTTP/1.1."""

from __future__ import annotations

from . import hpack, http2
from .loop import Channel

TYPE_CHECKING = False  # the one of typing costs an import
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import Conversation

    Fields = dict[bytes, bytes]

HEALTH = b"/grpc.health.v1.Health/"
SERVING = b"\x00\x00\x00\x00\x02\x08\x01"  # a message of two bytes: HealthCheckResponse, status 1
UNIMPLEMENTED = b"12"


def converse(channel: Channel, data: bytes, answer: Callable[[str], str]) -> Conversation:
    """
    :param data: what has come already, the whole preface first.
    :param answer: the body, to the head of a request.
    """
    yield from channel.write(http2.frame(http2.SETTINGS, 0, 0))
    streams = _Streams()
    data = data[len(http2.PREFACE) :]
    while True:
        try:
            found, data = http2.taken(data)
            reply = _reply(streams, found, answer) if found else b""
        except (ValueError, IndexError):  # after which nothing can be understood any more
            return
        if found is None:
            more = yield from channel.read()
            if not more:
                return
            data += more
        elif found.kind == http2.GOAWAY:
            return
        else:
            yield from channel.write(reply)


class _Streams:
    """What has come of requests that are not whole yet."""

    def __init__(self) -> None:
        self.decoder = hpack.Decoder()
        self.block = b""
        self.ends = False  # the stream of this block, with it
        self.fields: dict[int, Fields] = {}


def _reply(streams: _Streams, one: http2.Frame, answer: Callable[[str], str]) -> bytes:
    said = http2.reply(one)
    if one.kind == http2.RST_STREAM:
        streams.fields.pop(one.stream, None)
    ends = one.ends_stream
    if one.kind in (http2.HEADERS, http2.CONTINUATION):
        streams.block += one.content
        streams.ends = ends if one.kind == http2.HEADERS else streams.ends
        if len(streams.block) > http2.LARGEST_BLOCK or len(streams.fields) > 1000:
            raise ValueError("too much at a time")
        if not one.flags & http2.END_HEADERS:
            return said
        streams.fields.setdefault(one.stream, {}).update(streams.decoder.fields(streams.block))
        streams.block, ends = b"", streams.ends
    if ends and one.stream in streams.fields:
        said += _response(one.stream, streams.fields.pop(one.stream), answer)
    return said


def _response(stream: int, fields: Fields, answer: Callable[[str], str]) -> bytes:
    path, kind = fields.get(b":path", b""), fields.get(b"content-type", b"")
    if not kind.startswith(b"application/grpc"):
        body = answer(_head(fields)).encode(errors="replace")[: http2.LARGEST]
        return _headers(stream, (b":status", b"200"), (b"content-type", b"text/plain; charset=utf-8")) + _data(
            stream, body, ends=True
        )
    answer(_head(fields))  # for the log
    begin = ((b":status", b"200"), (b"content-type", b"application/grpc"))
    if path == HEALTH + b"Check":
        return _headers(stream, *begin) + _data(stream, SERVING) + _headers(stream, (b"grpc-status", b"0"), ends=True)
    if path == HEALTH + b"Watch":  # which goes on
        return _headers(stream, *begin) + _data(stream, SERVING)
    words = (b"grpc-message", b"a stand-in answers health checks alone")
    return _headers(stream, *begin, (b"grpc-status", UNIMPLEMENTED), words, ends=True)


def _headers(stream: int, *fields: tuple[bytes, bytes], ends: bool = False) -> bytes:
    flags = http2.END_HEADERS | (http2.END_STREAM if ends else 0)
    return http2.frame(http2.HEADERS, flags, stream, hpack.encoded(fields))


def _data(stream: int, content: bytes, *, ends: bool = False) -> bytes:
    return http2.frame(http2.DATA, http2.END_STREAM if ends else 0, stream, content)


def _head(fields: Fields) -> str:
    """A request as HTTP/1.1 would have it."""
    own = {name: value.decode(errors="replace") for name, value in fields.items()}
    lines = [f"{own.get(b':method')} {own.get(b':path')} HTTP/2", f"Host: {own.get(b':authority')}"]
    lines += [f"{name.decode(errors='replace')}: {value}" for name, value in own.items() if name[:1] != b":"]
    return "\n".join([*lines, "", ""])

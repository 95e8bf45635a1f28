"""The health check of gRPC (grpc.health.v1.Health/Check), as Kubernetes' probes do it: pkg/probe/grpc and grpc-go."""

from __future__ import annotations

import asyncio
import time

from . import hpack, http2
from .config import Grpc
from .dial import dial
from .http_get import PROBE_AGENT, Result
from .url import host_and_port
from .waiting import DeadlineExceeded, before, sleep_until

PATH = b"/grpc.health.v1.Health/Check"
SERVING = 1
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
OK, UNKNOWN, UNIMPLEMENTED, UNAVAILABLE = 0, 2, 12, 14
CODES = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
    *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented"),
    *("Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)
RETRY = 1.0  # seconds between two tries to connect
LARGEST_MESSAGE = 4096  # bytes; the one that is waited for has two


class RpcError(Exception):
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


async def check_health(request: Grpc, deadline: float) -> Result:
    address = host_and_port(request["host"], request["port"])
    given = duration(round(deadline - time.monotonic()))
    call = _Call(request["service"], address)
    while True:
        try:
            status = await before(deadline, _checked(request, call, deadline))
        except DeadlineExceeded:
            break
        except RpcError as error:
            return Result(False, _failure(error))
        except (OSError, EOFError) as error:
            if call.is_connected:
                return Result(False, _failure(RpcError(UNAVAILABLE, f"error reading from server: {error or 'EOF'}")))
            await sleep_until(min(deadline, time.monotonic() + RETRY))
            if time.monotonic() >= deadline:
                break
            continue
        if status == SERVING:
            return Result(True)
        name = STATUSES[status] if status < len(STATUSES) else str(status)
        return Result(False, f'service unhealthy (responded with "{name}")')
    if call.is_connected:
        return Result(False, f"timeout: health rpc did not complete within {given}")
    words = f'timeout: failed to connect service "{address}" within {given}: context deadline exceeded'
    return Result(False, words)


def _failure(error: RpcError) -> str:
    if error.code == UNIMPLEMENTED:
        return f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {error}"
    name = CODES[error.code] if error.code < len(CODES) else f"Code({error.code})"
    return f"error: health rpc probe failed: rpc error: code = {name} desc = {error}"


async def _checked(request: Grpc, call: _Call, deadline: float) -> int:
    sock = await dial(request["host"], request["port"], deadline)
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        writer.write(call.request())
        data = b""
        while True:
            found, data = http2.taken(data)
            if found is None:
                more = await reader.read(http2.LARGEST)
                if not more:
                    raise EOFError("EOF")
                data += more
                continue
            writer.write(http2.reply(found))
            if call.takes(found):
                return call.status()
    except (ValueError, IndexError) as error:
        raise ConnectionError(f"no HTTP/2: {error}") from error
    finally:
        writer.transport.abort()


class _Call:
    """One call, on the first stream of a connection."""

    def __init__(self, service: str, authority: str) -> None:
        name = service.encode()
        self._message = b"\x0a" + _varint(len(name)) + name if name else b""  # HealthCheckRequest
        self._authority = authority.encode()
        self.is_connected = False  # a server of HTTP/2 has said its first word

    def request(self) -> bytes:
        self._decoder = hpack.Decoder()
        self._block, self._fields, self._answer, self._ends = b"", dict[bytes, bytes](), b"", False
        fields = [
            *((b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH), (b":authority", self._authority)),
            *((b"content-type", b"application/grpc"), (b"user-agent", PROBE_AGENT.encode()), (b"te", b"trailers")),
        ]
        data = b"\0" + len(self._message).to_bytes(4, "big") + self._message
        return b"".join(
            (
                http2.PREFACE,
                http2.frame(http2.SETTINGS, 0, 0),
                http2.frame(http2.HEADERS, http2.END_HEADERS, 1, hpack.encoded(fields)),
                http2.frame(http2.DATA, http2.END_STREAM, 1, data),
            )
        )

    def takes(self, one: http2.Frame) -> bool:
        """Whether the answer is whole with this frame. :raises RpcError: there will be none."""
        self.is_connected |= one.kind == http2.SETTINGS
        if one.kind == http2.GOAWAY:
            raise RpcError(UNAVAILABLE, "the connection is draining")
        if one.kind == http2.RST_STREAM and one.stream == 1:
            raise RpcError(UNAVAILABLE, "stream terminated by RST_STREAM")
        if one.kind == http2.DATA:
            self._answer += one.content
        elif one.kind in (http2.HEADERS, http2.CONTINUATION):
            self._block += one.content
            if one.flags & http2.END_HEADERS:
                self._fields |= dict(self._decoder.fields(self._block))
                self._block = b""
        if len(self._block) > http2.LARGEST_BLOCK or len(self._answer) > LARGEST_MESSAGE:
            raise RpcError(UNKNOWN, "an answer that is too large")
        self._ends |= one.ends_stream
        return self._ends and not self._block

    def status(self) -> int:
        """What the server says of the service. :raises RpcError: it says something else."""
        http_status = self._fields.get(b":status", b"")
        if http_status != b"200":
            code = UNIMPLEMENTED if http_status == b"404" else UNKNOWN
            raise RpcError(code, f"unexpected HTTP status code received from server: {http_status.decode()}")
        told = self._fields.get(b"grpc-status", b"")
        code = int(told) if told.isdigit() else UNKNOWN
        if code != OK:
            raise RpcError(code, _unquoted(self._fields.get(b"grpc-message", b"")))
        return _status_of(self._answer[5:])


def _status_of(message: bytes) -> int:
    """Of a HealthCheckResponse: its first field, 0 where it has none."""
    return message[1] if message[:1] == b"\x08" and len(message) > 1 else 0


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 128:
        found.append(number % 128 + 128)
        number //= 128
    return bytes([*found, number])


def _unquoted(text: bytes) -> str:
    """Percent signs decoded, as far as they are any."""
    first, *rest = text.split(b"%")
    found = first
    for part in rest:
        try:
            found += bytes([int(part[:2], 16)]) + part[2:]
        except ValueError:
            found += b"%" + part
    return found.decode(errors="replace")


def duration(seconds: int) -> str:
    """As Go writes it."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"

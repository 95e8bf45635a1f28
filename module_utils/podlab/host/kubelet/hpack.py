"""Header fields of HTTP/2: HPACK (RFC 7541). What is sent is never compressed; what comes may be."""

from __future__ import annotations

TYPE_CHECKING = False  # the one of typing costs an import, and who stands in for a program has this module as well
if TYPE_CHECKING:
    from collections.abc import Iterable

    Field = tuple[bytes, bytes]

# Appendix A.
STATIC = [
    (name, value.replace(b"_", b" "))
    for name, _, value in (
        word.partition(b"=")
        for word in (
            b":authority :method=GET :method=POST :path=/ :path=/index.html :scheme=http :scheme=https :status=200 "
            b":status=204 :status=206 :status=304 :status=400 :status=404 :status=500 accept-charset "
            b"accept-encoding=gzip,_deflate accept-language accept-ranges accept access-control-allow-origin age allow "
            b"authorization cache-control content-disposition content-encoding content-language content-length "
            b"content-location content-range content-type cookie date etag expect expires from host if-match "
            b"if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards "
            b"proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie "
            b"strict-transport-security transfer-encoding user-agent vary via www-authenticate"
        ).split()
    )
]

# Appendix B: how many bits each byte has in the code, and the end of a string, which no string has. The code is
# canonical: of one length the smaller byte has the smaller code, so the lengths tell all of it.
_BITS = (
    *(13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28),
    *(28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7),
    *(8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13),
    *(14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28),
    *(20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22),
    *(23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22),
    *(23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19),
    *(21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25),
    *(24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30),
)
_TABLE_SIZE = 4096  # bytes of the dynamic table, as long as nothing else was agreed on
_ENTRY = 32  # bytes that an entry of it counts beside its text


def encoded(fields: Iterable[Field]) -> bytes:
    """As literals that nobody has to remember."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    size, head = size - 127, [127]
    while size >= 128:
        head.append(size % 128 + 128)
        size //= 128
    return bytes([*head, size]) + text


class Decoder:
    """Of one side of a connection: later blocks refer to fields of earlier ones."""

    def __init__(self) -> None:
        self._recent: list[Field] = []  # the latest first
        self._limit = _TABLE_SIZE
        self._data = b""
        self._at = 0

    def fields(self, block: bytes) -> list[Field]:
        """:raises ValueError: it is no such block."""
        self._data, self._at = block, 0
        found = []
        while self._at < len(block):
            first = block[self._at]
            if first & 0x80:  # a field of one of the tables
                found.append(self._entry(self._integer(7)))
            elif first & 0xE0 == 0x20:  # a new size of the dynamic table
                self._limit = self._integer(5)
                if self._limit > _TABLE_SIZE:
                    raise ValueError("a larger table than was agreed on")
                self._evict()
            else:
                found.append(self._literal(is_remembered=bool(first & 0x40)))
        return found

    def _literal(self, *, is_remembered: bool) -> Field:
        index = self._integer(6 if is_remembered else 4)
        field = (self._entry(index)[0] if index else self._text()), self._text()
        if is_remembered:
            self._recent.insert(0, field)
            self._evict()
        return field

    def _entry(self, index: int) -> Field:
        known = STATIC if index <= len(STATIC) else self._recent
        at = index - 1 if index <= len(STATIC) else index - 1 - len(STATIC)
        if not 0 <= at < len(known):
            raise ValueError(f"there is no field {index}")
        return known[at]

    def _evict(self) -> None:
        while sum(len(name) + len(value) + _ENTRY for name, value in self._recent) > self._limit:
            self._recent.pop()

    def _integer(self, bits: int) -> int:
        """Section 5.1: in the last bits of a byte, and where they do not do in bytes of seven bits after it."""
        most = (1 << bits) - 1
        value = self._byte() & most
        if value < most:
            return value
        for shift in range(0, 28, 7):
            byte = self._byte()
            value += (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise ValueError("a number that is too large")

    def _text(self) -> bytes:
        is_compressed = bool(self._data[self._at : self._at + 1] >= b"\x80")
        size = self._integer(7)
        text = self._data[self._at : self._at + size]
        if len(text) < size:
            raise ValueError("a block that breaks off")
        self._at += size
        return _decompressed(text) if is_compressed else text

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise ValueError("a block that breaks off")
        self._at += 1
        return self._data[self._at - 1]


def _decompressed(text: bytes) -> bytes:
    symbols = _symbols()
    found, code, bits = bytearray(), 0, 0
    for byte in text:
        for shift in range(7, -1, -1):
            code, bits = code << 1 | byte >> shift & 1, bits + 1
            if (bits, code) in symbols:
                found.append(symbols[bits, code])
                code = bits = 0
    if bits > 7 or code != 2**bits - 1:  # the rest of the last byte is filled up with ones
        raise ValueError("a string that breaks off")
    return bytes(found)


_cached: dict[tuple[int, int], int] = {}


def _symbols() -> dict[tuple[int, int], int]:
    """(how many bits, code) -> byte; worked out when the first compressed string comes."""
    code = previous = 0
    for symbol in sorted(range(256), key=lambda one: (_BITS[one], one)) if not _cached else ():
        code <<= _BITS[symbol] - previous
        previous = _BITS[symbol]
        _cached[previous, code] = symbol
        code += 1
    return _cached

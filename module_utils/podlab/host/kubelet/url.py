"""URLs by the rules of Go's net/url, as far as a request needs them."""

from __future__ import annotations

import socket
import string

from .config import HttpGet

PLAIN = frozenset(f"{string.ascii_letters}{string.digits}-_.~$&+,/:;=@")  # stays as it is in a path (shouldEscape)
WRITTEN = PLAIN | frozenset("!'()*[]%")  # is left alone where it is written so (validEncoded)


class Url:
    """``path`` is as it goes over the wire; an ``opaque`` URL has no host."""

    def __init__(self, path: str = "") -> None:
        self.scheme = self.user = self.host = self.opaque = self.fragment = ""
        self.reference = ""  # how a ``Location`` has written it
        self.port = 0
        self.path = path
        self.query: str | None = None

    def __str__(self) -> str:
        """Without a password."""
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        user, has_password, _ = self.user.partition(":")
        userinfo = f"{user}:***@" if has_password else f"{user}@" if user else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}://{userinfo}{self.authority}{self.path}{self.query_part}{fragment}"

    @property
    def authority(self) -> str:
        if not self.port:
            return f"[{self.host}]" if ":" in self.host else self.host
        return host_and_port(self.host, self.port)

    @property
    def target(self) -> str:
        """What stands in a request line."""
        return (self.path or "/") + self.query_part

    @property
    def query_part(self) -> str:
        return "" if self.query is None else f"?{self.query}"

    def resolve(self, reference: str) -> Url:
        """Where a ``Location`` leads from here. :raises ValueError: it is no URL."""
        found = parse_url(reference)
        if not found.scheme and not found.host and not found.opaque:
            found.host, found.port, found.user = self.host, self.port, self.user
            if not found.path and found.query is None:
                found.query = self.query
                found.fragment = found.fragment or self.fragment
            if not found.path.startswith("/"):
                found.path = (self.path.rpartition("/")[0] + "/" + found.path) if found.path else self.path
        found.scheme = found.scheme or self.scheme
        found.path = _without_dots(found.path)
        found.reference = reference
        return found


def probe_url(request: HttpGet) -> Url:
    """What a probe asks for: its path read as a URL, at its own host and port. What is no URL is a path letter by
    letter (pkg/probe/http, formatURL)."""
    path = request.get("path", "/")
    try:
        url = parse_url(path)
    except ValueError:
        url = Url(_quoted(path))
    url.scheme = request.get("scheme", "HTTP").lower()
    url.host, url.port = request["host"], request["port"]
    if url.path and not url.path.startswith("/"):
        url.path = f"/{url.path}"
    return url


def parse_url(text: str) -> Url:
    """:raises ValueError: in Go's words."""
    url = Url()
    rest, _, fragment = text.partition("#")
    if any(letter < " " or letter == "\x7f" for letter in rest):
        raise ValueError("net/url: invalid control character in URL")
    url.scheme, rest = _split_scheme(rest)
    rest, mark, query = rest.partition("?")
    url.query = query if mark else None
    if not rest.startswith("/"):
        if url.scheme:
            url.opaque = rest + url.query_part
            return url
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and (url.scheme or not rest.startswith("///")):
        authority, slash, tail = rest[2:].partition("/")
        rest = slash + tail
        url.user, _, host = authority.rpartition("@")
        url.host, url.port = _split_host(host)
    url.path = _encoded_path(rest)
    url.fragment = _encoded_path(fragment)
    return url


def _split_scheme(text: str) -> tuple[str, str]:
    head, colon, tail = text.partition(":")
    if colon and not head:
        raise ValueError("missing protocol scheme")
    allowed = f"{string.ascii_letters}{string.digits}+-."
    if colon and head[0] in string.ascii_letters and all(letter in allowed for letter in head):
        return head.lower(), tail
    return "", text


def _split_host(text: str) -> tuple[str, int]:
    """Host and port (0 where there is none) of an authority."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket:
            raise ValueError("missing ']' in host")
    else:
        host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
        port = colon + port
    number = port.removeprefix(":")
    if port and not (port.startswith(":") and all(letter in string.digits for letter in number)):
        raise ValueError(f'invalid port "{port}" after host')
    for letter in host:
        if letter < "\x80" and letter not in WRITTEN - frozenset("/@%"):
            raise ValueError(f'invalid character "{letter}" in host name')
    return host, int(number.lstrip("0")[:9] or 0)  # more digits make a port no better


def _encoded_path(text: str) -> str:
    """A path as it is sent: left alone if it can be, or else with percent signs. :raises ValueError: a wrong one."""
    data, at = bytearray(), 0
    while at < len(text):
        if text[at] == "%":
            digits = text[at + 1 : at + 3]
            if len(digits) < 2 or not all(digit in string.hexdigits for digit in digits):
                raise ValueError(f'invalid URL escape "{text[at : at + 3]}"')
            data.append(int(digits, 16))
            at += 3
        else:
            data += text[at].encode(errors="surrogateescape")
            at += 1
    return text if WRITTEN.issuperset(text) else _quoted(data.decode(errors="surrogateescape"))


def _quoted(path: str) -> str:
    data = path.encode(errors="surrogateescape")
    return "".join(chr(byte) if chr(byte) in PLAIN else f"%{byte:02X}" for byte in data)


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4."""
    if not path:
        return ""
    segments = path.split("/")[1 if path.startswith("/") else 0 :]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, *([""] if segments[-1] in (".", "..") else [])])


def host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_family(host: str) -> int | None:
    """Of an address; None of a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return family
        except OSError:
            pass
    return None

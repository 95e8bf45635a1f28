"""Long JSON as one short word, as hosts keep and are told it."""

from __future__ import annotations

import base64
import zlib

MOST = 256 << 20
"""Bytes that a word may unpack to: one that a host has made up may unpack to a thousand times its length."""


def pack(text: bytes) -> str:
    return base64.b64encode(zlib.compress(text, 1)).decode()


def unpack(word: str) -> bytes:
    """:raises ValueError: it was never packed, or unpacks to more than anything that ever was."""
    opener = zlib.decompressobj()
    try:
        text = opener.decompress(base64.b64decode(word), MOST)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not opener.eof:
        raise ValueError("it is cut, or too long")
    return text

"""Long JSON as one short word, as hosts keep and are told it; and how much JSON is read of what a host has made up."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

MOST = 32 << 20
"""Bytes that a word may unpack to; one that a host has made up may unpack to a thousand times its length. What a record
tells of 10,000 Services with three endpoints each is a fifth of that."""

MOST_VALUES = 1_000_000
"""In one piece of JSON, where three bytes of text may take 200 of memory. A record's part of 10,000 Services has a
third of that, and a host's answer is four such pieces."""

# One without an end goes to the end of the text, or each quotation mark in it would be looked at as a beginning.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class TooMuch(ValueError):
    """It is larger than any real one; the text says so."""


def loads(text: str | bytes) -> Any:
    """As ``json.loads``, for what a host has told.

    :raises TooMuch: it has more values than anything that ever was.
    :raises ValueError: it is no JSON.
    :raises RecursionError: it is too deep.
    """
    text = text.decode() if isinstance(text, bytes) else text
    if _signs(text) > MOST_VALUES and _signs(_STRING.sub("", text)) > MOST_VALUES:
        raise TooMuch(f"it has more than {MOST_VALUES} values, and was not read")
    return json.loads(text)


def _signs(text: str) -> int:
    """At least as many as there are values, but for the outermost one."""
    return sum(map(text.count, ",[{"))


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

"""Text of others as a terminal may have it: what would steer the terminal is written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# C0 but for tab and line feed, DEL and C1; line and paragraph separators; what turns the direction of text
# (https://trojansource.codes); surrogates, which stand for bytes that are no UTF-8.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def is_printable(text: str) -> bool:
    return not _STEERING.search(text)


def printable(text: str) -> str:
    """``\\x1b`` for an escape character, ``\\u202e`` for one that turns the text; everything else as it is."""
    return text if is_printable(text) else _STEERING.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xDC80 <= number <= 0xDCFF:  # a byte, as surrogateescape has it
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def printable_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a task of Ansible's shows of its result: the message, the lines of the diff, warnings."""
    found = dict(result)
    if isinstance(found.get("msg"), str):
        found["msg"] = printable(found["msg"])
    if isinstance(found.get("warnings"), list):
        found["warnings"] = [printable(str(words)) for words in found["warnings"]]
    if isinstance(diff := found.get("diff"), dict):
        found["diff"] = {key: printable(text) if isinstance(text, str) else text for key, text in diff.items()}
    return found

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


SHOWN = ("msg", "diff", "warnings", "deprecations", "exception", "stdout", "stderr", "module_stdout", "module_stderr")


def printable_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """What Ansible shows of a task's result, whatever shape a host has given it: message, diff, warnings and the like.
    The rest is data."""
    return {key: printable_value(value) if key in SHOWN else value for key, value in result.items()}


def printable_value(value: Any) -> Any:
    """All text in it, whatever shape it has."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_value(key): printable_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable_value(item) for item in value]
    return value

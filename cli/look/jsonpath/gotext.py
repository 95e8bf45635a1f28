"""Values as Go prints them. Pure.

Objects are JSON; kubectl holds them as ``map[string]interface {}`` and so on, and some of its output shows it.
"""

from __future__ import annotations

import json
from typing import Any


def type_name(value: Any) -> str:
    names = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}")


def plain(value: Any) -> str:
    """fmt.Sprint."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(part)}' for key, part in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(plain, value))}]"
    return str(value)


def _float(value: float) -> str:
    """%v: the shortest form, with an exponent below 1e-4 and from 1e21 on."""
    text = repr(value)
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, sign, exponent = text.partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}" if sign else text


def marshalled(value: Any) -> str:
    """json.Marshal: in one line, keys sorted, and safe within HTML."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def dumped(value: Any) -> str:
    """%#v: as a program would write it."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, dict):
        parts = ", ".join(f"{quoted(key)}:{dumped(part)}" for key, part in sorted(value.items()))
        return f"map[string]interface {{}}{{{parts}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(dumped, value))}}}"
    return quoted(value) if isinstance(value, str) else plain(value)


def quoted(text: str) -> str:
    """%q."""
    return json.dumps(text, ensure_ascii=False)


def printed(value: Any) -> str:
    """A result of a template."""
    return marshalled(value) if isinstance(value, dict | list) else plain(value)

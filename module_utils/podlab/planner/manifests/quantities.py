"""Quantities: ``500m``, ``1.5Gi``, ``2e3`` (apimachinery, ``pkg/api/resource``)."""

from __future__ import annotations

import re
from fractions import Fraction

WORDS = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

_SHAPE = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
# Kubernetes caps far below; a thousand digits are a slip of the finger.
_LARGEST_EXPONENT = 100
_LONGEST = 100


def quantity(value: int | float | str) -> Fraction | None:
    """What ``value`` stands for, exactly; None for what is no quantity.

    >>> quantity("1.5Ki")
    Fraction(1536, 1)
    """
    text = str(value)
    match = _SHAPE.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    if abs(exponent) > _LARGEST_EXPONENT:
        return None
    power = Fraction(10 ** abs(exponent))
    return number * power if exponent >= 0 else number / power


def rounded_up(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)

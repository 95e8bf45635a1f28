"""Quantities: what is taken as one, and what it stands for."""

from __future__ import annotations

from fractions import Fraction

import pytest

from podlab.planner.manifests.quantities import quantity, rounded_up


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        (2, 2),
        (0.5, Fraction(1, 2)),
        ("1.5", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("100m", Fraction(1, 10)),
        ("3u", Fraction(3, 10**6)),
        ("7n", Fraction(7, 10**9)),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1Ki", 2**10),
        ("1.5Mi", 3 * 2**19),
        ("1Gi", 2**30),
        ("1Ti", 2**40),
        ("1Pi", 2**50),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", Fraction(6, 5)),
        ("-1", -1),
        ("+1Ki", 1024),
    ],
)
def test_what_a_quantity_stands_for(text, expected):
    assert quantity(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1K", "1ki", "1 Ki", "1mi", "m", ".", "1e", "1e999", "9" * 200, "1,5", "٣"])
def test_what_is_none(text):
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("number", "expected"), [(Fraction(0), 0), (Fraction(1, 9), 1), (Fraction(3), 3), (Fraction(-1, 2), 0)]
)
def test_rounding_up(number, expected):
    assert rounded_up(number) == expected

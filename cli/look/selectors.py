"""Label selectors of the command line. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import CommandError

Requirement = tuple[str, str, tuple[str, ...]]
"""Key, operator (``in``, ``notin``, ``exists``, ``!``) and values."""

KEY = r"(?P<key>[A-Za-z0-9][\w./-]*)"
TERMS = (
    re.compile(rf"{KEY}\s*(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*)"),
    re.compile(rf"{KEY}\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)"),
    re.compile(rf"(?P<negated>!?)\s*{KEY}"),
)


def parse_selector(text: str) -> list[Requirement]:
    """Equality-based and set-based requirements, with commas between.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    found: list[Requirement] = []
    for term in filter(None, map(str.strip, re.split(r",(?![^()]*\))", text))):
        equal, listed, bare = (pattern.fullmatch(term) for pattern in TERMS)
        if equal:
            found.append((equal["key"], "notin" if equal["sign"] == "!=" else "in", (equal["value"],)))
        elif listed:
            found.append((listed["key"], listed["operator"], tuple(map(str.strip, listed["values"].split(",")))))
        elif bare:
            found.append((bare["key"], "!" if bare["negated"] else "exists", ()))
        else:
            raise CommandError(f"error: unable to parse requirement: {term!r} is no label selector")
    return found


def selected(labels: Mapping[str, str], requirements: Sequence[Requirement]) -> bool:
    """A label that is missing is unlike any value."""
    return all(_holds(labels, *requirement) for requirement in requirements)


def _holds(labels: Mapping[str, str], key: str, operator: str, values: Sequence[str]) -> bool:
    if operator in ("exists", "!"):
        return (key in labels) == (operator == "exists")
    return (labels.get(key) in values) == (operator == "in")

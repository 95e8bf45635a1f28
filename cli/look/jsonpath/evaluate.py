"""What a template finds in an object, and prints of it. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from . import gotext
from .parse import Action, Field, Filter, Node, Number, Recursive, Slice, Template, Text, Truth, Union, Wildcard, Word

Values = list[Any]
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class EvaluationError(Exception):
    """What cannot be found so, in kubectl's words."""


def evaluate(template: Template, document: Any) -> str:
    """What it prints. Keys that are missing are empty.

    :raises EvaluationError: what it says makes no sense of this document.
    """
    return "".join(" ".join(map(gotext.printed, values)) for values in find(template, document))


def find(template: Template, document: Any) -> list[Values]:
    """What each action of a template finds."""
    return _block(template, 0, document, 0)[0]


def one(template: Template, document: Any) -> Values:
    """What is found first: the values of the first action."""
    return next(iter(find(template, document)), [])


def _block(template: Template, at: int, document: Any, depth: int) -> tuple[list[Values], int | None]:
    """From an action on, to the end of the range that it stands in: what is found, and where that range has ended.

    :param depth: how many ranges it stands in.
    """
    found: list[Values] = []
    while at < len(template):
        words = [node.name for node in template[at] if isinstance(node, Word)]
        values = _walk([document], template[at])
        at += 1
        if "end" in words:
            if not depth:
                raise EvaluationError("not in range, nothing to end")
            return found, at
        if "range" not in words:
            found.append(values)
            continue
        after: int | None = None
        for value in values:
            inner, after = _block(template, at, value, depth + 1)
            found += inner
        if not values:  # what stands in it is passed all the same
            _, after = _block(template, at, None, depth + 1)
        at = after or at  # as kubectl: what follows a range without an end stands behind it as well
    return found, None


def _walk(values: Values, action: Action) -> Values:
    for node in action:
        values = _step(values, node)
    return values


def _step(values: Values, node: Node) -> Values:
    if isinstance(node, Text):
        return [node.text]
    if isinstance(node, Number | Truth):
        return [node.value for _ in values]
    if isinstance(node, Word):
        if node.name not in ("range", "end"):
            raise EvaluationError(f"unrecognized identifier {node.name}")
        return values
    if isinstance(node, Field):
        return [value[node.name] for value in values if isinstance(value, dict) and node.name in value]
    if isinstance(node, Wildcard):
        return [part for value in values for part in _parts(value)]
    if isinstance(node, Recursive):
        return _descended(values)
    if isinstance(node, Slice):
        return _sliced(values, node)
    if isinstance(node, Union):
        return [value for member in node.members for value in _walk(values, member)]
    return _filtered(values, node)


def _parts(value: Any) -> Values:
    """Keys in their order: Go has none for those of a map."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return list(value) if isinstance(value, list) else []


def _descended(values: Values) -> Values:
    found = []
    for value in values:
        if parts := _parts(value):
            found += [value, *_descended(parts)]
    return found


def _sliced(values: Values, node: Slice) -> Values:
    found: Values = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, list):
            raise EvaluationError(f"{gotext.type_name(value)} is not array or slice")
        length = len(value)
        begin = node.begin or 0
        end = begin + 1 if node.single else length if node.end is None else node.end
        end += length if end < 0 or (end == 0 and node.single) else 0
        begin += length if begin < 0 else 0
        if begin == end:
            return found  # as kubectl: what comes after it is not looked at
        for index, is_out in ((begin, not 0 <= begin < length), (end - 1, not 0 <= end <= length)):
            if is_out:
                raise EvaluationError(f"array index out of bounds: index {index}, length {length}")
        if begin > end:
            raise EvaluationError(f"starting index {begin} is greater than ending index {end}")
        if node.step is not None and node.step <= 0:
            raise EvaluationError("step must be > 0")
        found += value[begin : end : node.step or 1]
    return found


def _filtered(values: Values, node: Filter) -> Values:
    found = []
    for value in values:
        if not isinstance(value, list):
            raise EvaluationError(f"{gotext.plain(value)} is not array or slice and cannot be filtered")
        for item in value:
            lefts = _walk([item], node.left)
            if node.operator == "exists":
                found += [item] if lefts else []
                continue
            rights = _walk([item], node.right) if lefts else []
            if len(lefts) > 1 or len(rights) > 1:
                raise EvaluationError("can only compare one element at a time")
            if lefts and rights and _compare(node.operator, lefts[0], rights[0]):
                found.append(item)
    return found


def _compare(sign: str, left: Any, right: Any) -> bool:
    """As Go's text/template does: only what is of one type."""
    if sign not in COMPARISONS:
        raise EvaluationError(f"unrecognized filter operator {sign}")
    if not all(isinstance(value, bool | int | float | str) for value in (left, right)):
        raise EvaluationError("invalid type for comparison")
    if type(left) is not type(right):
        raise EvaluationError("incompatible types for comparison")
    if isinstance(left, bool) and sign not in ("==", "!="):
        raise EvaluationError("invalid type for comparison")
    return COMPARISONS[sign](left, right)

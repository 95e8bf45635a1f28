"""``get --sort-by``: objects in the order of one of their fields, as kubectl compares them. Pure."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from podlab.planner.manifests.quantities import quantity

from ..errors import CommandError
from . import jsonpath
from .custom_columns import relaxed
from .jsonpath.gotext import quoted, type_name
from .objects import Object


def sorted_by(path: str, items: Sequence[Object]) -> list[Object]:
    """Those without the field come first.

    :raises CommandError: no object has it, it is none, or there is no order of its values.
    """
    field = relaxed(path)
    try:
        template = jsonpath.parse(field)
        keyed: list[tuple[Any, Object]] = [(next(iter(jsonpath.one(template, item)), None), item) for item in items]
    except (jsonpath.SyntaxFault, jsonpath.EvaluationError) as fault:
        raise CommandError(f"error: {fault}") from None
    if items and all(value is None for value, _ in keyed):
        raise CommandError(f"error: couldn't find any field with path {quoted(field)} in the list of objects")
    in_order = functools.cmp_to_key(lambda left, right: _compared(field, left, right))
    return [item for _, item in sorted(keyed, key=lambda pair: in_order(pair[0]))]


def _compared(field: str, left: Any, right: Any) -> int:
    """Less than 0, 0 or more than 0."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    if type(left) is not type(right) or not isinstance(left, int | float | str) or isinstance(left, bool):
        raise CommandError(f"error: field {field} is an unsortable type: {type_name(left)}")
    amounts = (quantity(left), quantity(right)) if isinstance(left, str) else (None, None)
    if None not in amounts:
        left, right = amounts
    return int(left > right) - int(left < right)

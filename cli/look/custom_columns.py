"""``get -o custom-columns=NAME:.metadata.name,...``. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..errors import CommandError
from . import jsonpath
from .jsonpath.gotext import plain
from .table import NONE

_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)", re.DOTALL)


def relaxed(text: str) -> str:
    """A path as columns and ``--sort-by`` take it: with or without braces, and a first dot.

    :raises CommandError: it is neither.
    """
    found = _RELAXED.fullmatch(text)
    if text and not found:
        raise CommandError(
            "error: unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or "
            "'{.name1.name2}'"
        )
    return f"{{.{found[1] or found[2]}}}" if found else ""


class CustomColumns:
    """:raises CommandError: the specification is none."""

    def __init__(self, specification: str) -> None:
        if not specification:
            raise CommandError("error: custom-columns format specified but no custom columns given")
        self.heads: list[str] = []
        self.templates: list[jsonpath.Template] = []
        for column in specification.split(","):
            head, sign, path = column.partition(":")
            if not sign:
                raise CommandError(
                    f"error: unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>"
                )
            self.heads.append(head)
            try:
                self.templates.append(jsonpath.parse(relaxed(path)))
            except jsonpath.SyntaxFault as fault:
                raise CommandError(f"error: {fault}") from None

    def text(self, items: Sequence[Any], *, headers: bool) -> str:
        """:raises CommandError: a path makes no sense of an object."""
        rows = [self.heads] if headers else []
        try:
            rows += [[_cell(template, item) for template in self.templates] for item in items]
        except jsonpath.EvaluationError as error:
            raise CommandError(f"error: {error}") from None
        return _aligned(rows)


def _cell(template: jsonpath.Template, item: Any) -> str:
    found = jsonpath.find(template, item)
    words = [NONE] if not found or not found[0] else []
    return ",".join([*words, *(plain(value) for values in found for value in values)])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Three blanks apart, none narrower than six; nothing is put after the last one."""
    widths = [max(6, *(len(cell) + 3 for cell in column)) for column in zip(*rows, strict=True)]
    padded = ([*map(str.ljust, row[:-1], widths), row[-1]] for row in rows)
    return "".join("".join(cells) + "\n" for cells in padded)

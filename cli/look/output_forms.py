"""The forms of ``get -o`` that are no tables of kubectl's own. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import CommandError
from . import objects
from .custom_columns import CustomColumns
from .jsonpath import EvaluationError, SyntaxFault, evaluate, parse
from .jsonpath.gotext import dumped, quoted

WORDS = ("wide", "name", "json", "yaml")
HEADS = ("jsonpath=TEMPLATE", "custom-columns=HEAD:PATH,...")

Writer = Callable[[Sequence[objects.Object], bool], str]
"""Takes objects, and whether one was asked for by its name; returns their text."""


class _Form(Protocol):
    @property
    def output(self) -> str: ...
    @property
    def headers(self) -> bool: ...


def writer(form: _Form) -> Writer:
    """What writes objects in a form; what is wrong with it is said before any host is asked.

    :raises CommandError: there is no such form, or it is written wrongly.
    """
    word, _, text = form.output.partition("=")
    if form.output in ("", *WORDS):
        return lambda items, single: (_yaml if form.output == "yaml" else _json)(_document(items, single))
    if word == "custom-columns":
        custom = CustomColumns(text)
        return lambda items, single: custom.text(items, headers=form.headers)
    if word == "jsonpath":
        if not text:
            raise CommandError("error: template format specified but no template given")
        return _jsonpath(text)
    allowed = ", ".join(["custom-columns", "json", "jsonpath", "name", "wide", "yaml"])
    raise CommandError(
        f'error: unable to match a printer suitable for the output format "{form.output}", allowed formats are: '
        + allowed.replace(", ", ",")
    )


def _document(items: Sequence[objects.Object], single: bool) -> objects.Object:
    return items[0] if single else objects.listed(items)


def _jsonpath(text: str) -> Writer:
    try:
        template = parse(text)
    except SyntaxFault as fault:
        raise CommandError(f"error: error parsing jsonpath {text}, {fault}") from None

    def write(items: Sequence[objects.Object], single: bool) -> str:
        document = _document(items, single)
        try:
            return evaluate(template, document)
        except EvaluationError as error:
            raise CommandError(
                f"error: error executing jsonpath {quoted(text)}: Error executing template: {error}. Printing more "
                f"information for debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath "
                f"engine was:\n\t\t{dumped(document)}\n\n"
            ) from None

    return write


def _json(document: Any) -> str:
    return json.dumps(document, indent=4, sort_keys=True) + "\n"


_NO_TEXT = re.compile("[\ud800-\udfff]")  # bytes that are no UTF-8, for which YAML has no word


def _yaml(document: Any) -> str:
    import yaml

    # Through JSON: what stands twice is written twice, as kubectl does, not by reference.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # four times as fast, where PyYAML has it
    plain = _NO_TEXT.sub(lambda byte: rf"\\x{ord(byte[0]) & 0xFF:02x}", json.dumps(document, ensure_ascii=False))
    text: str = yaml.dump(json.loads(plain), Dumper=dumper, default_flow_style=False)
    return text

"""Fields of a manifest: the words for what is wrong with one, and what the table says of those of a body."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..model import Document
from .field_table import IGNORED, TABLE, Outcome, Rule

__all__ = ["TABLE", "Outcome", "Rule"]

# --- the words: field.Error of apimachinery -------------------------------------------------------------


def subject(document: Document) -> str:
    """How a line about a document begins: ``web.yaml:3: The Pod "web" is invalid: ``."""
    metadata = document.body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return subject_of(document.where, str(document.body.get("kind")), name if isinstance(name, str) else "")


def subject_of(where: str, kind: str, name: str) -> str:
    return f"{where}: The {kind} {show(name)} is invalid: "


class GoText(str):
    """A value that the API server shows as Go writes it down, and not as JSON."""


def go_strings(values: Iterable[str]) -> GoText:
    return GoText(f"[]string{{{', '.join(map(show, values))}}}")


def show(value: object, longest: int = 200) -> str:
    """A value as an error shows it: strings in quotes, the rest as JSON."""
    if isinstance(value, GoText):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text if len(text) <= longest else text[:longest] + "..."


def required(path: str, detail: str = "") -> str:
    return f"{path}: Required value" + (f": {detail}" if detail else "")


def invalid(path: str, value: object, detail: str) -> str:
    return f"{path}: Invalid value: {show(value)}: {detail}"


def unsupported(path: str, value: object, supported: Iterable[str]) -> str:
    return f"{path}: Unsupported value: {show(value)}: supported values: {', '.join(map(show, supported))}"


def duplicate(path: str, value: object) -> str:
    return f"{path}: Duplicate value: {show(value)}"


def not_found(path: str, value: object, detail: str = "") -> str:
    return f"{path}: Not found: {show(value)}" + (f": {detail}" if detail else "")


def forbidden(path: str, detail: str) -> str:
    return f"{path}: Forbidden: {detail}"


def internal(path: str, detail: str) -> str:
    """Nothing is wrong with the value, but the cluster cannot give what it asks for."""
    return f"{path}: Internal error: {detail}"


# How a refusal of podlab's own begins; what comes after it says what to do instead.
NOT_YET = "podlab does not do this yet; "


def wrong_type(path: str, value: object, *types: str) -> str:
    return required(path) if value is None else invalid(path, value, f"must be of type {' or '.join(types)}")


# --- reading a body by the table ------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the table says of one field of one body: ``path`` with indices, ``pattern`` with ``[*]``."""

    path: str
    pattern: str
    value: object
    rule: Rule


# A node of the table as a tree: a rule, or the fields below. Lists have one entry, "[*]".
_Tree = dict[str, Any]


def _tree(rules: Mapping[str, Rule]) -> _Tree:
    root: _Tree = {}
    for path, rule in rules.items():
        *parents, last = path.replace("[*]", ".[*]").split(".")
        node = root
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = rule
    return root


_TREES = {kind: _tree(rules) for kind, rules in TABLE.items()}


def judge(kind: str, body: Mapping[str, Any]) -> Iterator[Verdict]:
    """Every field of ``body`` that is refused, replaced or ignored, in the order of writing.

    ``kind`` is a key of ``TABLE``. An empty value (null, ``""``, ``[]``, ``{}``) asks for nothing and
    counts as absent, as it does for the API server.
    """
    for verdict in _walk(body, _TREES[kind], "", ""):
        outcome = verdict.rule.outcome
        is_harmless = outcome is Outcome.REFUSED and verdict.value in verdict.rule.harmless
        if outcome in (Outcome.IGNORED, Outcome.REPLACED, Outcome.REFUSED) and not is_harmless:
            yield verdict


def _walk(value: object, rules: _Tree | Rule, path: str, pattern: str) -> Iterator[Verdict]:
    if value is None or value in ("", [], {}):
        return
    if isinstance(rules, Rule):
        yield Verdict(path, pattern, value, rules)
    elif isinstance(value, Mapping):
        dot = "." if path else ""
        for name, below in value.items():
            yield from _walk(below, rules.get(name, IGNORED), f"{path}{dot}{name}", f"{pattern}{dot}{name}")
    elif isinstance(value, Sequence) and "[*]" in rules:
        for index, item in enumerate(value):
            yield from _walk(item, rules["[*]"], f"{path}[{index}]", f"{pattern}[*]")


def refusal(verdict: Verdict) -> str:
    return forbidden(verdict.path, NOT_YET + verdict.rule.why)

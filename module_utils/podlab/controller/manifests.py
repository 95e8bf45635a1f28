"""Kubernetes manifests: from files to documents, checked against the API's own schema.

Scalars mean what they mean to kubectl (``sigs.k8s.io/yaml``, which reads YAML 1.1 the way Go does), and
not what they mean to PyYAML: a date and ``12:30`` are strings, ``1e3`` is a number, ``y`` is true.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from ..planner.manifests import fields, generated_names, objects
from ..planner.manifests.cron_jobs import NewJob, documents_by_hand
from ..planner.model import Desired, Document, Image, Invalid
from ..records.host_record import JobByHand
from .manifest_files import Source, Sources, sources
from .schema import schema_problems as schema_problems

# An alias is written once and built every time: this many values for one character are an attack
# ("billion laughs") or a slip, and no manifest.
_VALUES_PER_CHARACTER = 100


Paths = str | Sequence[str]
ByHand = tuple[Mapping[str, JobByHand], NewJob | None]
"""Jobs that were made by hand, as ``documents_by_hand`` takes them."""
NOTHING_BY_HAND: ByHand = ({}, None)


def read(paths: Paths, images: Mapping[str, Image], **settings: Any) -> Desired:
    """All that the manifests in ``paths`` ask for; ``images`` is the catalogue, ``settings`` are objects.survey's.

    Raises ``Invalid`` with every problem of every file: of the YAML, of the schema, of the objects.
    """
    wanted, problems = survey(paths, images, **settings)
    if problems:
        raise Invalid(problems)
    return wanted


def survey(
    paths: Paths,
    images: Mapping[str, Image],
    *,
    recursive: bool = False,
    by_hand: ByHand = NOTHING_BY_HAND,
    **settings: Any,
) -> tuple[Desired, list[str]]:
    """What could be read, and every problem of the rest, in the order of the documents."""
    chosen = sources_of(paths, recursive)
    documents, problems = _documents(chosen)
    more_documents, jobs, wrong = documents_by_hand(documents, *by_hand)
    documents += more_documents
    problems += wrong
    documents = generated_names.named(documents)
    problems += schema_problems(documents)
    wanted, more = objects.survey(documents, images, **settings)
    problems += more
    wanted = replace(wanted, notes=(*chosen.notes, *wanted.notes), jobs_by_hand=jobs)
    return wanted, list(dict.fromkeys(_in_order(without_parts(problems, documents), documents)))


def without_parts(problems: Sequence[str], documents: Sequence[Document]) -> list[str]:
    """Without what is wrong inside of a field that is refused or missing as a whole: that is one mistake."""
    if not problems:
        return []
    refused = [
        fields.subject(document) + verdict.path
        for document in map(objects.without_api_access, documents)
        if document.body["kind"] in fields.TABLE
        for verdict in fields.judge(document.body["kind"], document.body)
        if verdict.rule.outcome is fields.Outcome.REFUSED
    ]
    missing = [line.removesuffix(fields.required("")) for line in problems if line.endswith(fields.required(""))]
    whole = tuple(path + mark for path in (*refused, *missing) for mark in ".[")
    return [line for line in problems if not line.startswith(whole)]


def load(paths: Paths) -> list[Document]:
    """Every document of the files that ``paths`` name (``manifest_files``).

    As with ``kubectl -f``: a ``List`` stands for its items, and empty documents count for nothing.
    Raises ``Invalid`` with every file's problem in kubectl's words.
    """
    documents, problems = _documents(sources_of(paths))
    if problems:
        raise Invalid(problems)
    return documents


def _in_order(problems: Sequence[str], documents: Sequence[Document]) -> list[str]:
    """``problems`` by document; those of no document, which are of a broken file, first."""
    places = {document.where: number for number, document in enumerate(documents)}

    def place(problem: str) -> int:
        where = re.match(r".*?:\d+(?=: )", problem)
        return places.get(where[0], -1) if where else -1

    return sorted(problems, key=place)


def sources_of(paths: Paths, recursive: bool = False) -> Sources:
    return sources([paths] if isinstance(paths, str) else paths, recursive)


def _documents(chosen: Sources) -> tuple[list[Document], list[str]]:
    documents: list[Document] = []
    problems: list[str] = []
    for source in chosen.found:
        _File(source, documents, problems).read()
    return documents, problems


# --- YAML -----------------------------------------------------------------------------------------------

_STRING, _PLAIN = "tag:yaml.org,2002:str", "plain"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """libyaml's parser, up to nodes; what a plain scalar means is for ``_plain``, not for PyYAML."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _STRING
        return ""


_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _plain(text: str) -> str | int | float | bool | None:
    """A scalar without quotes, as Go's YAML has it; recorded from kubectl in the tests."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        # Python wants 0o777 where C, Go and people write 0777.
        integer = int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", digits), 0)
        if -(2**63) <= integer < 2**63:
            return integer
    if _FLOAT.fullmatch(digits) and abs(number := float(digits)) != float("inf"):
        # Go's JSON has no 1.0: a whole number is an integer, unless it is too large for one.
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    return text


class _BrokenError(Exception):
    """The rest of a file cannot be read."""

    def __init__(self, line: int, words: str) -> None:
        super().__init__(words)
        self.line = line


class _File:
    """One file on its way to documents; what is wrong with it goes to ``problems``."""

    def __init__(self, source: Source, documents: list[Document], problems: list[str]) -> None:
        self.source = source
        self.path = source.name
        self.documents = documents
        self.problems = problems
        self.values = 0
        self.most_values = 0
        self.open: set[int] = set()  # ids of the nodes around the one that is being built

    def read(self) -> None:
        try:
            for node in self._nodes():
                body = self._value(node)
                if body is not None:
                    self._add(body, node)
        except OSError as error:
            self.problems.append(f"error: open {self.path}: {error.strerror}")
        except RecursionError:
            self._problem(1, "error converting YAML to JSON: yaml: exceeded max depth")
        except _BrokenError as broken:
            self._problem(broken.line, f"error converting YAML to JSON: {broken}")

    def _problem(self, line: int, words: str) -> None:
        self.problems.append(f"{self.path}:{line}: {words}")

    def _nodes(self) -> Iterator[yaml.Node]:
        """The root of every document that is not empty."""
        text = self._text()
        self.most_values = _VALUES_PER_CHARACTER * len(text)
        loader = _Loader(text)
        try:
            while loader.check_node():
                yield loader.get_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            context = f" ({error.context})" if error.context else ""
            raise _BrokenError(mark.line + 1 if mark else 1, f"yaml: {error.problem}{context}") from None
        except yaml.reader.ReaderError as error:
            line = text.encode()[: error.position].count(b"\n") + 1
            raise _BrokenError(line, "yaml: control characters are not allowed") from None
        finally:
            loader.dispose()

    def _text(self) -> str:
        data = self.source.read()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise _BrokenError(line, f"yaml: invalid UTF-8: {error.reason} 0x{data[error.start]:02x}") from None
        if self.path.endswith(".json") and text.lstrip().startswith("{"):
            text = _json_as_yaml(text)
        return text

    def _value(self, node: yaml.Node) -> Any:
        """What ``node`` stands for, in the types of JSON."""
        self.values += 1
        if self.values > self.most_values:
            raise _BrokenError(_line(node), "yaml: document contains excessive aliasing")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _STRING else _plain(node.value)
        if id(node) in self.open:
            raise _BrokenError(_line(node), "yaml: anchor value contains itself")
        self.open.add(id(node))
        value = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        self.open.discard(id(node))
        return value

    def _sequence(self, node: yaml.Node) -> list[Any]:
        return [self._value(item) for item in node.value]

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                # The first of several wins, and what is written here wins over all of them.
                merged = {**self._merge(value_node), **merged}
                continue
            key = self._key(key_node)
            if key in lines:
                self._problem(_line(key_node), f"mapping key {fields.show(key)} already defined at line {lines[key]}")
            lines.setdefault(key, _line(key_node))
            own[key] = self._value(value_node)
        return {**merged, **own}

    def _merge(self, node: yaml.Node) -> dict[str, Any]:
        value = self._value(node)
        sources = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, dict):
                raise _BrokenError(_line(node), "yaml: map merge requires map or sequence of maps as the value")
            merged = {**source, **merged}
        return merged

    def _key(self, node: yaml.Node) -> str:
        key = self._value(node)
        if isinstance(key, (dict, list)) or key is None:
            raise _BrokenError(_line(node), f"yaml: invalid map key: {fields.show(key)}")
        return key if isinstance(key, str) else json.dumps(key)

    def _add(self, body: Any, node: yaml.Node) -> None:
        line = _line(node)
        if not isinstance(body, dict):
            self._problem(
                line, f"json: cannot unmarshal {_json_type(body)} into Go value of type unstructured.detector"
            )
            return
        kind, version = body.get("kind"), body.get("apiVersion")
        for field, value in (("Kind", kind), ("apiVersion", version)):
            if not isinstance(value, str) or not value:
                self._problem(line, f"Object '{field}' is missing in '{fields.show(body)}'")
        if (version, kind) == ("v1", "List") or (_is_list(kind) and isinstance(body.get("items"), list)):
            self._add_items(_typed_items(body), node)
        elif isinstance(kind, str) and isinstance(version, str):
            self.documents.append(Document(body, self.path, line))

    def _add_items(self, items: Any, node: yaml.Node) -> None:
        if items is None:
            return
        if not isinstance(items, list):
            self._problem(_line(node), f"json: cannot unmarshal {_json_type(items)} into Go struct field List.items")
            return
        for item, item_node in zip(items, _item_nodes(node, len(items)), strict=True):
            self._add(item, item_node)


def _is_list(kind: Any) -> bool:
    return isinstance(kind, str) and kind.endswith("List")


def _typed_items(body: Mapping[str, Any]) -> Any:
    """The items of a List. Those of a ``PodList`` need not say that each of them is a Pod."""
    items, kind = body.get("items"), body["kind"].removesuffix("List")
    if not kind or not isinstance(items, list):
        return items
    own = {"apiVersion": body["apiVersion"], "kind": kind}
    return [{**own, **item} if isinstance(item, dict) else item for item in items]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _item_nodes(node: yaml.Node, count: int) -> list[yaml.Node]:
    """Where the items of a List stand; where the List does, for items that were merged into it."""
    for key, value in node.value:
        if key.value == "items" and len(value.value) == count:
            return list(value.value)
    return [node] * count


def _json_type(value: object) -> str:
    names: Mapping[type, str] = {dict: "object", list: "array", str: "string", bool: "bool"}
    return names.get(type(value), "number")


_SURROGATES = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def _json_as_yaml(text: str) -> str:
    """JSON, one value or several, for the YAML parser, which knows the line of every item.

    YAML forgives what JSON does not (a trailing comma, a name without quotes), so JSON's own parser looks
    first. And YAML has no two escapes for one character beyond 16 bits: those become the character.
    """
    decoder = json.JSONDecoder()
    parts: list[str] = []
    end = 0
    try:
        while ink := re.compile(r"\S").search(text, end):
            # As many line ends before a value as in the file, but a value begins its line.
            parts.append("\n" * (text.count("\n", end, ink.start()) or bool(parts)) + "--- ")
            _, end = decoder.raw_decode(text, ink.start())
            parts.append(text[ink.start() : end])
    except json.JSONDecodeError as error:
        raise _BrokenError(error.lineno, f"json: {error.msg} (column {error.colno})") from None
    return _SURROGATES.sub(lambda pair: json.loads(f'"{pair[0]}"'), "".join(parts))

"""Manifests held against the API's own schema, in the words of the API server."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..planner.manifests import fields, objects
from ..planner.model import Document

# A compiled check takes 0.01 ms a document instead of 0.25, and up to 0.4 s to compile.
_MANY = 1000


def schema_problems(documents: Sequence[Document]) -> list[str]:
    """Where ``documents`` depart from the OpenAPI schema of Kubernetes (strict: no unknown field).

    One line for each departure. Kinds that podlab does not take are passed over; ``objects`` has a line
    for them.
    """
    kinds = [(str(document.body.get("apiVersion")), str(document.body.get("kind"))) for document in documents]
    many = {key for key, count in Counter(kinds).items() if count >= _MANY and key in objects.KINDS}
    problems: list[str] = []
    for (version, kind), document in zip(kinds, documents, strict=True):
        if (version, kind) not in objects.KINDS or ((version, kind) in many and _is_sound(kind, version, document)):
            continue
        for error in _validator(kind, version).iter_errors(document.body):
            problems += _in_words(error, document)
    return list(dict.fromkeys(problems))


def _is_sound(kind: str, version: str, document: Document) -> bool:
    """Whether nothing is wrong with it. What is, only the other validator can tell: this one stops at one error."""
    import fastjsonschema

    try:
        _compiled(kind, version)(document.body)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@functools.cache
def _compiled(kind: str, api_version: str) -> Callable[[Any], Any]:
    import fastjsonschema

    handlers = {scheme: lambda _: _schema("_definitions") for scheme in ("http", "https")}  # by their ids
    # It knows no younger draft; these schemas have nothing of one but the word $defs, which is a path like any other.
    schema = {**_schema(_name(kind, api_version)), "$schema": "http://json-schema.org/draft-07/schema#"}
    check: Callable[[Any], Any] = fastjsonschema.compile(
        schema, handlers=handlers, use_default=False, detailed_exceptions=False
    )
    return check


@functools.cache
def _validator(kind: str, api_version: str) -> Any:
    """A validator for a kind. The library's ``validate`` reads its files anew and stops at one error."""
    import jsonschema
    import referencing

    name = _name(kind, api_version)
    schema = referencing.Resource.from_contents(_schema(name))
    registry = referencing.Resource.from_contents(_schema("_definitions")) @ (schema @ referencing.Registry())
    return jsonschema.Draft202012Validator(_schema(name), registry=registry)


def _name(kind: str, api_version: str) -> str:
    group, _, version = api_version.rpartition("/")
    return "-".join(filter(None, (kind.lower(), group.partition(".")[0], version)))


@functools.cache
def _schema(name: str) -> Any:
    from kubernetes_validate import utils

    release = newest_release()
    return utils.schema_contents(f"kubernetes-json-schema/v{release}-local-strict/{name}.json", release)


@functools.cache
def newest_release() -> str:
    """The release of Kubernetes whose schemas are used: the newest that the library has.

    Not an older one for the sake of what else is modelled on it: a manifest that is written today is for an API server
    of today, and the table of fields tells what podlab does not know.
    """
    # Imported late: 0.2 s that a run without manifests need not spend.
    from kubernetes_validate import utils

    release: str = utils.latest_version()
    return release


def _in_words(error: Any, document: Document) -> Iterator[str]:
    """A ``jsonschema.ValidationError`` as the API server would have it."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)[1:]
    subject = fields.subject(document)
    value, wanted = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        kind = document.body["kind"]
        version = document.body["apiVersion"].rpartition("/")[2]
        for name in value:
            if name not in error.schema.get("properties", {}):
                field = f"{path}.{name}" if path else name
                yield (
                    f'{document.where}: {kind} in version "{version}" cannot be handled as a {kind}: '
                    f'strict decoding error: unknown field "{field}"'
                )
    elif error.validator == "required":
        for name in wanted:
            if name not in value:
                yield subject + fields.required(f"{path}.{name}" if path else name)
    elif error.validator == "type":
        yield subject + fields.wrong_type(path, value, *_types(wanted))
    elif error.validator == "oneOf":  # a quantity, or a number or name of a port
        if value is not None:  # which both branches take, so that not exactly one does
            types = [name for branch in wanted for name in _types(branch.get("type", ()))]
            yield subject + fields.wrong_type(path, value, *types)
    elif error.validator == "enum":
        yield subject + fields.unsupported(path, value, wanted)
    else:
        yield subject + fields.invalid(path, value, error.message)


def _types(wanted: str | Sequence[str]) -> list[str]:
    return [name for name in ([wanted] if isinstance(wanted, str) else wanted) if name != "null"]

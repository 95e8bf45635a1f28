"""Names for objects that have ``metadata.generateName`` instead of one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..model import Document
from .names import short_hash

_SUFFIX = 5
_LONGEST = 63


def named(documents: Sequence[Document]) -> list[Document]:
    """The documents, each with a name.

    The suffix is a hash of the object and not by chance: a second run has to find the same object. Whoever changes the
    object gets another one, and the old one goes, as with ``kubectl create`` of the changed file.
    """
    seen: Counter[str] = Counter()
    return [_named(document, seen) for document in documents]


def _named(document: Document, seen: Counter[str]) -> Document:
    metadata = document.body.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("name"):
        return document
    prefix = metadata.get("generateName")
    if not prefix or not isinstance(prefix, str):
        return document
    text = json.dumps(_without_status(document.body), sort_keys=True, default=str)
    seen[text] += 1  # the same object twice is two of them
    name = prefix[: _LONGEST - _SUFFIX] + short_hash(f"{seen[text]} {text}", _SUFFIX)
    return replace(document, body={**document.body, "metadata": {**metadata, "name": name}})


def _without_status(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "status"}

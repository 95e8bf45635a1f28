"""The compiled check of many documents and the slow one of few say the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podlab.controller import manifests, schema
from podlab.planner.manifests import objects
from podlab.planner.model import Document

ROOT = Path(__file__).resolve().parents[2]
SOUND = [
    document
    for directory in (ROOT / "manifests", *sorted((ROOT / "molecule").glob("*/manifests")))
    for document in manifests.load(str(directory))
]
WRONG: list[Any] = [None, "text", 7, 1.5, True, [], ["text"], {}, {"unknown": 1}, {"name": None}]


def broken(value: Any, wrong: Any) -> Iterator[Any]:
    """The value with one of its parts, each in turn, replaced by something wrong, or with a field too many."""
    if isinstance(value, dict):
        yield {**value, "unknownField": wrong}
        for key, part in value.items():
            yield {**value, key: wrong}
            for below in broken(part, wrong):
                yield {**value, key: below}
    elif isinstance(value, list):
        for index, part in enumerate(value):
            for below in (wrong, *broken(part, wrong)):
                yield [*value[:index], below, *value[index + 1 :]]


def test_every_kind_is_among_the_samples():
    assert {document.body["kind"] for document in SOUND} >= {"Pod", "Deployment", "Service", "EndpointSlice"}


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_both_find_the_same_documents_wrong(wrong, monkeypatch):
    one_of_each = {document.body["kind"]: document for document in SOUND}
    documents = [
        Document({**body, "kind": one.body["kind"], "apiVersion": one.body["apiVersion"]}, "a.yml", line)
        for one in one_of_each.values()
        for line, body in enumerate(broken(copy.deepcopy(one.body), wrong))
    ]
    monkeypatch.setattr(schema, "_MANY", len(documents) + 1)
    slowly = schema.schema_problems(documents)
    monkeypatch.setattr(schema, "_MANY", 1)
    assert schema.schema_problems(documents) == slowly
    assert slowly


def test_kinds_that_podlab_does_not_take_are_passed_over(monkeypatch):
    monkeypatch.setattr(schema, "_MANY", 1)
    assert ("v1", "Node") not in objects.KINDS
    assert schema.schema_problems([Document({"apiVersion": "v1", "kind": "Node", "spec": 7}, "a.yml", 1)]) == []

"""What ``./lab`` prints of the objects in ``tests/kubectl`` is what a real kubectl has printed of them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.errors import CommandError
from cli.look import cluster, describe, get, jsonpath, services, workloads
from cli.look.columns import KINDS
from cli.look.custom_columns import relaxed
from tests.kubectl.server import resource

HERE = Path(__file__).resolve().parents[1] / "kubectl"
RECORDED = json.loads((HERE / "recorded.json").read_text("utf-8"))
OBJECTS = json.loads((HERE / "objects.json").read_text("utf-8"))
NOW = datetime.datetime.fromisoformat(RECORDED["now"])
DESCRIBED = [case for case in RECORDED["cases"] if case["words"][0] == "describe"]
GOT = [case for case in RECORDED["cases"] if case["words"][0] == "get"]
# Go has no order for the keys of a map, and kubectl goes through them by chance.
BY_CHANCE = ("..", ".*.", "{.kind", "*.phase")
# Where kubectl ends otherwise; docs/verbs.md says so.
OTHERWISE = {
    "--sort-by=.metadata.nothing": 'error: couldn\'t find any field with path "{.metadata.nothing}" in the list of objects',
    "--sort-by=.metadata.labels": "error: field {.metadata.labels} is an unsortable type: map[string]interface {}",
    "--sort-by=.status.containerStatuses[0].ready": (
        "error: field {.status.containerStatuses[0].ready} is an unsortable type: bool"
    ),
    "--sort-by={.metadata[": "error: unexpected path string",
    "--sort-by={.metadata": "error: unexpected path string",
    # A head without a row.
    "custom-columns=NAME:.spec.containers[9].name": "error: array index out of bounds: index 9, length 1",
    "custom-columns=NAME:.metadata[": "error: unterminated array",
    "xml": 'error: unable to match a printer suitable for the output format "xml", allowed formats are: custom-columns,',
}


@pytest.fixture
def as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {plural: resource(plural)["kind"] for plural in KINDS}
    lists = {
        plural: lambda _, kind=kind: [item for item in OBJECTS if item["kind"] == kind]
        for plural, kind in kinds.items()
    }
    for module in (get, cluster):
        monkeypatch.setattr(module, "LISTS", lists)
    monkeypatch.setattr(get, "observe", lambda sources, **_: SimpleNamespace(silent=[], record={}))
    clock = SimpleNamespace(now=lambda zone: NOW)
    monkeypatch.setattr(get, "datetime", SimpleNamespace(datetime=clock, timezone=datetime.timezone))


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code, error = 0, ""
    try:
        get.main(words, [])
    except CommandError as failure:
        code, error = failure.code, f"{failure}\n"
    out, err = capsys.readouterr()
    return code, out, err + error


def in_order(out: str, option: str) -> list[Any]:
    """The field by which each line is where it is."""
    template = jsonpath.parse(relaxed(option.removeprefix("--sort-by=")))
    pods = {item["metadata"]["name"]: item for item in OBJECTS if item["kind"] == "Pod"}
    names = [line.split()[0].removeprefix("pod/") for line in out.splitlines()]
    assert set(names) - {"NAME"} == pods.keys()
    return [jsonpath.one(template, pods[name]) for name in names if name in pods]


@pytest.mark.parametrize("case", GOT, ids=lambda case: " ".join(case["words"][1:]))
def test_get(as_recorded: None, case: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    words = case["words"][1:]
    code, out, err = said(words, capsys)
    if other := next((text for word, text in OTHERWISE.items() if word == words[-1]), ""):
        assert (code, out) == (1, "")
        assert err.startswith(other)
        return
    if words == ["pods,svc", "--sort-by=.metadata.name"]:
        assert (code, err, case["code"]) == (0, "", 1)  # here each table is in this order
        return
    if words[-1].startswith("--sort-by=") and out != case["out"]:
        assert in_order(out, words[-1]) == in_order(case["out"], words[-1])  # what is alike has none
        return
    if any(part in words[-1] for part in BY_CHANCE) and out != case["out"]:
        assert sorted(out.split()) == sorted(case["out"].split())
        return
    assert (code, out, err) == (case["code"], case["out"], case["err"])


def events_of(item: Any) -> list[dict[str, Any]]:
    """As a node tells them."""
    own = [event for event in OBJECTS if event["kind"] == "Event"]
    return [
        {
            "first": datetime.datetime.fromisoformat(event["firstTimestamp"]).timestamp(),
            "time": datetime.datetime.fromisoformat(event["lastTimestamp"]).timestamp(),
            "container": event["involvedObject"].get("fieldPath", "")[len("spec.containers{") : -1],
            **{key: event[key] for key in ("type", "reason", "message", "count")},
        }
        for event in own
        if event["involvedObject"]["name"] == item["metadata"]["name"]
    ]


def described(monkeypatch: pytest.MonkeyPatch, case: dict[str, Any]) -> tuple[str, str]:
    """By podlab, and by kubectl."""
    of = {kind: [item for item in OBJECTS if item["kind"] == kind] for kind in ("Pod", "EndpointSlice", "ReplicaSet")}
    monkeypatch.setattr(services, "endpointslices", lambda _: of["EndpointSlice"])
    monkeypatch.setattr(workloads, "replicasets", lambda _: of["ReplicaSet"])
    state = SimpleNamespace(nodes={}, pods=of["Pod"], record={})
    _, word, name = case["words"]
    kind = {"pod": "Pod", "svc": "Service", "deploy": "Deployment", "node": "Node"}[word]
    item = next(item for item in OBJECTS if (item["kind"], item["metadata"]["name"]) == (kind, name))
    now = datetime.datetime.fromisoformat(case["at"])
    return describe.text(state, item, now, events_of(item), ""), case["out"]  # type: ignore[arg-type]


ALIKE = [case for case in DESCRIBED if case["words"][1] in ("pod", "svc") and case["code"] == 0]


@pytest.mark.parametrize("case", ALIKE, ids=lambda case: " ".join(case["words"][1:]))
def test_describe(monkeypatch: pytest.MonkeyPatch, case: dict[str, Any]) -> None:
    ours, theirs = described(monkeypatch, case)
    assert ours == theirs


@pytest.mark.parametrize(
    ("word", "missing"),
    [
        # A container of a template is its name and image in the record.
        ("deploy", {"Port: <none>", "Host Port: <none>", "Environment: <none>", "Mounts: <none>", "Volumes: <none>"}),
        ("node", {"Lease: Failed to get lease: the server could not find the requested resource"}),
    ],
)
def test_describe_leaves_out_what_there_is_not(monkeypatch: pytest.MonkeyPatch, word: str, missing: set[str]) -> None:
    (case,) = (case for case in DESCRIBED if case["words"][1] == word)
    ours, theirs = ([" ".join(line.split()) for line in text.splitlines()] for text in described(monkeypatch, case))
    assert missing <= set(theirs)
    table = ("Type Status", "---- ------", "Ready True", "Namespace Name", "--------- ----", "default ")
    assert [line for line in ours if line not in theirs and not line.startswith(table)] == []

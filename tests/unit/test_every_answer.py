"""Whatever one host tells, ``./lab get`` and ``describe`` show what the others tell, and end in words."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli import hosts
from cli.errors import CommandError
from cli.hosts import status
from cli.look import columns, describe, get, objects, rules, table
from podlab.changes.kube_proxy import record as kube_record
from podlab.controller import transport
from tests.answers import EPOCH, NOW, RUNS, answer, last, live, workload
from tests.unit.bodies import service
from tests.unit.test_describe import EVENTS, rich
from tests.unit.test_get_services import backend, state
from tests.unit.test_trace import SAVED, WEB

STRANGE: list[Any] = [
    *(None, True, 0, -1, 10**30, 1e308, float("nan"), "", "x", "\u0663", "a/b", "/", "10.1.1.9/24", "\ud800"),
    *("2026-99-99T00:00:00Z", "0000-00-00T00:00:00Z", "\u0662\u0660\u0662\u0666-11-30T02:53:06Z"),
    *([], [None], ["x"], [[]], [{}], {}, {"x": "y"}, {"": ""}, {"a/b": "c"}, {"name": "x"}),
]
PACKED = kube_record.pack(WEB)
AT_ONCE = 2  # of them at each place, others at the next one


def told() -> dict[str, dict[str, Any]]:
    """Two nodes of one cluster, with what a run has remembered of it opened."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    found = state(service("a", clusterIP="10.96.0.10", ports=ports), pods=(backend(1), backend(2, is_ready=False)))
    more = {name: transport.unpack(found.record[name]) for name in transport.RECORDED}
    kinds = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")
    cluster = {
        **{"workloads": [workload(kind, kind.lower()) for kind in kinds], "waiting": ["default/late"], **more},
        "objects": {
            "ConfigMap/default/cm": {"metadata": {"labels": {"a": "b"}}, "data": {"a": "b"}},
            "Secret/default/key": {"type": "Opaque", "stringData": {"a": "b"}, "data": {"c": "ZA=="}},
        },
        "pods": {"default/web-5c9f-abcde": ["node1", "10.1.1.2"], "default/other": ["node2", "10.1.2.2"]},
    }
    other = live("other", a=RUNS)
    pods = [rich(), live("job", owner="Job/job", a={**RUNS, "last": last(0), "seen": float(EPOCH)})]
    for pod in (*pods, other):
        pod["row"]["etc"] = {}
    return {"node1": answer(*pods, **copy.deepcopy(cluster)), "node2": answer(other, **cluster)}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*at, key)
        yield from places(one, (*at, key))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """With another value there; nothing is shared that is changed."""
    key, *rest = place
    inside = list(value) if isinstance(value, list) else dict(value)
    inside[key] = changed(inside[key], tuple(rest), new) if rest else new
    return inside


def packed(one: Any) -> Any:
    try:
        cluster = one["record"]["cluster"]
        own = {name: transport.pack(cluster[name]) for name in transport.RECORDED if name in cluster}
        return {**one, "record": {**one["record"], "cluster": {**cluster, **own}}}
    except (KeyError, TypeError):  # it is of another shape
        return one


def show(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> str:
    """Every kind in every form. A Failure of one kind is what its verb says."""
    asked = [hosts.Local(name, "node", {}) for name in answers]
    monkeypatch.setattr(status, "_status", lambda host, program: json.loads(json.dumps(answers[host.name])))
    found = objects.cluster_state(hosts.ask(asked), list(answers))
    pages = []
    for plural, listed in get.LISTS.items():
        try:
            items = listed(found)
            pages += [table.table(columns.KINDS[plural], items, NOW, wide=True, all_namespaces=True, labels=True)]
            get._json(objects.listed(items))
            if plural in describe.KNOWN:
                pages += [describe.text(found, item, NOW, EVENTS, "") for item in items]
        except CommandError as error:
            pages.append(str(error))
    return "".join(pages)


CLUSTER, SPEC = ("record", "cluster"), ("pods", 0, "row", "object", "spec")


@pytest.mark.parametrize(
    ("place", "new"),
    [
        ((*CLUSTER, "services", "default/a", "body", "spec", "ports", 0, "port"), 0),
        ((*CLUSTER, "created", "node/node2"), "0000-00-00T00:00:00Z"),
        ((*SPEC, "volumes", 0), "x"),
        ((*SPEC, "volumes", 0, "emptyDir"), "x"),
        ((*SPEC, "containers", 0, "volumeMounts"), [{}]),
        ((*SPEC, "containers", 0, "env"), ["x"]),
    ],
)
def test_what_has_ended_a_verb_before(place: tuple[Any, ...], new: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = told()
    sound["node1"]["record"]["cluster"]["generation"] += 1
    page = show(monkeypatch, {"node1": packed(changed(sound["node1"], place, new)), "node2": packed(sound["node2"])})
    assert "10.96.0.10" in page and "other" in page


def test_where_the_newest_record_is_damaged_the_next_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = {name: packed(one) for name, one in told().items()}
    for damaged in (transport.pack({"default/a": {}}), "no word", transport.pack([])):
        spoilt = changed(sound["node1"], ("record", "cluster", "services"), damaged)
        spoilt = changed(spoilt, ("record", "cluster", "generation"), 9)
        assert "10.96.0.10" in show(monkeypatch, {"node1": spoilt, "node2": sound["node2"]})


def test_a_sound_answer_is_shown_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sound = told()
    show(monkeypatch, {name: packed(one) for name, one in sound.items()})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("part", ["record", "pods", "system"])
def test_whatever_one_host_tells_of_itself(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = told()
    liar, other = sound["node1"], packed(sound["node2"])
    liar["record"]["cluster"]["generation"] += 1  # it is believed
    for at, place in enumerate(places(liar[part], (part,))):
        for step in range(AT_ONCE):
            new = STRANGE[(at * AT_ONCE + step) % len(STRANGE)]
            try:
                page = show(monkeypatch, {"node1": packed(changed(liar, place, new)), "node2": other})
            except Exception as error:
                raise AssertionError(f"{place} = {new!r}") from error
            assert "node2" in page, (place, new)


def test_whatever_a_node_keeps_of_its_service_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """``./lab rules``, of a node that knows how to sign what it has made up."""
    saved = json.dumps({})
    monkeypatch.setattr(rules.inventory, "read", lambda sources: [hosts.Local("node1", "node", {})])
    monkeypatch.setattr(rules, "_output", lambda host, command: saved if command[0] == "cat" else SAVED.read_text())
    pages: list[str] = []
    monkeypatch.setattr(rules, "print_text", pages.append)
    sound = json.loads(json.dumps(kube_record.state(PACKED, *kube_record.unpack(PACKED))))
    for at, place in enumerate(places(WEB)):
        for step in range(AT_ONCE):
            row = kube_record.pack(changed(WEB, place, STRANGE[(at * AT_ONCE + step) % len(STRANGE)]))
            saved = json.dumps({**sound, "packed": row, "row": kube_record.unpack(row)[1]})
            with contextlib.suppress(CommandError):
                rules.rules("node1", "web", namespace="default", sources=[])
    for place in places(sound):
        for new in STRANGE:
            saved = json.dumps(changed(sound, place, new))
            with contextlib.suppress(CommandError):
                rules.rules("node1", "", namespace="default", sources=[])
    assert len(pages) > 50, "most of it is of another shape, and told so"


def test_an_object_that_cannot_be_described_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {name: packed(one) for name, one in told().items()}
    answers["node1"]["pods"][1]["row"]["object"]["spec"]["containers"] = 7  # as if no shape knew of it
    monkeypatch.setattr(status, "_status", lambda host, program: answers[host.name])
    monkeypatch.setattr(status, "sound_answer", lambda one: (one, []))
    monkeypatch.setattr(status, "checked_answer", lambda one: (one, []))
    monkeypatch.setattr(describe.inventory, "read", lambda sources: [hosts.Local(n, "node", {}) for n in answers])
    monkeypatch.setattr(describe, "_more", lambda state, items, hosts: [([], "")] * len(items))
    pages: list[str] = []
    monkeypatch.setattr(describe, "print_text", lambda text, end: pages.append(text))
    with pytest.raises(CommandError, match="error: pod job cannot be described: what is recorded of it is damaged"):
        describe.describe(["pods"], namespace="default", selector="", sources=[])
    assert "other" in pages[0] and "web-5c9f-abcde" in pages[0]

"""Whatever one host tells, ``./lab get`` and ``describe`` show what the others tell, and end in words."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli import columns, describe, get, hosts, objects, table
from cli.failure import Failure
from podlab.controller import parcels
from tests.answers import EPOCH, NOW, RUNS, answer, last, live, workload
from tests.unit.bodies import service
from tests.unit.test_describe import EVENTS, rich
from tests.unit.test_get_services import backend, state

STRANGE: list[Any] = [
    *(None, True, 0, -1, 10**30, 1e308, float("nan"), "", "x", "\u0663", "a/b", "/", "10.1.1.9/24", "\ud800"),
    *("2026-99-99T00:00:00Z", "0000-00-00T00:00:00Z", "\u0662\u0660\u0662\u0666-11-30T02:53:06Z"),
    *([], [None], ["x"], [[]], [{}], {}, {"x": "y"}, {"": ""}, {"a/b": "c"}, {"name": "x"}),
]
AT_ONCE = 2  # of them at each place, others at the next one


def told() -> dict[str, dict[str, Any]]:
    """Two nodes of one cluster, with what a run has remembered of it opened."""
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    found = state(service("a", clusterIP="10.96.0.10", ports=ports), pods=(backend(1), backend(2, is_ready=False)))
    more = {name: parcels.unpack(found.record[name]) for name in parcels.RECORDED}
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
        own = {name: parcels.pack(cluster[name]) for name in parcels.RECORDED if name in cluster}
        return {**one, "record": {**one["record"], "cluster": {**cluster, **own}}}
    except (KeyError, TypeError):  # it is of another shape
        return one


def show(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> str:
    """Every kind in every form. A Failure of one kind is what its verb says."""
    asked = [hosts.Local(name, "node", {}) for name in answers]
    monkeypatch.setattr(hosts, "_status", lambda host, program: json.loads(json.dumps(answers[host.name])))
    found = objects.state_of(hosts.ask(asked), list(answers))
    pages = []
    for plural, listed in get.LISTS.items():
        try:
            items = listed(found)
            pages += [table.table(columns.KINDS[plural], items, NOW, wide=True, all_namespaces=True, labels=True)]
            get._json(objects.listed(items))
            if plural in describe.KNOWN:
                pages += [describe.text(found, item, NOW, EVENTS, "") for item in items]
        except Failure as error:
            pages.append(str(error))
    return "".join(pages)


def test_where_the_newest_record_is_damaged_the_next_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = {name: packed(one) for name, one in told().items()}
    for damaged in (parcels.pack({"default/a": {}}), "no word", parcels.pack([])):
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

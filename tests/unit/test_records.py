"""What podlab reads back from hosts: whatever stands there, a run goes on or says what is wrong, where."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.controller import inputs, transport
from podlab.host import record, run
from podlab.host.pods import pods, status
from podlab.planner.inputs.host import Host
from podlab.planner.model import Invalid
from podlab.planner.plan import plan
from podlab.records import RECORD, pod_config, reading
from tests.unit.test_plan import NOW, Lab

ROOT = Path(__file__).parents[2]
LATER = """\
apiVersion: v1
kind: Service
metadata: {name: lb}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      initContainers: [{name: first, image: "busybox:1.36", command: [sleep, "1"]}]
      containers:
      - {name: c, image: "busybox:1.36", command: [sleep, "9"], ports: [{containerPort: 80, hostPort: 8080, name: x}]}
      volumes: [{name: v, configMap: {name: settings}}, {name: e, emptyDir: {}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "busybox:1.36", command: ["true"]}]}}}
"""


class Cabinet:
    """A cluster that stands, as its hosts tell of it."""

    def __init__(self, directory: Path) -> None:
        for file in (ROOT / "manifests").glob("*.yml"):
            (directory / file.name).write_text(file.read_text())
        (directory / "more.yml").write_text(LATER)
        found = inputs.read(str(ROOT), str(directory), {"podlab_load_balancer_pool": "10.100.0.200-10.100.0.220"})
        assert found.problems == ()
        self.cluster, self.desired = found.cluster, found.desired
        lab = Lab(load_balancer_pool="10.100.0.200-10.100.0.220")
        lab.run(self.desired, assume_ready=True)
        lab.run(self.desired)
        self.told: dict[str, Any] = {host.name: host.observation for host in lab.observed()}
        for seen in filter(None, self.told.values()):
            seen["pods"] = {netns: {**pod, "kubelet": True} for netns, pod in seen["pods"].items()}
        self.lab = lab

    def plan(self, told: dict[str, Any]) -> dict[str, Any]:
        hosts = [
            Host(name, role, address, observation=transport.decode(json.dumps(told[name])))
            for name, role, address in self.lab.inventory
        ]
        return plan(self.cluster, hosts, self.desired, {}, NOW)


@pytest.fixture(scope="module")
def cabinet(tmp_path_factory: pytest.TempPathFactory) -> Cabinet:
    return Cabinet(tmp_path_factory.mktemp("manifests"))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as the keys that lead there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inside for place in places(one, (*at, key)))]


def put(value: Any, place: tuple[Any, ...], new: Any, *, away: bool = False) -> Any:
    if not place:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if away:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return value


STRANGE = [
    *(None, True, False, 0, -1, 1, 2**70, 1.5, "", "x", "9", "a/b", "a/b/c/d", "../../etc", "10.1.1.300", "10.1.1.1"),
    *("10.1.1.2/24", "10.1.1.0/33", "10.9.0.0/16", "::1", "\x1b[31m", "\u2028", "\udcff", "none", "node1"),
    *([], {}, [[]], [{}], [None], [1], ["x"], {"x": None}, {"x": []}, {"": {}}, {"a/b": []}, [["x", "y"]]),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_a_host_tells_the_plan_goes_on_or_says_whose_it_is(cabinet: Cabinet, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["node1", "node2", "gateway"]))
    part = data.draw(st.sampled_from(["record", "record", "record", "pods", "pods", "links", "routes", "any"]))
    told = dict(cabinet.told)
    for _ in range(data.draw(st.integers(1, 2))):
        inside = told[name] if part == "any" else told[name].get(part)
        place = data.draw(st.sampled_from(places(inside)))
        new = data.draw(st.sampled_from(STRANGE) | JSON)
        mutated = put(inside, place, new, away=bool(place) and data.draw(st.booleans()))
        told[name] = mutated if part == "any" else {**told[name], part: mutated}
        if not isinstance(told[name], dict):
            break
    check(cabinet, told)


@pytest.mark.parametrize("name", ["node1", "gateway"])
@pytest.mark.parametrize("part", ["record", "pods", "links", "routes", "rules", "services", "kernel", "ids"])
def test_every_place_may_be_of_another_shape(cabinet: Cabinet, name: str, part: str) -> None:
    """Each place once, with a value by chance: what a record has more of is tried as well."""
    chance = random.Random(f"{name} {part}")
    inside = cabinet.told[name].get(part)
    every = places(inside)
    for place in every if len(every) < 50 else chance.sample(every, 50):
        strange = {**cabinet.told[name], part: put(inside, place, chance.choice(STRANGE))}
        # By a record that counts a manifest may change what it must not.
        check(cabinet, {**cabinet.told, name: strange}, stops_all=part == "record")


def check(cabinet: Cabinet, told: dict[str, Any], *, stops_all: bool = True) -> None:
    try:
        result = cabinet.plan(told)
    except Invalid:
        assert stops_all
        return  # in words, and nothing else may be raised
    for note in result["notes"]:
        assert "damaged" not in note or note.startswith(
            ("node1: the record", "node2: the record", "gateway: the record")
        )
    json.dumps(result)


def notes(cabinet: Cabinet, name: str, **parts: Any) -> list[str]:
    result = cabinet.plan({**cabinet.told, name: {**cabinet.told[name], **parts}})
    return [note for note in result["notes"] if "record" in note]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "it is no JSON object"),
        ("", "it is no JSON object"),
        ({"cluster": []}, "cluster: must be of type object"),
        ({"cluster": {"generation": "9"}}, "cluster.generation: must be of type integer"),
        ({"cluster": {"services": "not packed"}}, "cluster.services: must be of type object"),
        ({"sysctls": {"net.ipv4.ip_forward": 1}}, "sysctls.net.ipv4.ip_forward: must be of type string"),
        ({"cluster": {"generation": 10**4299}}, "cluster.generation: must be a number of 64 bits"),
        ({"version": "new"}, "version: must be of type integer"),
    ],
)
def test_a_damaged_record_is_named_and_left_aside(cabinet: Cabinet, told: Any, words: str) -> None:
    (note,) = notes(cabinet, "node1", record=told)
    assert note.startswith(f"node1: the record (/var/lib/podlab/record.json) is damaged: {words}; ")


def test_what_the_others_and_the_kernel_know_is_not_lost(cabinet: Cabinet) -> None:
    before = cabinet.plan(cabinet.told)["hosts"]["node1"]
    after = cabinet.plan({**cabinet.told, "node1": {**cabinet.told["node1"], "record": {"cluster": 3}}})["hosts"]
    for part in ("network", "cluster", "pods"):
        assert after["node1"]["node"]["record"][part] == after["node2"]["node"]["record"][part]
    assert [word for word in after["node1"]["pending"] if word != "rollout"] == ["node"]
    assert {**after["node1"], "node": before["node"], "pending": []} == {**before, "pending": []}


def test_of_a_damaged_record_what_fits_is_kept(cabinet: Cabinet) -> None:
    told = {**cabinet.told["node1"]["record"], "cursor": "10.1.1", "cluster": []}
    found = reading.read(told)
    assert found.record is not None
    assert found.record["sysctls"] == told["sysctls"]
    assert "cursor" not in found.record
    assert "cluster" not in found.record
    assert "not known any more" not in found.damage[0], "the settings from before podlab are there"
    assert "not known any more" in reading.read({**told, "sysctls": []}).damage[0]


def test_a_record_of_a_newer_podlab_is_not_guessed_at(cabinet: Cabinet) -> None:
    told = {**cabinet.told["node2"], "record": {"version": 3, "cluster": {"everything": "else"}}}
    result = cabinet.plan({**cabinet.told, "node2": told})
    (line,) = result["refused"]["node2"]
    assert line.startswith(
        "the record (/var/lib/podlab/record.json) is of a newer podlab (version 3; this one knows 2); "
    )
    assert {"gateway", "node1"} <= result["hosts"].keys() and "node2" not in result["hosts"]


def test_a_record_without_version_is_of_the_first_unless_it_has_what_that_had_not(cabinet: Cabinet) -> None:
    assert reading.version_of({"cluster": {}}) == 1
    told = copy.deepcopy(cabinet.told)
    for seen in told.values():
        if seen:
            assert seen["record"].pop("version") == 2
    result = cabinet.plan(told)
    assert {word for rows in result["hosts"].values() for word in rows["pending"]} <= {"rollout"}


def test_one_damaged_record_hides_no_other_problem(cabinet: Cabinet) -> None:
    told = {name: seen and {**seen, "missing": {"ip": "iproute2"}} for name, seen in cabinet.told.items()}
    told["node1"] = {**told["node1"], "record": {"version": 7}, "links": []}
    with pytest.raises(Invalid) as caught:
        cabinet.plan(told)
    said = "\n".join(caught.value.problems)
    assert "node1: what the host tells of itself cannot be read: links: must be of type object" in said
    assert "node2, gateway: programs are missing" in said


@pytest.mark.parametrize("row", [[], "", {"netns": 3}, {"netns": "default_pair"}, 7])
def test_a_damaged_row_of_a_pod_is_named_and_the_pod_is_mended(cabinet: Cabinet, row: Any) -> None:
    seen = cabinet.told["node1"]
    pods = {**seen["pods"], "default_pair": {**seen["pods"]["default_pair"], "row": row}}
    (note,) = notes(cabinet, "node1", pods=pods)
    assert note.startswith(
        "node1: the record of pod default_pair (/run/podlab/pods/default_pair/pod.json) is damaged: "
    )
    result = cabinet.plan({**cabinet.told, "node1": {**seen, "pods": pods}})
    assert "pods" in result["hosts"]["node1"]["pending"]


def test_all_that_a_host_tells_of_a_container_has_a_type(tmp_path: Path) -> None:
    assert set(status.container(str(tmp_path))) == set(get_type_hints(pod_config.Facts))


SECONDS = 1_767_355_200.0
FACTS: dict[str, Any] = {
    **{
        "pid": 7,
        "started": SECONDS,
        "restarts": 1,
        "backoff": 10,
        "stand_in": True,
        "down": False,
        "failed": None,
        "seen": SECONDS,
    },
    "last": {"exit": 0, "signal": 0, "started": 1, "ended": 2},
    "health": {"pid": 7, "started": True, "ready": True, "ready_at": SECONDS},
}


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("last", {"exit": 0, "signal": 0, "started": 999999999999, "ended": 2}, None),
        ("last", {"exit": 0}, None),
        ("started", -5.0, None),
        ("restarts", -1, 0),
        ("backoff", "x", 0),
        ("failed", {"reason": "x"}, None),
        ("failed", {"reason": "x", "message": ["y"]}, None),
        ("health", {"pid": 7, "ready": True, "ready_at": "soon"}, None),
        ("health", {"pid": 7, "ready": True, "ready_at": float("nan")}, None),
        ("seen", "now", 0.0),
        ("down", "yes", False),
        ("stand_in", "yes", False),
    ],
)
def test_a_fact_that_does_not_fit_is_left_aside_and_the_others_stay(name: str, value: Any, instead: Any) -> None:
    assert pod_config.sound_facts(FACTS) == (FACTS, {})
    found, wrong = pod_config.sound_facts({**FACTS, name: value})
    assert found == {**FACTS, name: instead}
    assert list(wrong) == [name]


def test_one_damaged_fact_ends_no_run(cabinet: Cabinet) -> None:
    seen = copy.deepcopy(cabinet.told["node1"])
    netns = next(netns for netns, pod in seen["pods"].items() if pod["facts"])
    name, facts = next(iter(seen["pods"][netns]["facts"].items()))
    ended = {"exit": 0, "signal": 0, "started": 999999999999, "ended": 1}
    damaged = {"last": ended, "failed": {"phase": "Lost"}, "health": {"ready_at": "x"}}
    seen["pods"][netns]["facts"] = {name: {**facts, **damaged}}
    found = [note for note in cabinet.plan({**cabinet.told, "node1": seen})["notes"] if "cannot be read" in note]
    words = f"node1: what is kept of container {name} of pod {netns} cannot be read in part: "
    assert len(found) == 1 and found[0].startswith(words), found
    assert "last.started: must be seconds since 1970" in found[0] and "failed.message: is missing" in found[0]


# --- on a host


def test_a_host_goes_by_no_fact_that_the_plan_leaves_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "SCAN_DIR", str(tmp_path))
    service = tmp_path / "default_web.c"
    service.mkdir()
    (service / "last").write_text("0 0 999999999999 1")
    (service / "failed").write_text('{"reason": 3}')
    row: Any = {"netns": "default_web", "containers": {"c": {}}}
    told = pods._facts("default_web", row, as_written=True)["c"]
    assert told["last"] and told["failed"]
    found = pods._facts("default_web", row, as_written=False)["c"]
    assert (found["last"], found["failed"]) == (None, None)
    assert found == {**pod_config.sound_facts(told)[0], "seen": found["seen"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, path in (("PATH", "record.json"), ("DAMAGED", "record.json.damaged"), ("HOME", "")):
        monkeypatch.setattr(record, name, str(tmp_path / path))
    return tmp_path


def test_a_damaged_record_is_put_aside_and_written_anew(home: Path) -> None:
    (home / "record.json").write_text('{"sysctls": [], "node": "node1"}')
    found = record.read()
    assert found.record == {"node": "node1", "version": 1}
    record.write({"node": "node1", "sysctls": {}})
    assert (home / "record.json.damaged").read_text() == '{"sysctls": [], "node": "node1"}'
    assert record.read() == reading.Reading({"node": "node1", "sysctls": {}, "version": 2})


def test_a_record_that_is_written_back_stays_of_its_version(home: Path) -> None:
    """Modules add a kernel setting to what they have read: the sections of today come with the next run."""
    told = {"version": 1, "cluster": {"cidr": "10.1.0.0/16"}, "sysctls": {}}
    (home / "record.json").write_text(json.dumps(told))
    record.write({**record.known(), "sysctls": {"net.ipv4.ip_forward": "0"}})
    assert record.known() == {**told, "sysctls": {"net.ipv4.ip_forward": "0"}}


@pytest.mark.parametrize("text", ["", "{", "[" * 100000, "\x00", "null", "NaN"])
def test_whatever_stands_in_the_file(home: Path, text: str) -> None:
    (home / "record.json").write_text(text)
    assert len(record.read().damage) == (text != "null") or text == "null"
    (home / "record.json").write_bytes(b"\xff\xfe")
    assert record.read().damage


def test_of_a_newer_podlab_nothing_is_taken_away(home: Path) -> None:
    (home / "record.json").write_text('{"version": 3}')
    with pytest.raises(run.HostError, match="of a newer podlab"):
        record.known()
    assert status.RECORD == RECORD

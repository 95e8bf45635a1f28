"""The short answer, whether a value fits a type, is the one that its words give."""

from __future__ import annotations

import copy
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab import configs, phases
from podlab.changes.network.defaults import mac
from podlab.fitting import fits
from podlab.planner.configs.pending import has_unready
from podlab.planner.controllers.reconcile import Wanted
from podlab.planner.controllers.stage import Reconciled
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.observed_pods import present_pods, unready
from podlab.planner.model import Pod, PodTemplate
from podlab.records.formats import Count, Interface, Moment, Name, Strings, Time
from podlab.records.host_record import NetworkRecord, PodsRecord
from podlab.records.observation import Observation, sound_observation
from podlab.records.pod_config import NO_FACTS, Facts, PodConfig, row_damage, sound_facts_of
from podlab.running import merely_runs
from podlab.shapes import CheckedAs, Rule, misfit, salvaged
from tests.unit.test_records import JSON, STRANGE, places, put


class _Inner(TypedDict):
    name: Name


class Everything(_Inner, total=False):
    """A field of each kind that there is."""

    anything: Any
    flag: bool | None
    count: Count
    moment: Moment
    interface: Interface
    born: Time | None
    words: list[str]
    inner: list[_Inner]
    either: _Inner | list[int]
    pairs: dict[Name, tuple[str, Count | None]]
    strings: Strings
    elsewhere: Annotated[_Inner, CheckedAs(Strings)]
    short: Annotated[dict[str, Any], Rule(lambda one: len(one) < 2, "short")]


SOUND: Everything = {
    **{"name": "a", "anything": {"x": [None]}, "flag": True, "count": 3, "moment": 1.5, "interface": "10.1.1.2/24"},
    **{"born": "2030-01-01T00:00:00Z", "words": ["a", "b"], "inner": [{"name": "b"}], "either": [1, 2]},
    **{"pairs": {"k": ["v", 1], "l": ["w", None]}, "strings": {"a": "b"}, "short": {"x": {}}, "elsewhere": {"x": "y"}},
}  # type: ignore[typeddict-item]


def row(name: str) -> dict[str, Any]:
    container = {"image": "busybox", "argv": ["a"], "env": {"PATH": "/bin"}, "working_dir": "/", "user": 3}
    meta = {"name": name, "namespace": "default", "labels": {"a": "b"}, "creationTimestamp": "2030-01-01T00:00:00Z"}
    return {
        **{"netns": f"default_{name}", "address": "10.1.1.2/24", "gateway": "10.1.1.1", "mac": mac("10.1.1.2/24")},
        **{"mtu": 1500, "bridge": "cbr0", "hostname": name, "restart_policy": "Always", "etc": {"hosts": "x"}},
        **{"containers": {"main": container}, "init": ["main"], "volumes": {"v": {"kind": "files", "files": {}}}},
        "object": {"metadata": meta, "spec": {"containers": [{"name": "main", "ports": [{"containerPort": 80}]}]}},
    }


ROW = row("web")
FACTS = {
    "stand_in": False,
    **{"pid": 7, "started": 1.0, "restarts": 1, "backoff": 10, "down": False, "failed": None, "seen": 2.0},
    **{"last": {"exit": 0, "signal": 0, "started": 1, "ended": 2}, "health": {"pid": 7, "ready": True}},
}
LINK = {
    **{"kind": "veth", "alias": "", "mac": "02:00:00:00:00:01", "mtu": 1500, "up": True, "master": None},
    **{"hairpin": False, "addresses": ["10.1.1.2/24"], "amiss": []},
}
POD = {
    **{"sandbox": True, "row": ROW, "services": ["main"], "facts": {"main": FACTS}, "eth0": LINK, "lo_up": True},
    **{"routes": [], "age": None, "connected": ["10.1.1.0/24"]},
}
SEEN = {
    **{"record": None, "links": {"eth0": LINK}, "tunnels": {}, "sysctls": {}, "pods": {"default_web": POD}},
    "routes": [{"to": "10.0.0.0/8", "via": None, "dev": "eth0", "protocol": "kernel"}],
    **{"rules": {"filter": {}, "nat": {}}, "programs": {}, "missing": {}, "resolv_conf": ""},
    **{"kernel": {"loadable": [], "missing": [], "may_load": False}, "ids": {"uid": [[0, 1]], "gid": []}},
}
SOUND_ONES: dict[str, tuple[Any, Any]] = {
    "everything": (Everything, SOUND),
    "row": (PodConfig, ROW),
    "facts": (Facts, FACTS),
    "observation": (Observation, SEEN),
    "network": (NetworkRecord, {"cidr": "10.1.0.0/16", "podCIDRs": {"node1": "10.1.1.0/24"}, "generation": 3}),
    "pods": (PodsRecord, {"pods": {"default/web": ["10.1.1.2", None]}, "generation": 3}),
}


@pytest.mark.parametrize("name", SOUND_ONES)
def test_what_is_sound_fits(name: str) -> None:
    kind, value = SOUND_ONES[name]
    assert misfit(value, kind) == ""
    assert fits(kind)(value)


@given(st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", SOUND_ONES)
def test_it_fits_where_there_are_no_words_against_it(name: str, data: st.DataObject) -> None:
    kind, value = SOUND_ONES[name]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(value)))
        away = bool(place) and data.draw(st.booleans())
        value = put(value, place, data.draw(st.sampled_from(STRANGE) | JSON), away=away)
    assert fits(kind)(copy.deepcopy(value)) == (misfit(value, kind) == "")
    if isinstance(value, dict):
        assert fits(kind, partial=True)(value) == (salvaged(value, kind)[1] == {})


def test_a_number_may_be_too_long() -> None:
    assert fits(dict[str, list[int]])({"a": [1, -(2**63)]})
    for wrong in (2**63, True, 1.0, float("nan")):
        assert not fits(dict[str, list[int]])({"a": [1, wrong]})


def put_in(value: Any, **at: Any) -> Any:
    """A copy with other values at some places, ``a__b``."""
    value = copy.deepcopy(value)
    for path, one in at.items():
        *inner, last = path.split("__")
        place = value
        for name in inner:
            place = place[name]
        place[last] = one
    return value


def check_read(pod: Any) -> None:
    """What an observation's pods become is what reading each of its parts makes of them."""
    sound, notes, _ = sound_observation({**SEEN, "pods": {"default_web": pod}}, {})
    if sound is not None:
        words = row_damage(pod["row"], "default_web")
        facts, told = sound_facts_of(pod["facts"], "default_web")
        assert sound["pods"]["default_web"] == {**pod, "row": None if words else pod["row"], "facts": facts}
        assert notes == [words] * bool(words) + told


LACKING = {name: value for name, value in FACTS.items() if name != "seen"}
PODS = [
    *(POD, {**POD, "row": None}, {**POD, "facts": {}}, {**POD, "facts": {"main": {}}}),
    *({**POD, "facts": {"main": LACKING}}, put_in(POD, facts__main__seen="now"), put_in(POD, row__init=["other"])),
    *(put_in(POD, row__netns="default_other"), put_in(POD, row__mtu="1500"), put_in(POD, row__init=[])),
]


@pytest.mark.parametrize("pod", PODS)
def test_a_whole_pod_is_taken_as_reading_would_leave_it(pod: Any) -> None:
    check_read(pod)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_pod_is_taken_as_reading_would_leave_it(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([place for place in places(POD) if place]))
    check_read(put(POD, place, data.draw(st.sampled_from(STRANGE) | JSON), away=data.draw(st.booleans())))


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("until", ["Ready", "Ended"])
@pytest.mark.parametrize("name", ["web", "other"])
@pytest.mark.parametrize("home", ["node1", "node2"])
def test_a_pod_is_waited_for_unless_it_was_found_ready(pod: Any, until: str, name: str, home: str) -> None:
    sound, _, _ = sound_observation({**SEEN, "pods": {"default_web": pod}}, {})
    assert sound is not None
    for state in ({}, {"sandbox": False}, {"row": None}, {"facts": {"main": {**FACTS, "pid": None}}}, {"row": ROW}):
        seen: Any = {**sound, "pods": {"default_web": {**sound["pods"]["default_web"], **state}}}
        told, node = Host("node1", "node", "10.0.0.1", observation=seen), Host(home, "node", "10.0.0.2")
        node = told if home == "node1" else node
        reconciled = Reconciled(Wanted([]), present_pods([told], {}), ())
        wanted = Pod("default", name, PodTemplate(()), "where", until=until)
        assert has_unready(node, reconciled, [wanted]) == unready(node, wanted.netns, until)


def test_what_merely_runs_is_ready_since_its_last_start() -> None:
    pod: Any = put_in(ROW, containers={"a": {}, "b": {}}, init=[])
    for times in ((1.0, 4), (None, 4.0), (0.0, 0.0), (99.0, 1.0)):
        facts: Any = {
            name: {**NO_FACTS, "pid": 7, "started": started, "seen": 9 + number}
            for number, (name, started) in enumerate(zip("ab", times, strict=True))
        }
        assert merely_runs(pod, facts)
        found = phases.summary(pod, facts).ready_for
        assert found == phases.ready_for(pod, phases.status(pod_with_images(pod), facts), facts)


def pod_with_images(row: Any) -> Any:
    return {**row, "containers": {name: {"image": "x", **one} for name, one in row["containers"].items()}}


@pytest.mark.parametrize("field", sorted(configs.PodConfig.__required_keys__))
def test_a_row_that_lacks_a_field_is_damaged_in_each_python(field: str) -> None:
    """Some versions make a field optional that a class with ``total=False`` writes again."""
    row = {name: value for name, value in POD["row"].items() if name != field}
    assert row_damage(row, "default_web")
    check_read({**POD, "row": row})

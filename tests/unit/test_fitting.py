"""The short answer, whether a value fits a type, is the one that its words give."""

from __future__ import annotations

import copy
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.changes.network.defaults import mac
from podlab.fitting import fits
from podlab.records.formats import Count, Interface, Moment, Name, Strings, Time
from podlab.records.host_record import NetworkRecord, PodsRecord
from podlab.records.observation import Observation
from podlab.records.pod_row import Facts, PodConfig
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

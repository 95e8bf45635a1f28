"""How what is large gets to the hosts and back: as a word that the host unpacks, or keeps."""

from __future__ import annotations

import copy
from typing import Any

from podlab.changes import kube_record
from podlab.controller import parcels

ROW: dict[str, Any] = {"node": "node1", "ports": [{"service": "default/web", "endpoints": [{"address": "10.1.1.2"}]}]}
RECORD = {"pods": {}, "services": {"default/web": {"clusterIP": "10.96.0.10"}}, "slices": {}, "endpoints": {}}


def rows(*pending: str) -> dict[str, Any]:
    """Two hosts, which are told of one cluster and share the ports."""
    cluster, ports = copy.deepcopy(RECORD), copy.deepcopy(ROW["ports"])
    told = [
        {"node": {"record": {"node": name, "cluster": cluster}}, "services": {"node": name, "ports": ports}}
        for name in "ab"
    ]
    return {name: {**one, "pending": list(pending)} for name, one in zip("ab", told, strict=True)}


def closed(hosts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = parcels.closed({"hosts": hosts, "verify": {"ends": [], "services": {"asks": []}}})["hosts"]
    return found


def test_a_record_comes_back_as_it_went():
    found = closed(rows("node"))["a"]["node"]["record"]
    assert isinstance(found["cluster"]["services"], str)
    assert found["cluster"]["pods"] == {}
    observation = {"record": found, "links": {}}
    assert parcels.opened(observation) == {"record": {"node": "a", "cluster": RECORD}, "links": {}}
    assert observation["record"] is found, "what was observed is not ours to change"


def test_a_host_without_record_is_opened_too():
    assert parcels.opened({"record": None}) == {"record": None}
    assert parcels.opened({"record": {"cluster": {}}}) == {"record": {"cluster": {}}}


def test_all_hosts_get_one_and_the_same_word_and_the_planners_rows_stay_as_they_are():
    before = rows("node")
    kept = copy.deepcopy(before)
    found = closed(before)
    words = [found[name]["node"]["record"]["cluster"]["services"] for name in "ab"]
    assert words[0] is words[1]
    assert parcels.unpack(words[0]) is parcels.unpack(words[1])
    assert before == kept


def test_a_row_is_what_the_module_unpacks():
    found = closed(rows("services"))["a"]["services"]
    row, digest = kube_record.unpack(found)
    assert row == {**ROW, "node": "a"}
    assert digest == kube_record.unpack(kube_record.pack(row))[1]


def test_a_row_that_nobody_asks_for_stays_behind():
    assert "services" not in closed(rows("node"))["a"]


def test_a_host_without_rows_has_none():
    assert closed({"a": {"pending": []}}) == {"a": {"pending": []}}


def test_what_verify_expects_is_a_word_and_what_a_host_is_to_call_is_text():
    asks = [{"id": 0, "netns": None}]
    hosts = {"a": {"pending": [], "verify_services": {"asks": asks, "watched": [["10.96.0.10", 80]], "deadline": 20}}}
    plan = {"hosts": hosts, "verify": {"ends": [1], "services": {"asks": asks}}, "notes": []}
    found = parcels.closed(plan)
    assert found["verify"]["ends"] == [1]
    assert parcels.unpack(found["verify"]["services"]) == {"asks": asks}
    assert found["hosts"]["a"]["verify_services"] == {
        "asks": '[{"id":0,"netns":null}]',
        "watched": '[["10.96.0.10",80]]',
        "deadline": 20,
    }
    assert found["notes"] == []

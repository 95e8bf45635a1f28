"""How what is long gets to the hosts and back."""

from __future__ import annotations

import copy
import json
from typing import Any

from podlab.controller import parcels

CLUSTER = {"cidrs": {"a": "10.1.1.0/24"}, "pods": {"default/web": ["a", "10.1.1.2"]}}
VERIFY = {"ends": [{"name": "a"}], "asks": {"a": {}}, "callers": {"a": 0}, "port": 20256}


def planned() -> dict[str, Any]:
    """Two hosts that are told of one cluster, and one beyond it."""
    cluster = copy.deepcopy(CLUSTER)
    hosts: dict[str, Any] = {
        name: {
            "pending": ["node"],
            "node": {"sysctls": {"a": "1"}, "record": {"node": name, "cluster": cluster}},
            "pods": {"pods": [{"netns": "default_web"}], "programs": {"kubelet": "text"}},
            "verify": copy.deepcopy(VERIFY),
        }
        for name in "ab"
    }
    return {"hosts": {**hosts, "outside": {"pending": []}}, "verify": {"expect": {}}, "notes": ["one"], "moving": False}


def test_rows_come_back_as_the_planner_has_made_them():
    closed = parcels.closed(planned())["hosts"]
    assert {name: parcels.opened_rows(rows) for name, rows in closed.items()} == planned()["hosts"]


def test_what_grows_with_the_pods_is_text():
    closed = parcels.closed(planned())
    row = closed["hosts"]["a"]
    assert row["node"]["record"] == {"node": "a"}
    assert json.loads(row["node"]["cluster"]) == CLUSTER
    assert row["pods"] == {"pods": '[{"netns":"default_web"}]', "programs": {"kubelet": "text"}}
    assert row["verify"] == {"ends": '[{"name":"a"}]', "asks": '{"a":{}}', "callers": '{"a":0}', "port": 20256}
    assert parcels.opened(closed["verify"]) == {"expect": {}}
    assert (closed["notes"], closed["moving"]) == (["one"], False)


def test_all_hosts_are_told_of_the_cluster_in_one_and_the_same_text():
    hosts = parcels.closed(planned())["hosts"]
    assert hosts["a"]["node"]["cluster"] is hosts["b"]["node"]["cluster"]


def test_the_planners_rows_stay_as_they_are():
    plan = planned()
    parcels.closed(plan)
    assert plan == planned()


def test_a_host_that_was_not_read_has_no_observation():
    assert parcels.opened(None) is None
    assert parcels.opened('{"record":null}') == {"record": None}

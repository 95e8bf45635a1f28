"""How what is long gets to the hosts and back."""

from __future__ import annotations

import copy
import json
from typing import Any

from podlab.changes.kube_proxy import record as kube_record
from podlab.changes.pods.configs import complete
from podlab.controller import signature, transport

CLUSTER: dict[str, Any] = {
    "pods": {"default/web": ["a", "10.1.1.2"]},
    **{"services": {"default/web": {"clusterIP": "10.96.0.10"}}, "slices": {}, "endpoints": {}},
}
VERIFY = {"ends": [{"name": "a"}], "asks": {"a": {}}, "callers": {"a": 0}, "port": 20256}
SERVICES = {"asks": [{"id": 0, "netns": None}], "watched": [["10.96.0.10", 80]], "endpoints": [], "deadline": 20}
PORTS = [{"service": "default/web", "endpoints": [{"address": "10.1.1.2"}]}]


def pod(*names: str) -> Any:
    """With a container of each name."""
    return complete(
        {"name": "web", "address": "10.1.1.2/24", "containers": [{"name": n, "command": ["x"]} for n in names]}
    )


def planned(*pending: str) -> dict[str, Any]:
    """Two hosts that are told of one cluster and share the ports, and one beyond it."""
    cluster, ports = copy.deepcopy(CLUSTER), copy.deepcopy(PORTS)
    hosts: dict[str, Any] = {
        name: {
            "pending": list(pending),
            "node": {"sysctls": {"a": "1"}, "record": {"version": 2, "node": name, "cluster": cluster}},
            "pods": {"pods": [pod("web")], "programs": {"kubelet": "text"}},
            "services": {"node": name, "ports": ports},
            "verify": copy.deepcopy(VERIFY),
            "verify_services": copy.deepcopy(SERVICES),
        }
        for name in "ab"
    }
    return {
        "hosts": {**hosts, "outside": {"pending": []}},
        "verify": {"expect": {}},
        "notes": ["one"],
        "pods_changed": False,
    }


def test_rows_come_back_as_the_planner_has_made_them():
    closed = transport.encode(planned(), whole=True)["hosts"]
    assert {name: transport.opened_rows(rows) for name, rows in closed.items()} == planned()["hosts"]


def test_what_grows_with_pods_and_services_is_text():
    closed = transport.encode(planned("node", "pods"))
    row = closed["hosts"]["a"]
    assert row["node"]["record"] == {"version": 2, "node": "a"}
    assert json.loads(row["node"]["cluster"])["cluster"]["pods"] == CLUSTER["pods"]
    assert [item["name"] for item in json.loads(row["pods"].pop("pods"))] == ["web"]
    assert row["pods"] == {"programs": {"kubelet": "text"}}
    assert row["verify"] == {"ends": '[{"name":"a"}]', "asks": '{"a":{}}', "callers": '{"a":0}', "port": 20256}
    assert row["verify_services"] == {
        "asks": '[{"id":0,"netns":null}]',
        "watched": '[["10.96.0.10",80]]',
        "endpoints": "[]",
        "deadline": 20,
    }
    assert transport.decode(closed["verify"]) == {"expect": {}}
    assert (closed["notes"], closed["pods_changed"]) == (["one"], False)


def test_all_hosts_get_one_and_the_same_text_and_the_planners_rows_stay_as_they_are():
    plan = planned("node")
    hosts = transport.encode(plan)["hosts"]
    assert hosts["a"]["node"]["cluster"] == hosts["b"]["node"]["cluster"]
    assert plan == planned("node")


def test_a_record_comes_back_as_it_went():
    told = json.loads(transport.encode(planned("node"))["hosts"]["a"]["node"]["cluster"])["cluster"]
    assert isinstance(told["services"], str)
    observation = json.dumps({"record": {"version": 2, "node": "a", "cluster": told}, "links": {}})
    assert transport.decode(observation) == {"record": {"version": 2, "node": "a", "cluster": CLUSTER}, "links": {}}
    one, other = (transport.decode(observation)["record"]["cluster"]["services"] for _ in "ab")
    assert one is other


def test_what_a_host_has_made_of_its_record_does_not_count_beside_what_it_was_told():
    told = json.loads(transport.encode(planned("node"))["hosts"]["a"]["node"]["cluster"])["cluster"]
    forged = {**told, "generation": 10**9, "pods": {"default/web": ["c", "10.1.9.9"]}}
    texts = [
        json.dumps({"record": {"version": 2, "node": name, "cluster": kept}})
        for name, kept in (("c", forged), ("a", told))
    ]
    liar, sound = transport.all_opened([*texts])
    assert liar == {"record": {"version": 2, "node": "c"}}
    assert sound == {"record": {"version": 2, "node": "a", "cluster": CLUSTER}}
    assert (
        "cluster" in transport.decode(texts[0])["record"]
    )  # as after another controller's run: there is no other word


def test_a_record_that_cannot_be_signed_anew_is_nobodys():
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]
    assert not signature.is_ours("cluster", {"pods": deep, "signature": "x"})
    assert not signature.is_ours("cluster", {"pods": {}, "signature": "\udc80"})
    assert not signature.is_ours("cluster", {"pods": {}, "signature": None})


def test_a_host_without_record_is_opened_too():
    assert transport.decode(None) is None
    assert transport.decode('{"record":null}') == {"record": None}
    assert transport.decode('{"record":{"cluster":{}}}') == {"record": {"cluster": {}}}


def test_a_row_is_what_the_module_unpacks():
    found = transport.encode(planned("services"))["hosts"]["a"]["services"]
    row, digest = kube_record.unpack(found)
    assert row == {"node": "a", "ports": PORTS}
    assert digest == kube_record.unpack(kube_record.pack(row))[1]


def test_the_row_of_a_component_without_work_stays_behind():
    rows = transport.encode(planned("pods"))["hosts"]["a"]
    assert (rows["node"], rows["services"]) == ({}, {})
    assert [item["name"] for item in json.loads(rows["pods"]["pods"])] == ["web"]
    assert rows["verify"]["ends"] == '[{"name":"a"}]', "which is no component"


def test_containers_keep_their_order():
    plan = planned()
    plan["hosts"]["a"]["pods"]["pods"] = [pod("web", "debug")]
    row = transport.opened_rows(transport.encode(plan, whole=True)["hosts"]["a"])
    assert list(row["pods"]["pods"][0]["containers"]) == ["web", "debug"]

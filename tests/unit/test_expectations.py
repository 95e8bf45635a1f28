"""Who must reach whom with which source address, what each host asks, and what is said of the answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Container, Pod, PodTemplate
from podlab.planner.verify import expectations, pod_report

READ = {"links": {}}
HOSTS = [
    Host("node1", "node", "10.100.0.2", observation=READ),
    Host("node2", "node", "10.100.0.3", observation=READ),
    Host("gateway", "gateway", "10.100.0.1", observation=READ),
    Host("outside", "outside", "198.51.100.10"),
]
CIDRS = {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}
SLEEP = PodTemplate((Container("main", "busybox", ("sleep", "9")),))
A, B = (Pod("default", name, SLEEP, "a.yml:1") for name in "ab")
PLACED = {"default/a": "node1", "default/b": "node2"}
ADDRESSES = {"default/a": "10.1.1.2", "default/b": "10.1.2.2"}


def matrix(hosts=HOSTS, pods=(A, B), placed=PLACED, addresses=ADDRESSES, **settings):
    return expectations.matrix(Cluster(**settings), hosts, CIDRS, pods, placed, addresses)


def test_every_source_address_of_the_sample():
    assert matrix()["expect"] == {
        "default/a": {
            "default/a": "10.1.1.2",
            "default/b": "10.1.1.2",
            "node1": "10.1.1.2",
            "node2": "10.1.1.2",
            "outside": "10.100.0.2",
        },
        "default/b": {
            "default/a": "10.1.2.2",
            "default/b": "10.1.2.2",
            "node1": "10.1.2.2",
            "node2": "10.1.2.2",
            "outside": "10.100.0.3",
        },
        "node1": {"default/a": "10.1.1.1", "default/b": "10.100.0.2"},
        "node2": {"default/a": "10.100.0.3", "default/b": "10.1.2.1"},
    }


@pytest.mark.parametrize(
    ("cidrs", "node1", "node2", "outside"),
    [
        pytest.param((), "10.1.1.2", "10.100.0.2", "10.100.0.2", id="only what stays on the node is kept"),
        pytest.param(("10.100.0.3/32",), "10.1.1.2", "10.1.1.2", "10.100.0.2", id="one host"),
        pytest.param(("0.0.0.0/0",), "10.1.1.2", "10.1.1.2", "10.1.1.2", id="nothing is translated"),
    ],
)
def test_the_networks_that_see_a_pods_address_are_a_setting(cidrs, node1, node2, outside):
    row = matrix(non_masquerade_cidrs=cidrs)["expect"]["default/a"]
    assert (row["node1"], row["node2"], row["outside"]) == (node1, node2, outside)
    assert row["default/b"] == "10.1.1.2"


def test_the_ends_are_pods_nodes_and_who_is_beyond_but_no_gateway():
    found = matrix(verify_port=4000)
    assert [(end["name"], end["kind"], end["host"], end["netns"], end["address"]) for end in found["ends"]] == [
        ("default/a", "pod", "node1", "default_a", "10.1.1.2"),
        ("default/b", "pod", "node2", "default_b", "10.1.2.2"),
        ("node1", "node", "node1", None, "10.100.0.2"),
        ("node2", "node", "node2", None, "10.100.0.3"),
        ("outside", "outside", "outside", None, "198.51.100.10"),
    ]
    assert (found["port"], found["pods"], found["sampled"]) == (4000, 2, 2)


@pytest.mark.parametrize(
    "away",
    [
        pytest.param(Host("node2", "node", "10.100.0.3"), id="does not answer"),
        pytest.param(Host("node2", "node", "10.100.0.3", observation=READ, in_run=False), id="not in this run"),
    ],
)
def test_a_node_that_is_away_is_no_end_and_neither_are_its_pods(away):
    found = matrix([HOSTS[0], away, *HOSTS[2:]])
    assert [end["name"] for end in found["ends"]] == ["default/a", "node1", "outside"]
    assert found["expect"]["default/a"] == {
        "default/a": "10.1.1.2",
        "node1": "10.1.1.2",
        "outside": "10.100.0.2",
    }


def test_a_pod_without_node_or_address_is_no_end():
    assert len(matrix(placed={"default/a": "node1"})["ends"]) == 4
    assert len(matrix(addresses={"default/a": None, "default/b": "10.1.2.2"})["ends"]) == 4


def test_above_fifty_pods_there_is_a_sample_the_same_on_every_run():
    pods = [Pod("default", f"p{index}", SLEEP, "a.yml:1") for index in range(120)]
    many = {
        "pods": pods,
        "placed": {pod.key: "node1" for pod in pods},
        "addresses": {pod.key: f"10.1.1.{index + 2}" for index, pod in enumerate(pods)},
    }
    found = matrix(**many)
    assert (found["pods"], found["sampled"]) == (120, 50)
    assert sum(end["kind"] == "pod" for end in found["ends"]) == 50
    assert matrix(**many) == found


def test_each_host_asks_for_its_own_ends_and_knows_who_will_call():
    rows = expectations.probes(matrix(), [host.name for host in HOSTS])
    node1 = rows["node1"]
    assert [end["name"] for end in node1["ends"]] == ["default/a", "node1"]
    assert node1["asks"] == {
        "default/a": {
            "default/a": "10.1.1.2",
            "default/b": "10.1.2.2",
            "node1": "10.100.0.2",
            "node2": "10.100.0.3",
            "outside": "198.51.100.10",
        },
        "node1": {"default/a": "10.1.1.2", "default/b": "10.1.2.2"},
    }
    assert node1["callers"] == {"default/a": 4, "node1": 2}
    assert rows["outside"]["callers"] == {"outside": 2}
    assert rows["outside"]["asks"] == {"outside": {}}
    assert (rows["gateway"]["ends"], rows["gateway"]["asks"]) == ([], {})


def test_all_questions_are_expected_somewhere():
    """A listener ends when everybody called: too few would end it early, too many would make it wait."""
    rows = expectations.probes(matrix(), [host.name for host in HOSTS])
    asked = sum(len(targets) for row in rows.values() for targets in row["asks"].values())
    assert asked == sum(sum(row["callers"].values()) for row in rows.values()) == 14


def test_a_run_over_many_hosts_gets_more_time():
    hosts = [Host(f"node{index}", "node", f"10.100.1.{index}", observation=READ) for index in range(1, 101)]
    cidrs = {host.name: f"10.1.{index}.0/24" for index, host in enumerate(hosts)}
    found = expectations.matrix(Cluster(), hosts, cidrs, [], {}, {})
    assert expectations.probes(found, cidrs)["node1"]["deadline"] == 10 + 50
    assert expectations.probes(found, cidrs, far=True)["node1"]["deadline"] == 30 + 50, "the last one may begin late"


# --- the verdict


def answers(**wrong):
    """What every end has to see, but for the cells given as ``source__target``."""
    found = {
        source: {target: {"seen": address} for target, address in row.items()}
        for source, row in matrix()["expect"].items()
    }
    for cell, answer in wrong.items():
        source, target = (f"default/{name}" if len(name) == 1 else name for name in cell.split("__"))
        found[source][target] = answer
    return found


def test_answers_as_planned_make_no_difference():
    assert pod_report.differences(matrix(), answers()) == []


def test_a_difference_names_both_ends_what_was_expected_and_what_was_got():
    found = answers(
        a__b={"seen": "10.100.0.2"}, a__outside={"error": "timed out"}, node2__a={"error": "no route to host"}
    )
    assert pod_report.differences(matrix(), found) == [
        "pod default/a (10.1.1.2 on node1) -> pod default/b (10.1.2.2 on node2): "
        "expected source 10.1.1.2, got source 10.100.0.2",
        "pod default/a (10.1.1.2 on node1) -> outside outside (198.51.100.10): "
        "expected source 10.100.0.2, got timed out",
        "node node2 (10.100.0.3) -> pod default/a (10.1.1.2 on node1): "
        "expected source 10.100.0.3, got no route to host",
    ]


def test_an_end_where_nobody_can_listen_is_named_once():
    found = answers(node2__a={"error": "timed out"}, b__a={"error": "timed out"}, a__b={"error": "timed out"})
    assert pod_report.differences(
        matrix(verify_port=4000), found, {"default/a": "address already in use", "gone": "x"}
    ) == [
        "pod default/a (10.1.1.2 on node1): port 4000 is in use there (address already in use), so calls to it prove "
        "nothing: end what listens there, or set another podlab_verify_port",
        "pod default/a (10.1.1.2 on node1) -> pod default/b (10.1.2.2 on node2): expected source 10.1.1.2, got timed out",
    ]


def test_a_host_that_did_not_answer_at_all_is_a_difference_in_each_cell():
    found = answers()
    del found["node1"]
    assert pod_report.differences(matrix(), found) == [
        "node node1 (10.100.0.2) -> pod default/a (10.1.1.2 on node1): "
        "expected source 10.1.1.1, got no answer from the host",
        "node node1 (10.100.0.2) -> pod default/b (10.1.2.2 on node2): "
        "expected source 10.100.0.2, got no answer from the host",
    ]


def test_the_table_shows_every_cell():
    found = answers(a__b={"seen": "10.100.0.2"}, node2__a={"error": "timed out"})
    assert pod_report.table(matrix(), found).splitlines() == [
        "                                        1  2  3  4  5",
        " 1 default/a  10.1.1.2       node1     ok NO ok ok ok",
        " 2 default/b  10.1.2.2       node2     ok ok ok ok ok",
        " 3 node1      10.100.0.2     node1     ok ok  .  .  .",
        " 4 node2      10.100.0.3     node2     NO ok  .  .  .",
        " 5 outside    198.51.100.10  outside    .  .  .  .  .",
    ]


def test_a_table_of_nobody():
    assert pod_report.table({"ends": [], "expect": {}}, {}) == ""


@pytest.fixture
def plugin():
    path = Path(__file__).resolve().parents[2] / "action_plugins" / "podlab_verify_report.py"
    spec = importlib.util.spec_from_file_location("podlab_verify_report_plugin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_without_changes_says_that_nothing_was_checked(plugin):
    bare, whole = {"pending": ["node", "bridge", "pods"]}, {"pending": []}
    said = plugin.unchecked({"node1": bare, "node2": whole, "gateway": bare, "outside": {}}, ["node1", "node2"])
    assert said == "nothing was checked: node1 can carry no pods yet\n"
    assert plugin.unchecked({"node1": whole}, ["node1"]) == "nothing was checked: check mode calls nobody\n"
    assert plugin.unchecked({}, ["node1"]) == "nothing was checked: check mode calls nobody\n"


def test_of_a_host_that_was_lost_nothing_is_expected():
    ends = [{"name": name, "kind": "node", "host": name, "address": "10.0.0.1"} for name in ("node1", "node2", "node3")]
    expect = {one: {other: "10.0.0.1" for other in ("node1", "node2", "node3")} for one in ("node1", "node2")}
    left = pod_report.without({"ends": ends, "expect": expect}, {"node2"})
    assert left["expect"] == {"node1": {"node1": "10.0.0.1", "node3": "10.0.0.1"}, "node2": {}}
    assert pod_report.table(left, {"node1": {"node1": {"seen": "10.0.0.1"}}}).splitlines()[1:] == [
        " 1 node1  10.0.0.1  node1   ok  ? NO",
        " 2 node2  10.0.0.1  node2    ?  ?  ?",
        " 3 node3  10.0.0.1  node3    .  .  .",
    ]
    alone = pod_report.without({"ends": ends, "expect": expect}, {"gateway"}, parted=True)
    assert alone["expect"] == {"node1": {"node1": "10.0.0.1"}, "node2": {"node2": "10.0.0.1"}}

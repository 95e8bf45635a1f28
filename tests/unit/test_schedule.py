"""Which pod runs on which node."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.planner.cluster import Host
from podlab.planner.model import Container, Invalid, Pod, PodTemplate
from podlab.planner.schedule import place

ARGV = (Container("main", "busybox", ("sleep", "9")),)


def node(name: str, *, seen: bool = True, in_run: bool = True, **labels: str) -> Host:
    address = f"10.100.0.{int(name.strip('node')) + 1}"
    return Host(name, "node", address, labels, {} if seen else None, in_run)


def pod(name: str, owner: str | None = None, **wishes) -> Pod:
    owner = owner and f"default/Deployment/{owner}"
    return Pod("default", name, PodTemplate(ARGV, **wishes), f"{name}.yml:1", owner)


def replicas(owner: str, count: int, **wishes) -> list[Pod]:
    return [pod(f"{owner}-{index}", owner, **wishes) for index in range(count)]


def nodes_of(pods, nodes, room=100, present=()) -> list[str | None]:
    placement = place(pods, nodes, {one.name: room for one in nodes}, dict(present))
    return [placement.nodes.get(one.key) for one in pods]


def problems_of(pods, nodes, room=100, present=()) -> list[str]:
    with pytest.raises(Invalid) as caught:
        nodes_of(pods, nodes, room, present)
    return caught.value.problems


ONE, TWO, THREE = node("node1", disk="ssd"), node("node2"), node("node3", disk="ssd")
ALL = [ONE, TWO, THREE]


def test_replicas_are_spread_from_the_first_node_on():
    assert nodes_of(replicas("web", 5), ALL) == ["node1", "node2", "node3", "node1", "node2"]


def test_the_next_owner_starts_on_the_emptiest_node():
    pods = [*replicas("web", 4), *replicas("api", 2), pod("single")]
    assert nodes_of(pods, ALL) == ["node1", "node2", "node3", "node1", "node2", "node3", "node1"]


def test_a_new_replica_goes_where_the_fewest_siblings_are_even_if_others_are_many_there():
    pods = [*[pod(f"other{index}") for index in range(3)], *replicas("web", 2)]
    present = {f"default/other{index}": "node2" for index in range(3)} | {"default/web-0": "node1"}
    assert nodes_of(pods, [ONE, TWO], present=present.items()) == ["node2", "node2", "node2", "node1", "node2"]


def test_where_all_nodes_have_siblings_the_fewest_count():
    present = {"default/web-0": "node2", "default/web-1": "node2", "default/web-2": "node1"}
    assert nodes_of(replicas("web", 5), [ONE, TWO], present=present.items())[3:] == ["node1", "node1"]


def test_who_runs_stays_even_where_it_is_crowded():
    present = {f"default/web-{index}": "node3" for index in range(3)}
    assert nodes_of(replicas("web", 5), ALL, present=present.items()) == ["node3", "node3", "node3", "node1", "node2"]


def test_who_runs_where_it_may_not_be_any_more_moves():
    moved = [pod("a", node_name="node2"), pod("b", node_selector={"disk": "ssd"}), pod("c")]
    present = {"default/a": "node1", "default/b": "node2", "default/c": "gone"}
    assert nodes_of(moved, ALL, present=present.items()) == ["node2", "node1", "node3"]


def test_a_selector_by_the_labels_of_the_inventory_and_those_of_the_kubelet():
    assert nodes_of(replicas("web", 3, node_selector={"disk": "ssd"}), ALL) == ["node1", "node3", "node1"]
    assert nodes_of([pod("a", node_selector={"kubernetes.io/hostname": "node2"})], ALL) == ["node2"]


def test_who_names_a_node_is_not_asked_for_its_selector():
    assert nodes_of([pod("a", node_name="node2", node_selector={"disk": "ssd"})], ALL) == ["node2"]


def test_a_full_node_is_passed_over():
    pods = [pod("big", node_name="node1"), *replicas("web", 3)]
    assert nodes_of(pods, [ONE, TWO], room=2) == ["node1", "node2", "node1", "node2"]


def test_pods_with_different_wishes_see_each_other():
    pods = [
        *replicas("web", 2, node_selector={"disk": "ssd"}),
        *replicas("api", 3),
        *replicas("log", 2, node_selector={"disk": "ssd"}),
    ]
    assert nodes_of(pods, ALL) == ["node1", "node3", "node2", "node1", "node3", "node1", "node3"]


@pytest.mark.parametrize(
    "away", [node("node2", seen=False), node("node2", in_run=False), node("node2", seen=False, in_run=False)]
)
def test_a_node_that_is_away_keeps_its_pods_and_gets_none(away):
    assert nodes_of(replicas("web", 4), [ONE, away], present=[("default/web-0", "node2")]) == [
        *("node2", "node1", "node1", "node1"),
    ]


def test_a_pod_waits_for_the_node_that_could_take_it():
    away = node("node2", seen=False, disk="nvme")
    pods = [pod("a", node_name="node2"), pod("b", node_selector={"disk": "nvme"}), *replicas("web", 3)]
    placement = place(pods, [ONE, away], {"node1": 2, "node2": 2}, {})
    assert placement.nodes == {"default/web-0": "node1", "default/web-1": "node1"}
    assert placement.waiting == ["default/a", "default/b", "default/web-2"]


def test_what_cannot_be_scheduled_is_said_in_the_schedulers_words_each_owner_once():
    pods = [
        *replicas("web", 4, node_selector={"disk": "ssd", "zone": "b"}),
        pod("a", node_name="node9"),
        *replicas("api", 2, node_name="node9"),
        *replicas("log", 7),
    ]
    assert problems_of(pods, [ONE, TWO], room=2) == [
        'web-0.yml:1: The Pod "web-0" cannot be scheduled: 0/2 nodes are available: '
        "2 node(s) didn't match Pod's node affinity/selector. "
        "(spec.nodeSelector disk=ssd,zone=b; labels are set with node_labels in the inventory)",
        'a.yml:1: The Pod "a" is invalid: spec.nodeName: Invalid value: "node9": no such node; '
        "the inventory has node1, node2",
        'api-0.yml:1: The Pod "api-0" is invalid: spec.nodeName: Invalid value: "node9": no such node; '
        "the inventory has node1, node2",
        'log-4.yml:1: The Pod "log-4" cannot be scheduled: 0/2 nodes are available: '
        "2 node(s) had no IP addresses available in range set.",
    ]


def test_every_reason_is_counted():
    full = [pod("one", node_name="node1"), pod("a", node_selector={"disk": "ssd"})]
    assert problems_of(full, [ONE, TWO], room=1) == [
        "a.yml:1: The Pod \"a\" cannot be scheduled: 0/2 nodes are available: 1 node(s) didn't match Pod's node "
        "affinity/selector, 1 node(s) had no IP addresses available in range set. "
        "(spec.nodeSelector disk=ssd; labels are set with node_labels in the inventory)"
    ]
    assert problems_of([pod("one", node_name="node1"), pod("b", node_name="node1")], [ONE, TWO], room=1) == [
        'b.yml:1: The Pod "b" cannot be scheduled: 0/2 nodes are available: 1 node(s) didn\'t match the requested '
        "node name, 1 node(s) had no IP addresses available in range set."
    ]


wishes = st.one_of(
    st.just({}),
    st.builds(lambda name: {"node_name": name}, st.sampled_from(["node1", "node3"])),
    st.just({"node_selector": {"disk": "ssd"}}),
)
owners = st.lists(st.tuples(st.integers(1, 6), wishes), max_size=6)
places = st.lists(st.sampled_from(["node1", "node2", "node3", "gone"]), max_size=12)


def by_hand(pods, nodes, room, present):
    """The rule word for word, looking at every node for every pod."""
    homes: dict[str, str] = {}

    def fits(one, home):
        if one.template.node_name:
            return one.template.node_name == home.name
        return all(home.all_labels().get(key) == value for key, value in one.template.node_selector.items())

    for one in pods:
        for home in nodes:
            if present.get(one.key) == home.name and fits(one, home):
                homes[one.key] = home.name
    for one in pods:
        if one.key in homes:
            continue
        total = Counter(homes.values())
        siblings = Counter(homes[other.key] for other in pods if other.owner == one.owner and other.key in homes)
        free = [home for home in nodes if home.is_managed and fits(one, home) and total[home.name] < room]
        best = min(free, key=lambda home: (siblings[home.name], total[home.name]), default=None)
        if best is not None:
            homes[one.key] = best.name
    return homes


@settings(deadline=None, max_examples=200)
@given(owners, places, st.sampled_from([None, "node1", "node2"]), st.integers(1, 20))
def test_the_queues_choose_what_the_rule_says(owners, places, away, room):
    pods = [one for index, (count, wish) in enumerate(owners) for one in replicas(f"o{index}", count, **wish)]
    present = dict(zip((one.key for one in pods[::2]), places, strict=False))
    nodes = [node(one.name, seen=one.name != away, **one.labels) for one in ALL]
    expected = by_hand(pods, nodes, room, present)
    try:
        placement = place(pods, nodes, {one.name: room for one in nodes}, present)
    except Invalid:
        assert len(expected) < len(pods)
        return
    assert placement.nodes == expected
    assert sorted(placement.waiting) == sorted({one.key for one in pods} - expected.keys())

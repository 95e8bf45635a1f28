"""Which pod runs on which node."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.planner.inputs.host import Host
from podlab.planner.model import Container, Invalid, Pod, PodTemplate, Port
from podlab.planner.scheduler.model import AntiAffinity, Selector, Spread, Toleration
from podlab.planner.scheduler.schedule import place

ARGV = (Container("main", "busybox", ("sleep", "9")),)


def node(name: str, *, seen: bool = True, in_run: bool = True, **labels: str) -> Host:
    address = f"10.100.0.{int(name.strip('node')) + 1}"
    return Host(name, "node", address, labels, {} if seen else None, in_run)


def pod(name: str, owner: str | None = None, **fields) -> Pod:
    owner = owner and f"default/Deployment/{owner}"
    return Pod("default", name, PodTemplate(ARGV, **fields), f"{name}.yml:1", owner)


def replicas(owner: str, count: int, **fields) -> list[Pod]:
    return [pod(f"{owner}-{index}", owner, **fields) for index in range(count)]


def nodes_of(pods, nodes, capacity=100, present=()) -> list[str | None]:
    placement = place(pods, nodes, {one.name: capacity for one in nodes}, dict(present))
    return [placement.nodes.get(one.key) for one in pods]


def problems_of(pods, nodes, capacity=100, present=()) -> list[str]:
    with pytest.raises(Invalid) as caught:
        nodes_of(pods, nodes, capacity, present)
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
    assert nodes_of(pods, [ONE, TWO], capacity=2) == ["node1", "node2", "node1", "node2"]


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
    assert problems_of(pods, [ONE, TWO], capacity=2) == [
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
    assert problems_of(full, [ONE, TWO], capacity=1) == [
        "a.yml:1: The Pod \"a\" cannot be scheduled: 0/2 nodes are available: 1 node(s) didn't match Pod's node "
        "affinity/selector, 1 node(s) had no IP addresses available in range set. "
        "(spec.nodeSelector disk=ssd; labels are set with node_labels in the inventory)"
    ]
    assert problems_of([pod("one", node_name="node1"), pod("b", node_name="node1")], [ONE, TWO], capacity=1) == [
        'b.yml:1: The Pod "b" cannot be scheduled: 0/2 nodes are available: 1 node(s) didn\'t match the requested '
        "node name, 1 node(s) had no IP addresses available in range set."
    ]


constraints = st.one_of(
    st.just({}),
    st.builds(lambda name: {"node_name": name}, st.sampled_from(["node1", "node3"])),
    st.just({"node_selector": {"disk": "ssd"}}),
)
owners = st.lists(st.tuples(st.integers(1, 6), constraints), max_size=6)
places = st.lists(st.sampled_from(["node1", "node2", "node3", "gone"]), max_size=12)


def by_hand(pods, nodes, capacity, present):
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
        free = [home for home in nodes if home.is_managed and fits(one, home) and total[home.name] < capacity]
        best = min(free, key=lambda home: (siblings[home.name], total[home.name]), default=None)
        if best is not None:
            homes[one.key] = best.name
    return homes


@settings(deadline=None, max_examples=200)
@given(owners, places, st.sampled_from([None, "node1", "node2"]), st.integers(1, 20))
def test_the_queues_choose_what_the_rule_says(owners, places, away, capacity):
    pods = [one for index, (count, wish) in enumerate(owners) for one in replicas(f"o{index}", count, **wish)]
    present = dict(zip((one.key for one in pods[::2]), places, strict=False))
    nodes = [node(one.name, seen=one.name != away, **one.labels) for one in ALL]
    expected = by_hand(pods, nodes, capacity, present)
    try:
        placement = place(pods, nodes, {one.name: capacity for one in nodes}, present)
    except Invalid:
        assert len(expected) < len(pods)
        return
    assert placement.nodes == expected
    assert sorted(placement.waiting) == sorted({one.key for one in pods} - expected.keys())


# --- taints ---------------------------------------------------------------------------------------------


GPU = ("gpu", "yes", "NoSchedule")


def tainted(name: str, *taints: tuple[str, str, str]) -> Host:
    return replace(node(name), taints=taints)


@pytest.mark.parametrize(
    ("toleration", "goes"),
    [
        (Toleration("gpu", "Equal", "yes", "NoSchedule"), True),
        (Toleration("gpu", "Exists"), True),
        (Toleration("", "Exists"), True),
        (Toleration("gpu", "Equal", "yes"), True),
        (Toleration("gpu", "Equal", "no"), False),
        (Toleration("gpu", "Exists", "", "NoExecute"), False),
        (Toleration("cpu", "Exists"), False),
    ],
)
def test_a_pod_goes_to_a_tainted_node_if_it_tolerates_that(toleration, goes):
    assert place_of(pod("a", tolerations=(toleration,)), [tainted("node1", GPU)]) == ("node1" if goes else None)


def place_of(one: Pod, nodes: list[Host], present=()) -> str | None:
    try:
        return nodes_of([one], nodes, present=present)[0]
    except Invalid:
        return None


def test_a_taint_keeps_new_pods_away_and_one_that_executes_the_others_too():
    nodes = [tainted("node1", GPU), tainted("node2", ("gone", "", "NoExecute")), THREE]
    present = {"default/web-0": "node1", "default/web-1": "node2"}
    assert nodes_of(replicas("web", 3), nodes, present=present.items()) == ["node1", "node3", "node3"]


def test_who_names_a_node_is_asked_for_no_taint_but_that_which_executes():
    assert place_of(pod("a", node_name="node1"), [tainted("node1", GPU)]) == "node1"
    assert place_of(pod("a", node_name="node1"), [tainted("node1", ("gpu", "", "NoExecute"))]) is None


def test_a_node_that_would_rather_have_nobody_is_the_last():
    nodes = [tainted("node1", ("old", "", "PreferNoSchedule")), TWO]
    assert nodes_of(replicas("web", 3), nodes, capacity=2) == ["node2", "node2", "node1"]
    bears = (Toleration("old", "Exists"),)
    assert nodes_of(replicas("web", 2, tolerations=bears), nodes) == ["node1", "node2"]


def test_tolerations_are_no_part_of_a_queue_for_others():
    nodes = [tainted("node1", GPU), TWO]
    bears = (Toleration("gpu", "Exists"),)
    pods = [*replicas("web", 2, tolerations=bears), *replicas("api", 2)]
    assert nodes_of(pods, nodes) == ["node1", "node2", "node2", "node2"]


def test_untolerated_taints_are_said_each_with_its_value_and_what_to_do():
    nodes = [tainted("node1", GPU), tainted("node2", ("gone", "", "NoExecute"), GPU), node("node3")]
    assert problems_of([pod("a", node_selector={"disk": "ssd"}), pod("b")], nodes[:2]) == [
        'a.yml:1: The Pod "a" cannot be scheduled: 0/2 nodes are available: 1 node(s) had untolerated taint {gone: }, '
        "1 node(s) had untolerated taint {gpu: yes}. "
        "(spec.nodeSelector disk=ssd; labels are set with node_labels in the inventory) "
        "(spec.tolerations lets a pod bear a taint; taints are set with node_taints in the inventory)",
        'b.yml:1: The Pod "b" cannot be scheduled: 0/2 nodes are available: 1 node(s) had untolerated taint {gone: }, '
        "1 node(s) had untolerated taint {gpu: yes}. "
        "(spec.tolerations lets a pod bear a taint; taints are set with node_taints in the inventory)",
    ]
    assert place_of(pod("b"), nodes) == "node3"


# --- host ports -----------------------------------------------------------------------------------------


def port(number: int, host_ip: str = "", protocol: str = "TCP") -> Port:
    return Port(80, protocol, host_port=number, host_ip=host_ip)


def serving(name: str, *ports: Port, owner: str | None = None, **fields) -> Pod:
    made = pod(name, owner, **fields)
    return replace(made, template=replace(made.template, containers=(replace(ARGV[0], ports=ports),)))


NO_PORTS = "node(s) didn't have free ports for the requested pod ports"


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        (port(8080), port(8080), True),
        (port(8080), port(8081), False),
        (port(8080), port(8080, protocol="UDP"), False),
        (port(8080, "10.0.0.1"), port(8080, "10.0.0.2"), False),
        (port(8080, "10.0.0.1"), port(8080, "10.0.0.1"), True),
        (port(8080, "10.0.0.1"), port(8080), True),
        (port(8080), port(8080, "10.0.0.1"), True),
        (port(8080), port(8080, "0.0.0.0"), True),
        (Port(8080), Port(8080), False),
    ],
)
def test_one_pod_of_a_node_has_a_host_port(first, second, clash):
    pods = [serving("a", first, node_name="node1"), serving("b", second, node_name="node1")]
    if clash:
        assert problems_of(pods, [ONE, TWO]) == [
            f'b.yml:1: The Pod "b" cannot be scheduled: 0/2 nodes are available: 1 {NO_PORTS}, 1 node(s) didn\'t match '
            f"the requested node name. (host ports {second.host_port}/{second.protocol}; one pod of a node can have each)"
        ]
    else:
        assert nodes_of(pods, [ONE, TWO]) == ["node1", "node1"]


def test_a_pod_on_its_nodes_network_has_its_ports_there_and_takes_no_address():
    pods = [serving("a", Port(8080), host_network=True), serving("b", port(8080)), serving("c", Port(8080))]
    assert nodes_of(pods, [ONE, TWO]) == ["node1", "node2", "node1"]
    assert len(problems_of(pods, [ONE])) == 1
    agents = replicas("agent", 2, host_network=True)
    assert nodes_of([*agents, pod("last"), pod("agent", host_network=True)], [ONE], capacity=1) == ["node1"] * 4


def test_ports_of_a_pod_that_is_kept_are_those_of_its_object():
    spec = {"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}
    kept = replace(pod("old", "web"), pinned={"object": {"spec": spec}})
    pods = [serving("new", port(8080), owner="web"), kept]
    assert nodes_of(pods, [ONE, TWO], present=[("default/old", "node1")]) == ["node2", "node1"]
    ended = replace(kept, until="Ended")
    assert nodes_of([pods[0], ended], [ONE], present=[("default/old", "node1")]) == ["node1", "node1"]
    on_node = {"hostNetwork": True, "containers": [{"name": "main", "ports": [{"containerPort": 8080}]}]}
    kept = replace(kept, pinned={"object": {"spec": on_node}, "host_network": True})
    assert len(problems_of([pods[0], kept], [ONE], present=[("default/old", "node1")])) == 1
    assert nodes_of([pod("new"), kept], [ONE], capacity=1, present=[("default/old", "node1")]) == ["node1", "node1"]


def test_a_pod_that_wants_a_port_of_its_neighbour_moves():
    present = {"default/a": "node1", "default/b": "node1"}
    pods = [serving("a", port(8080)), serving("b", port(8080))]
    assert nodes_of(pods, [ONE, TWO], present=present.items()) == ["node1", "node2"]


def test_replicas_without_a_free_port_are_said_once_and_wait_for_a_node_that_is_away():
    pods = [serving(f"web-{index}", port(8080), owner="web") for index in range(4)]
    assert len(problems_of(pods, [ONE, TWO])) == 1
    away = [ONE, TWO, replace(THREE, observation=None)]
    placement = place(pods, away, dict.fromkeys(("node1", "node2", "node3"), 9), {})
    assert placement.waiting == ["default/web-2", "default/web-3"]
    with pytest.raises(Invalid):  # the one that is away has it already
        place(pods, away, dict.fromkeys(("node1", "node2", "node3"), 9), {"default/web-0": "node3"})


# --- spreading ------------------------------------------------------------------------------------------


ZONES = [node("node1", zone="a"), node("node2", zone="a"), node("node3", zone="b"), node("node4")]
WEB = Selector({"app": "web"})


def labelled(name: str, owner: str | None = None, app: str = "web", **fields) -> Pod:
    return pod(name, owner, labels={"app": app}, **fields)


def apps(count: int, **fields) -> list[Pod]:
    return [labelled(f"web-{index}", "web", **fields) for index in range(count)]


def test_zones_are_filled_evenly_whatever_the_nodes_have():
    spread = (Spread("zone", 1, True, WEB),)
    placed = nodes_of(apps(6, spread=spread), ZONES)
    assert placed == ["node1", "node3", "node2", "node3", "node1", "node3"]


def test_a_skew_that_would_be_too_large_is_said():
    present = {f"default/web-{index}": "node3" for index in range(2)}
    spread = (Spread("zone", 1, True, WEB),)
    full = [ZONES[2], replace(ZONES[0], taints=(GPU,)), ZONES[3]]
    problems = problems_of(apps(3, spread=spread), full, present=present.items())
    assert problems == [
        'web-2.yml:1: The Pod "web-2" cannot be scheduled: 0/3 nodes are available: '
        "1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label), 1 node(s) had untolerated taint {gpu: yes}. "
        "(spec.tolerations lets a pod bear a taint; taints are set with node_taints in the inventory) "
        "(spec.topologySpreadConstraints; whenUnsatisfiable ScheduleAnyway makes a wish of it)"
    ]


@pytest.mark.parametrize(
    ("spread", "count"),
    [
        (Spread("zone", 1, True, WEB), 3),  # one in a, which is full then, two in b
        (Spread("zone", 2, True, WEB), 4),
        (Spread("zone", 1, True, WEB, min_domains=3), 2),
        (Spread("zone", 1, True, Selector({"app": "other"})), 9),
    ],
)
def test_how_many_fit_when_one_zone_is_full(spread, count):
    capacity = {"node1": 1, "node2": 0, "node3": 99}
    assert len(place(apps(count, spread=(spread,)), ZONES[:3], capacity, {}).nodes) == count
    if count < 9:
        with pytest.raises(Invalid, match=f'"web-{count}"'):
            place(apps(9, spread=(spread,)), ZONES[:3], capacity, {})


def test_nodes_of_another_selector_are_no_domain():
    spread = (Spread("zone", 1, True, WEB),)
    assert nodes_of(apps(3, spread=spread, node_selector={"zone": "b"}), ZONES) == ["node3"] * 3


def test_pods_of_other_namespaces_and_labels_do_not_count():
    others = [replace(labelled(f"web-{index}"), namespace="other") for index in range(2)]
    more = [labelled(f"api-{index}", app="api") for index in range(2)]
    present = {one.key: "node1" for one in (*others, *more)}
    placed = nodes_of(
        [*others, *more, *apps(2, spread=(Spread("zone", 1, True, WEB),))], ZONES, present=present.items()
    )
    assert placed[4:] == ["node2", "node3"]


def test_a_wish_to_spread_goes_before_the_number_of_pods_and_never_fails():
    pods = [*[pod(f"other{index}") for index in range(3)], *apps(3, spread=(Spread("zone", 1, False, WEB),))]
    present = {f"default/other{index}": "node3" for index in range(3)}
    assert nodes_of(pods, ZONES, present=present.items())[3:] == ["node1", "node3", "node2"]
    assert nodes_of(apps(1, spread=(Spread("rack", 1, False, WEB),)), ZONES) == ["node1"]


def test_ended_pods_are_nobodys_neighbours():
    ended = replace(labelled("done"), pinned={"object": {"spec": {}}}, until="Ended")
    one = labelled("a", anti_affinity=(AntiAffinity(WEB, ("default",)),))
    assert nodes_of([ended, one], [ONE], present=[("default/done", "node1")]) == ["node1", "node1"]


# --- anti-affinity --------------------------------------------------------------------------------------


APART = (AntiAffinity(WEB, ("default",)),)


def test_pods_that_keep_apart_get_a_node_each_and_the_rest_is_said():
    assert nodes_of(apps(3, anti_affinity=APART), ALL) == ["node1", "node2", "node3"]
    assert problems_of(apps(5, anti_affinity=APART), ALL) == [
        'web-3.yml:1: The Pod "web-3" cannot be scheduled: 0/3 nodes are available: '
        "3 node(s) didn't match pod anti-affinity rules. (spec.affinity.podAntiAffinity; it takes one more node, or "
        "preferredDuringSchedulingIgnoredDuringExecution, which is a wish)"
    ]


def test_a_pod_that_is_there_keeps_others_away():
    guard = labelled("guard", app="db", anti_affinity=APART)
    present = [("default/guard", "node1")]
    assert nodes_of([labelled("web"), guard], [ONE, TWO], present=present) == ["node2", "node1"]
    assert (
        "1 node(s) didn't satisfy existing pods anti-affinity rules"
        in problems_of([labelled("web"), guard], [ONE], present=present)[0]
    )
    assert nodes_of([labelled("api", app="api"), guard], [ONE, TWO], present=present) == ["node2", "node1"]
    elsewhere = replace(labelled("web"), namespace="other")
    assert place([elsewhere, guard], [ONE], {"node1": 9}, {"default/guard": "node1"}).nodes == {
        "default/guard": "node1",
        "other/web": "node1",
    }


def test_who_runs_beside_somebody_stays():
    present = {f"default/web-{index}": "node1" for index in range(2)}
    assert nodes_of(apps(2, anti_affinity=APART), ALL, present=present.items()) == ["node1", "node1"]


def test_a_wish_to_keep_apart_goes_by_weight_and_never_fails():
    fields = (AntiAffinity(WEB, ("default",), 10), AntiAffinity(Selector({"app": "db"}), ("default",), 50))
    db = labelled("db", app="db", node_name="node1")
    # Each of them counts twice for the next one, which it dislikes and which dislikes it.
    assert nodes_of([db, *apps(4, anti_affinity=fields)], [ONE, TWO])[1:] == ["node2", "node2", "node2", "node1"]
    one = (AntiAffinity(WEB, ("default",), 1),)
    assert nodes_of(apps(4, anti_affinity=one), [ONE, TWO]) == ["node1", "node2", "node1", "node2"]


def test_expressions_select_neighbours_too():
    named = Selector(expressions=(("app", "In", ("db", "cache")),))
    guard = labelled("db", app="db", node_name="node1")
    other = labelled("b", app="b", node_name="node2")
    one = labelled("a", app="a", anti_affinity=(AntiAffinity(named, ("default",)),))
    assert nodes_of([guard, other, one], [ONE, TWO]) == ["node1", "node2", "node2"]


def test_replicas_of_an_older_template_are_no_siblings():
    """Or new ones would all go where the old ones are fewest, and stay there."""
    old = [replace(pod(f"old-{index}", "web"), pinned={"object": {"spec": {}}}) for index in range(3)]
    present = {"default/old-0": "node1", "default/old-1": "node1", "default/old-2": "node2", "default/web-0": "node3"}
    pods = [*replicas("web", 3), *old]
    assert nodes_of(pods, ALL, present=present.items())[:3] == ["node3", "node2", "node1"]


def test_what_is_kept_and_nowhere_is_gone():
    old = replace(pod("old", "web"), pinned={"object": {"spec": {}}})
    assert nodes_of([old, pod("a")], [ONE], present=[("default/old", "gone")]) == [None, "node1"]


# --- all of it, against the rules word for word ---------------------------------------------------------

labels = st.sampled_from(["web", "db"])
full_scan_fields = st.fixed_dictionaries(
    {},
    optional={
        "spread": st.builds(
            lambda key, skew, hard, app, least: (Spread(key, skew, hard, Selector({"app": app}), least),),
            st.sampled_from(["zone", "kubernetes.io/hostname"]),
            st.integers(1, 2),
            st.booleans(),
            labels,
            st.integers(1, 3),
        ),
        "anti_affinity": st.builds(
            lambda app, weight: (AntiAffinity(Selector({"app": app}), ("default",), weight),),
            labels,
            st.sampled_from([0, 0, 5]),
        ),
        "tolerations": st.just((Toleration("gpu", "Exists"),)),
        "node_selector": st.just({"zone": "a"}),
    },
)


def allowed(one: Pod, home: Host, nodes: list[Host], placed: dict[str, tuple[Pod, str]]) -> bool:
    """Whether kube-scheduler's filters let a pod onto a node."""

    def count(selector: Selector, names: set[str]) -> int:
        return sum(1 for other, name in placed.values() if name in names and selector.matches(other.template.labels))

    template = one.template
    if home.taints and not template.tolerations:
        return False
    if not template.node_selector.items() <= home.labels.items():
        return False
    for other, name in placed.values():
        mine, theirs = template.anti_affinity, other.template.anti_affinity
        if name == home.name and any(t.weight == 0 and t.selector.matches(other.template.labels) for t in mine):
            return False
        if name == home.name and any(t.weight == 0 and t.selector.matches(template.labels) for t in theirs):
            return False
    for wish in template.spread:
        if not wish.hard:
            continue
        if wish.key not in home.all_labels():
            return False
        domains: dict[str, set[str]] = {}
        for each in nodes:
            if wish.key in each.all_labels() and template.node_selector.items() <= each.labels.items():
                domains.setdefault(each.all_labels()[wish.key], set()).add(each.name)
        counts = {value: count(wish.selector, names) for value, names in domains.items()}
        least = min(counts.values()) if len(counts) >= wish.min_domains else 0
        itself = wish.selector.matches(template.labels)
        if counts[home.all_labels()[wish.key]] + itself - least > wish.max_skew:
            return False
    return True


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(1, 4), labels, full_scan_fields), max_size=5))
def test_picky_pods_go_where_the_rules_let_them_and_nowhere_only_if_no_rule_does(owners):
    nodes = [*ZONES[:3], replace(ZONES[3], taints=(GPU,))]
    pods = []
    for index, (count, app, wish) in enumerate(owners):
        template = PodTemplate(ARGV, labels={"app": app}, **wish)
        pods += [
            Pod("default", f"o{index}-{n}", template, "a.yml:1", f"Deployment/default/o{index}") for n in range(count)
        ]
    result, problems = _placed_or_not(pods, nodes)
    placed: dict[str, tuple[Pod, str]] = {}
    stuck: set[str | None] = set()
    for one in pods:
        free = [home.name for home in nodes if allowed(one, home, nodes, placed)]
        if one.owner in stuck:
            continue
        if not free:
            assert any(f'"{one.name}"' in problem for problem in problems)
            stuck.add(one.owner)
            continue
        if problems:
            # Nothing of a plan with a problem is told; follow it with those that came before.
            result, _ = _placed_or_not([other for other in pods if other.key in placed or other is one], nodes)
        assert result[one.key] in free
        placed[one.key] = (one, result[one.key])
    assert bool(stuck) == bool(problems)


def _placed_or_not(pods: list[Pod], nodes: list[Host]) -> tuple[dict[str, str], list[str]]:
    try:
        return place(pods, nodes, {one.name: 99 for one in nodes}, {}).nodes, []
    except Invalid as error:
        return {}, error.problems

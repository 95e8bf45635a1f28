"""The allocators: what one call gives, and what stays true over any history of calls."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.planner.ipam.addresses import capacity, gateway, overlaps, pod_addresses, pod_cidrs, pod_mac
from podlab.planner.model import Invalid

any_history = settings(deadline=None, max_examples=150)


def problems_of(call, *args, **kwargs) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call(*args, **kwargs)
    return caught.value.problems


# Pod CIDRs, by example


def test_the_first_nodes_get_the_cidrs_of_the_picture():
    assert pod_cidrs(["node1", "node2"], "10.1.0.0/16") == {"node1": "10.1.1.0/24", "node2": "10.1.2.0/24"}


def test_the_first_block_is_given_out_last():
    assert pod_cidrs(["a", "b"], "10.1.0.0/23") == {"a": "10.1.1.0/24", "b": "10.1.0.0/24"}


def test_a_cluster_of_exactly_one_block_has_room_for_one_node():
    assert pod_cidrs(["a"], "10.1.7.0/24") == {"a": "10.1.7.0/24"}


def test_the_cidr_of_a_node_that_left_is_free_again():
    present = {"gone": "10.1.1.0/24", "b": "10.1.2.0/24"}
    assert pod_cidrs(["b", "c"], "10.1.0.0/16", present=present) == {"b": "10.1.2.0/24", "c": "10.1.1.0/24"}


def test_a_node_that_left_cannot_spoil_the_plan():
    assert pod_cidrs(["a"], "10.1.0.0/16", present={"gone": "nonsense"}) == {"a": "10.1.1.0/24"}


@pytest.mark.parametrize(
    ("reserved", "first"),
    [
        pytest.param("10.1.1.64/26", "10.1.2.0/24", id="smaller than a block"),
        pytest.param("10.1.0.0/17", "10.1.128.0/24", id="larger than a block"),
        pytest.param("10.1.1.9", "10.1.2.0/24", id="one address, as ip route prints a /32"),
        pytest.param("10.0.0.0/16", "10.1.1.0/24", id="below the cluster"),
        pytest.param("10.2.0.0/16", "10.1.1.0/24", id="above the cluster"),
        pytest.param("0.0.0.0/0", "10.1.1.0/24", id="default route"),
        pytest.param("default", "10.1.1.0/24", id="default route, as ip route prints it"),
    ],
)
def test_a_new_cidr_keeps_clear_of_a_reserved_range(reserved, first):
    assert pod_cidrs(["a"], "10.1.0.0/16", reserved=[reserved]) == {"a": first}


def test_a_present_cidr_beats_a_route_that_came_later():
    present = {"a": "10.1.1.0/24"}
    assert pod_cidrs(["a"], "10.1.0.0/16", reserved=["10.0.0.0/8"], present=present) == present


def test_five_thousand_nodes_between_thousands_of_routes():
    nodes = [f"node{number}" for number in range(5000)]
    reserved = [f"10.{third}.{fourth}.0/26" for third in range(16) for fourth in range(256)]
    given_out = pod_cidrs(nodes, "10.0.0.0/8", reserved=reserved)
    assert given_out["node0"] == "10.16.0.0/24"
    assert given_out["node4999"] == "10.35.135.0/24"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(
            {"cluster_cidr": "10.1/16"},
            'podlab_cluster_cidr: Invalid value: "10.1/16": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
            id="no CIDR",
        ),
        pytest.param(
            {"cluster_cidr": "10.1.0.0"},
            'podlab_cluster_cidr: Invalid value: "10.1.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
            id="no prefix length",
        ),
        pytest.param(
            {"cluster_cidr": "10.0.0.0/255.0.0.0"},
            'podlab_cluster_cidr: Invalid value: "10.0.0.0/255.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
            id="dotted netmask",
        ),
        pytest.param(
            {"cluster_cidr": "10.1.0.5/16"},
            'podlab_cluster_cidr: Invalid value: "10.1.0.5/16": network has host bits set; the network address is 10.1.0.0/16',
            id="host bits",
        ),
        pytest.param(
            {"cluster_cidr": "fd00::/48"},
            'podlab_cluster_cidr: Invalid value: "fd00::/48": IPv6 is not supported, the lab is IPv4',
            id="IPv6",
        ),
        pytest.param(
            {"prefix": 15},
            "prefix: Invalid value: 15: a /15 does not fit into cluster cidr 10.1.0.0/16",
            id="node larger than the cluster",
        ),
        pytest.param(
            {"prefix": 29},
            "prefix: Invalid value: 29: network is too small. Minimum useful network prefix is /28",
            id="node too small",
        ),
        pytest.param({"prefix": "24"}, 'prefix: Invalid value: "24": must be an integer', id="prefix as text"),
        pytest.param({"prefix": True}, 'prefix: Invalid value: "True": must be an integer', id="prefix as bool"),
        pytest.param({"nodes": ["a", "b", "a"]}, 'nodes[2]: Duplicate value: "a"', id="the same node twice"),
        pytest.param({"nodes": "abc"}, 'nodes: Invalid value: "abc": must be a list of names', id="text, no list"),
        pytest.param(
            {"reserved": ["10.9.0.0/16", "eth0"]},
            'reserved[1]: Invalid value: "eth0": must be a valid IP address, (e.g. 10.9.8.7)',
            id="reserved nonsense",
        ),
        pytest.param(
            {"reserved": ["10.9.0.0/33"]},
            'reserved[0]: Invalid value: "10.9.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24)',
            id="reserved bad prefix",
        ),
        pytest.param(
            {"reserved": ["fe80::1"]},
            'reserved[0]: Invalid value: "fe80::1": IPv6 is not supported, the lab is IPv4',
            id="reserved IPv6",
        ),
        pytest.param(
            {"present": {"a": "10.9.1.0/24"}},
            'present[a]: Invalid value: "10.9.1.0/24": cidr 10.9.1.0/24 is out the range of cluster cidr 10.1.0.0/16',
            id="present out of range",
        ),
        pytest.param(
            {"present": {"a": "10.1.1.0/26"}},
            'present[a]: Invalid value: "10.1.1.0/26": a /24 is wanted now; run `./lab down` first',
            id="present of another size",
        ),
        pytest.param(
            {"present": {"a": "10.1.1.0/24", "b": "10.1.1.0/24"}},
            'present[b]: Invalid value: "10.1.1.0/24": b and a have the same pod CIDR',
            id="present twice",
        ),
    ],
)
def test_bad_input_is_refused_by_name(arguments, problem):
    assert problems_of(pod_cidrs, **{"nodes": ["a", "b"], "cluster_cidr": "10.1.0.0/16", **arguments}) == [problem]


def test_everything_wrong_is_said_at_once():
    problems = problems_of(pod_cidrs, ["a", "a"], "10.1.0.5/16", 29, ["x"], {"a": "y"})
    assert [problem.split(":")[0] for problem in problems] == [
        "nodes[1]", "podlab_cluster_cidr", "prefix", "reserved[0]", "present[a]"
    ]  # fmt: skip


def test_too_many_nodes_are_counted_and_named():
    [problem] = problems_of(pod_cidrs, ["a", "b", "c", "d"], "10.1.0.0/23", present={"b": "10.1.0.0/24"})
    assert problem == (
        'podlab_cluster_cidr: Invalid value: "10.1.0.0/23": CIDR allocation failed; '
        "there are no remaining CIDRs left to allocate in the accepted range: "
        "2 of 4 nodes fit, a /24 each; none for c, d"
    )


def test_a_route_over_the_whole_cluster_is_named():
    routes = ["10.1.4.0/24", "192.168.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]
    [problem] = problems_of(pod_cidrs, ["a"], "10.1.0.0/16", reserved=routes)
    assert problem.endswith("0 of 1 nodes fit, a /24 each; none for a; reserved: 10.0.0.0/8, 10.1.4.0/24")


def test_an_error_fits_on_a_screen():
    [problem] = problems_of(pod_cidrs, [f"node{number}" for number in range(500)], "10.1.0.0/24")
    assert problem.endswith(
        "none for node1, node2, node3, node4, node5, node6, node7, node8, node9, node10 and 489 more"
    )


# Pod CIDRs, over any history: a cluster of 16 blocks, and some of twelve nodes at every step

CLUSTER = IPv4Network("10.1.16.0/20")
BLOCKS = list(CLUSTER.subnets(new_prefix=24))
wanted_nodes = st.lists(st.sampled_from([f"node{number}" for number in range(12)]), unique=True)
node_histories = st.lists(wanted_nodes, min_size=1, max_size=8)


@st.composite
def reserved_ranges(draw: st.DrawFn) -> list[str]:
    """Ranges in, across and around the cluster, narrower and wider than a block; never all of it."""
    ranges = []
    for _ in range(draw(st.integers(0, 4))):
        address = int(CLUSTER[0]) + draw(st.integers(-600, CLUSTER.num_addresses + 600))
        ranges.append(IPv4Network((address & ~0xF, 28)).supernet(new_prefix=draw(st.integers(21, 28))))
    return [str(network) for network in ranges]


def blocks_clear_of(ranges: list[str]) -> list[IPv4Network]:
    """The slow way to say which blocks a reserved range does not touch."""
    return [block for block in BLOCKS if not any(block.overlaps(IPv4Network(text)) for text in ranges)]


def grow(nodes: list[str], reserved: list[str], present: dict[str, str]) -> dict[str, str]:
    """The allocation, or what fits of it: a history goes on when the cluster is full."""
    try:
        return pod_cidrs(nodes, str(CLUSTER), 24, reserved, present)
    except Invalid:
        return pod_cidrs([node for node in nodes if node in present], str(CLUSTER), 24, reserved, present)


@any_history
@given(node_histories, reserved_ranges())
def test_pod_cidrs_overlap_neither_each_other_nor_a_reserved_range(history, reserved):
    present: dict[str, str] = {}
    for nodes in history:
        present = grow(nodes, reserved, present)
        networks = [IPv4Network(cidr) for cidr in present.values()]
        assert all(network.subnet_of(CLUSTER) and network.prefixlen == 24 for network in networks)
        assert not any(one.overlaps(other) for one, other in combinations(networks, 2))
        assert not any(network.overlaps(IPv4Network(text)) for network in networks for text in reserved)


@any_history
@given(st.lists(st.tuples(wanted_nodes, reserved_ranges()), min_size=1, max_size=8))
def test_no_node_is_ever_renumbered(history):
    present: dict[str, str] = {}
    for nodes, reserved in history:  # routes come and go as well
        before, present = present, grow(nodes, reserved, present)
        assert all(present[node] == before[node] for node in nodes if node in before)


@any_history
@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_order_of_nodes_does_not_matter_to_those_that_stay(order, survivors):
    nodes = [f"node{number}" for number in range(12)]
    present = pod_cidrs(nodes, str(CLUSTER))
    staying = [nodes[number] for number in order[:survivors]]
    after = pod_cidrs(["new", *staying], str(CLUSTER), present=present)
    assert list(after) == ["new", *staying]
    assert all(after[node] == present[node] for node in staying)


@any_history
@given(reserved_ranges(), st.lists(st.sampled_from(BLOCKS), unique=True))
def test_as_many_nodes_fit_as_blocks_are_clear_and_not_one_more(reserved, held):
    present = {f"old{number}": str(block) for number, block in enumerate(held)}
    room = [block for block in blocks_clear_of(reserved) if block not in held]
    nodes = [*present, *(f"new{number}" for number in range(len(room)))]

    full = pod_cidrs(nodes, str(CLUSTER), 24, reserved, present)
    assert {IPv4Network(cidr) for cidr in full.values()} == {*room, *held}
    [problem] = problems_of(pod_cidrs, [*nodes, "straw"], str(CLUSTER), 24, reserved, present)
    assert f": {len(nodes)} of {len(nodes) + 1} nodes fit, a /24 each; none for straw" in problem


# Pod addresses, by example


def test_the_first_pods_get_the_addresses_behind_the_gateway():
    assert pod_addresses(["a", "b"], "10.1.1.0/24") == ({"a": "10.1.1.2", "b": "10.1.1.3"}, "10.1.1.3")


def test_addresses_go_round():
    assigned, cursor = pod_addresses(["a", "b", "c"], "10.1.1.0/24", cursor="10.1.1.253")
    assert assigned == {"a": "10.1.1.254", "b": "10.1.1.2", "c": "10.1.1.3"}
    assert cursor == "10.1.1.3"


@pytest.mark.parametrize("cursor", [None, "10.9.9.9", "10.1.1.0", "10.1.1.1", "10.1.1.255"])
def test_the_circle_begins_afresh_without_a_useful_cursor(cursor):
    assert pod_addresses([], "10.1.1.0/24", cursor=cursor) == ({}, None)
    assert pod_addresses(["a"], "10.1.1.0/24", cursor=cursor) == ({"a": "10.1.1.2"}, "10.1.1.2")


def test_the_cursor_stays_where_it_is_when_nothing_is_given_out():
    present = {"a": "10.1.1.4"}
    assert pod_addresses(["a"], "10.1.1.0/24", present, "10.1.1.9") == (present, "10.1.1.9")


@pytest.mark.parametrize("claim", ["10.1.1.0", "10.1.1.1", "10.1.1.255", "10.1.2.7"])
def test_a_pod_with_an_address_it_cannot_have_gets_another(claim):
    assert pod_addresses(["a"], "10.1.1.0/24", {"a": claim})[0] == {"a": "10.1.1.2"}


def test_the_first_of_two_pods_keeps_an_address_that_both_claim():
    present = {"a": "10.1.1.7", "b": "10.1.1.7"}
    assert pod_addresses(["b", "a"], "10.1.1.0/24", present)[0] == {"b": "10.1.1.7", "a": "10.1.1.2"}


def test_taken_addresses_are_passed_over_but_not_taken_away():
    taken = ["10.1.1.2", "10.1.1.3", "192.0.2.1"]
    assigned, _ = pod_addresses(["a", "b"], "10.1.1.0/24", {"b": "10.1.1.3"}, taken=taken)
    assert assigned == {"a": "10.1.1.4", "b": "10.1.1.3"}


def test_a_pod_that_replaces_another_gets_an_address_of_its_own():
    assert pod_addresses(["new"], "10.1.1.0/24", {"old": "10.1.1.2"}) == ({"new": "10.1.1.3"}, "10.1.1.3")


def test_the_cursor_moves_over_what_is_freed_right_behind_it():
    present = {"a": "10.1.1.2", "b": "10.1.1.4", "gone": "10.1.1.3"}
    assert pod_addresses(["a", "b"], "10.1.1.0/24", present, "10.1.1.2")[1] == "10.1.1.3"


def test_a_freed_address_is_given_out_when_it_is_the_only_one_left():
    present = {f"pod{number}": f"10.1.1.{number}" for number in range(2, 15)}
    staying = [pod for pod in present if pod != "pod9"]
    assigned, cursor = pod_addresses([*staying, "new"], "10.1.1.0/28", present, "10.1.1.14")
    assert (assigned["new"], cursor) == ("10.1.1.9", "10.1.1.9")


def test_when_all_pods_are_replaced_the_circle_goes_on_behind_the_cursor():
    present = {f"old{number}": f"10.1.1.{number}" for number in range(2, 15)}
    new = [f"new{number}" for number in range(13)]
    assigned, cursor = pod_addresses(new, "10.1.1.0/28", present, "10.1.1.12")
    assert list(assigned.values()) == [f"10.1.1.{number}" for number in (13, 14, *range(2, 13))]
    assert cursor == "10.1.1.12"


@pytest.mark.parametrize("freed", ["10.1.1.2", "10.1.1.1", "10.9.9.9"])
def test_a_freed_address_that_no_pod_can_have_is_never_given_out(freed):
    present = {"a": "10.1.1.3", "b": "10.1.1.4", "c": "10.1.1.5", "d": "10.1.1.6", "gone": freed}
    [problem] = problems_of(pod_addresses, [*"abcd", "new"], "10.1.1.0/29", present, taken=["10.1.1.2"])
    assert problem.endswith("4 of 5 pods fit; none for new; taken: 10.1.1.2")


def test_a_28_fills_to_thirteen_pods():
    pods = [f"pod{number}" for number in range(13)]
    assigned, cursor = pod_addresses(pods, "10.1.1.0/28")
    assert list(assigned.values()) == [f"10.1.1.{number}" for number in range(2, 15)]
    assert cursor == "10.1.1.14"


def test_too_many_pods_are_counted_and_named():
    pods = [f"pod{number}" for number in range(14)]
    taken = ["10.1.1.5", "10.1.1.9", "10.1.2.9"]
    assert problems_of(pod_addresses, pods, "10.1.1.0/28", {"pod0": "10.1.1.5"}, taken=taken) == [
        "no IP addresses available in range set: 10.1.1.1-10.1.1.14: "
        "12 of 14 pods fit; none for pod12, pod13; taken: 10.1.1.9"
    ]


def test_everything_wrong_with_pods_is_said_at_once():
    assert problems_of(
        pod_addresses, ["a", "a"], "10.1.1.0/31", {"a": "10.1.1.4/24"}, "last", ["10.1.1.300", "fe80::1"]
    ) == [
        'pods[1]: Duplicate value: "a"',
        'pod_cidr: Invalid value: "10.1.1.0/31": Network 10.1.1.0/31 too small to allocate from',
        'present[a]: Invalid value: "10.1.1.4/24": must be a valid IP address, (e.g. 10.9.8.7)',
        'taken[0]: Invalid value: "10.1.1.300": must be a valid IP address, (e.g. 10.9.8.7)',
        'taken[1]: Invalid value: "fe80::1": IPv6 is not supported, the lab is IPv4',
        'cursor: Invalid value: "last": must be a valid IP address, (e.g. 10.9.8.7)',
    ]


@pytest.mark.parametrize(("cidr", "pods"), [("10.1.1.0/24", 253), ("10.1.1.16/28", 13), ("10.1.1.0/30", 1)])
def test_capacity(cidr, pods):
    assert capacity(cidr) == pods
    assert len(set(pod_addresses([f"pod{number}" for number in range(pods)], cidr)[0].values())) == pods


def test_the_gateway_is_the_first_address():
    assert gateway("10.1.1.16/28") == "10.1.1.17"


@pytest.mark.parametrize("call", [capacity, gateway])
def test_a_cidr_without_room_has_neither_capacity_nor_gateway(call):
    [problem] = problems_of(call, "10.1.1.0/32")
    assert problem.endswith("Network 10.1.1.0/32 too small to allocate from")


def test_a_mac_holds_the_address():
    assert pod_mac("10.1.255.2") == "0a:58:0a:01:ff:02"


def test_there_is_no_mac_for_what_is_no_address():
    assert problems_of(pod_mac, "fd00::2") == [
        'address: Invalid value: "fd00::2": IPv6 is not supported, the lab is IPv4'
    ]


# Pod addresses, over any history: a node of 13 addresses, and some of 16 pods at every step

NODE = IPv4Network("10.1.1.32/28")
POD_ADDRESSES = {str(address) for address in list(NODE.hosts())[1:]}
wanted_pods = st.lists(st.sampled_from([f"pod{number}" for number in range(16)]), unique=True, max_size=13)
pod_histories = st.lists(wanted_pods, min_size=1, max_size=12)


@any_history
@given(pod_histories)
def test_pods_have_addresses_of_their_own_and_keep_them(history):
    present: dict[str, str] = {}
    cursor = None
    for pods in history:
        before = present
        present, cursor = pod_addresses(pods, str(NODE), before, cursor)
        assert list(present) == pods
        assert len(set(present.values())) == len(pods)
        assert POD_ADDRESSES.issuperset(present.values())
        assert all(present[pod] == before[pod] for pod in pods if pod in before)


@any_history
@given(pod_histories)
def test_a_freed_address_is_not_the_next_one_given_out(history):
    present: dict[str, str] = {}
    cursor = None
    freed: set[str] = set()  # since the last time that an address was given out
    for pods in history:
        before = present
        present, cursor = pod_addresses(pods, str(NODE), before, cursor)
        freed |= {address for pod, address in before.items() if pod not in pods}
        new = [pod for pod in pods if pod not in before]
        if new:
            staying = {before[pod] for pod in pods if pod in before}
            assert present[new[0]] not in freed or freed | staying == POD_ADDRESSES
            freed = {address for pod, address in before.items() if pod not in pods} - set(present.values())


@any_history
@given(pod_histories, st.integers(1, 12))
def test_addresses_are_given_out_in_a_circle(history, count):
    """With nothing freed in between, the next pods get the next free addresses behind the cursor."""
    present: dict[str, str] = {}
    cursor = None
    for pods in history:
        present, cursor = pod_addresses(pods, str(NODE), present, cursor)
    count = min(count, 13 - len(present))
    new = [f"new{number}" for number in range(count)]
    assigned, last = pod_addresses([*present, *new], str(NODE), present, cursor)

    circle = sorted(map(IPv4Address, POD_ADDRESSES - set(present.values())))
    start = IPv4Address(cursor) if cursor else NODE[0]
    circle = [address for address in circle if address > start] + [address for address in circle if address <= start]
    assert [assigned[pod] for pod in new] == [str(address) for address in circle[:count]]
    assert last == (assigned[new[-1]] if new else cursor)


@any_history
@given(wanted_pods, st.randoms(use_true_random=False))
def test_the_order_of_pods_does_not_matter_to_those_that_stay(pods, random):
    present, cursor = pod_addresses(pods, str(NODE))
    shuffled = random.sample(pods, len(pods))
    assert pod_addresses(shuffled, str(NODE), present, cursor) == (present, cursor)


@any_history
@given(pod_histories, st.sets(st.sampled_from(sorted(POD_ADDRESSES)), max_size=5))
def test_as_many_pods_fit_as_addresses_are_free_and_not_one_more(history, taken):
    present: dict[str, str] = {}
    cursor = None
    for pods in history:
        present, cursor = pod_addresses(pods, str(NODE), present, cursor)
    free = POD_ADDRESSES - taken - set(present.values())
    pods = [*present, *(f"new{number}" for number in range(len(free)))]

    full, _ = pod_addresses(pods, str(NODE), present, cursor, taken)
    assert set(full.values()) == free | set(present.values())
    [problem] = problems_of(pod_addresses, [*pods, "straw"], str(NODE), present, cursor, taken)
    assert f"10.1.1.33-10.1.1.46: {len(pods)} of {len(pods) + 1} pods fit; none for straw" in problem


# Ranges that overlap


def test_overlapping_ranges_are_named_in_pairs():
    named = {
        "podlab_cluster_cidr": "10.1.0.0/16",
        "podlab_service_cidr": "10.1.128.0/20",
        "node network": "10.1.128.0/24",
        "outside": "198.51.100.0/24",
    }
    assert overlaps(named) == [
        "podlab_cluster_cidr 10.1.0.0/16 overlaps with podlab_service_cidr 10.1.128.0/20",
        "podlab_cluster_cidr 10.1.0.0/16 overlaps with node network 10.1.128.0/24",
        "podlab_service_cidr 10.1.128.0/20 overlaps with node network 10.1.128.0/24",
    ]


def test_ranges_side_by_side_do_not_overlap():
    assert overlaps({"podlab_cluster_cidr": "10.1.0.0/17", "podlab_service_cidr": "10.1.128.0/17"}) == []


def test_a_range_that_is_none_is_said_once_and_hides_no_overlap():
    assert overlaps({"a": "10.1.0.0/16", "b": "10.1.0.1/16", "c": "10.0.0.0/8"}) == [
        'b: Invalid value: "10.1.0.1/16": network has host bits set; the network address is 10.1.0.0/16',
        "a 10.1.0.0/16 overlaps with c 10.0.0.0/8",
    ]

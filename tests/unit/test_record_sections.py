"""What hosts keep of the cluster: each node's pods on a few others, whichever hosts are away."""

from __future__ import annotations

import copy
import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.controller import transport
from podlab.planner.inputs.host import Host
from podlab.planner.record.copies import COPIES, Copies
from podlab.records import VERSION
from tests.unit.test_plan import LATER, Lab, pending, pod, together, wanting

NODES = 8


def standing(nodes: int = NODES) -> Lab:
    lab = Lab(nodes)
    lab.run(wanting(web=nodes * 2))
    assert pending(lab.run(wanting(web=nodes * 2))) == {}
    return lab


def known(lab: Lab) -> dict[str, Any]:
    """All that the hosts' records tell."""
    return together(host.record for name, host in lab.hosts.items() if host.record)


def running(lab: Lab) -> dict[str, tuple[str, str]]:
    return {
        netns: (name, pod["row"]["address"])
        for name, host in lab.hosts.items()
        for netns, pod in host.observe()["pods"].items()
    }


@pytest.fixture(scope="module")
def stood() -> Lab:
    return standing()


# --- who keeps what


def test_a_record_has_the_pods_of_a_few_nodes_and_the_cidrs_of_all(stood: Lab):
    holders = {
        name: [keeper for keeper, host in stood.hosts.items() if host.record and name in host.record["pods"]]
        for name in stood.hosts
        if name.startswith("node")
    }
    assert all(name in keepers and len(keepers) == COPIES + 1 for name, keepers in holders.items())
    whole = [name for name, host in stood.hosts.items() if host.record and "cluster" in host.record]
    assert len(whole) == COPIES + 1
    records = [host.record for host in stood.hosts.values() if host.record]
    assert all(len(record["network"]["podCIDRs"]) == NODES for record in records)


def test_a_run_that_changes_one_pod_writes_few_records(stood: Lab):
    lab = copy.deepcopy(stood)
    result = lab.plan(wanting(pod("one", node_name="node3"), web=NODES * 2))
    written = {name for name, words in pending(result).items() if "node" in words}
    assert "node3" in written and len(written) == COPIES + 1


def test_a_node_more_moves_the_copies_of_its_neighbours_alone():
    few, more = ([Host(f"node{number}", "node", "", observation={}) for number in range(n)] for n in (50, 51))
    before, after = Copies(few), Copies(more)
    moved = [
        host.name
        for host in few
        if before.keepers(host.name, [], is_changed=True, is_node=True)
        != after.keepers(host.name, [], is_changed=True, is_node=True)
    ]
    assert 0 < len(moved) <= COPIES


# --- hosts that are not seen


@given(st.sets(st.sampled_from([*(f"node{number}" for number in range(1, NODES + 1)), "gateway"]), max_size=COPIES))
@settings(deadline=None, max_examples=15)
def test_with_any_few_hosts_away_nobody_is_renumbered(stood: Lab, away: set[str]):
    lab = copy.deepcopy(stood)
    before = running(lab)
    lab.away |= away
    for replicas in (NODES * 2, NODES * 2 + 3):
        lab.run(wanting(web=replicas), now=LATER)
    assert pending(lab.run(wanting(web=NODES * 2 + 3))) == {}
    lab.away -= away
    lab.run(wanting(web=NODES * 2 + 3))
    assert running(lab).items() >= before.items()
    assert pending(lab.run(wanting(web=NODES * 2 + 3))) == {}


@given(
    st.sets(st.integers(1, NODES), min_size=1, max_size=NODES),
    st.sets(st.integers(1, NODES), max_size=2),
    st.integers(NODES, NODES * 3),
)
@settings(deadline=None, max_examples=15)
def test_with_limit_nobody_is_renumbered_and_what_is_new_is_known_afterwards(
    stood: Lab, limit: set[int], away: set[int], replicas: int
):
    lab = copy.deepcopy(stood)
    before = running(lab)
    lab.away |= {f"node{number}" for number in away}
    names = [f"node{number}" for number in limit if number not in away]
    if not names:
        return
    lab.run(wanting(web=replicas), limit=names, now=LATER)
    assert pending(lab.run(wanting(web=replicas), limit=names)) == {}
    lab.away -= {f"node{number}" for number in away}
    between = running(lab)
    lab.run(wanting(web=replicas))
    after = running(lab)
    assert all(after[name] == place for name, place in between.items() if name in after)
    assert all(after[name] == place for name, place in before.items() if name in after)
    assert pending(lab.run(wanting(web=replicas))) == {}


def test_copies_are_made_anew_where_their_keepers_stay_away(stood: Lab):
    """Three hosts at a time, until only the least are left: each run has taken over what the last ones had."""
    lab = copy.deepcopy(stood)
    before = running(lab)
    for gone in (("node1", "node2", "node3"), ("node4", "node5", "gateway")):
        lab.away |= {*gone}
        lab.run(wanting(web=NODES * 2))
    lab.away.clear()
    lab.away.add("outside")
    lab.run(wanting(web=NODES * 2))
    assert running(lab) == before


def test_beyond_the_copies_the_run_says_what_it_does_not_know(stood: Lab):
    lab = copy.deepcopy(stood)
    before = running(lab)
    keepers = {name for name, host in lab.hosts.items() if host.record and "node1" in host.record["pods"]}
    lab.away |= keepers
    said = lab.problems(wanting(web=NODES * 2))
    assert any(line.startswith("node1: which pods it has is not known: it does not answer") for line in said), said
    assert running(lab) == before, "nothing was written"
    lab.away -= keepers - {"node1"}
    lab.run(wanting(web=NODES * 2))
    lab.away.remove("node1")
    lab.run(wanting(web=NODES * 2))
    assert running(lab) == before


def test_where_nobody_keeps_what_the_cluster_was_told_the_run_says_so(stood: Lab):
    lab = copy.deepcopy(stood)
    lab.away |= {name for name, host in lab.hosts.items() if host.record and "cluster" in host.record}
    said = lab.problems(wanting(web=NODES * 2))
    assert any("what the cluster has been told" in line for line in said), said


def test_a_node_out_of_reach_may_be_taken_out_of_the_inventory(stood: Lab):
    lab = copy.deepcopy(stood)
    keepers = {name for name, host in lab.hosts.items() if host.record and "node1" in host.record["pods"]}
    lab.away.add("node1")
    for name in keepers - {"node1"}:
        lab.hosts[name].record["pods"].pop("node1")
    assert lab.problems(wanting(web=NODES * 2))
    lab.drop("node1")
    assert lab.problems(wanting(web=NODES * 2)) == []


# --- records of the first version


def first_version(lab: Lab) -> None:
    """As podlab has kept them before: each host everything."""
    told = known(lab)
    newest = max(one["generation"] for host in lab.hosts.values() if host.record for one in [host.record["network"]])
    born = {
        f"pod/{key}": time
        for host in lab.hosts.values()
        if host.record
        for one in host.record["pods"].values()
        for key, (_, time) in one["pods"].items()
    }
    whole = {**told, "generation": newest + 7, "created": {**told["created"], **born}}
    for host in lab.hosts.values():
        if host.record:
            own = {key: one for key, one in host.record.items() if key not in ("network", "cluster", "pods")}
            host.record = {**own, "version": 1, "cluster": json.loads(json.dumps(whole))}


@pytest.mark.parametrize("away", [set(), {"node2"}, {"node1", "node5", "gateway"}])
def test_records_of_the_first_version_are_converted_in_one_run(stood: Lab, away: set[str]):
    lab = copy.deepcopy(stood)
    before, told = running(lab), known(lab)
    first_version(lab)
    lab.away |= away
    lab.run(wanting(web=NODES * 2), now=LATER)
    assert pending(lab.run(wanting(web=NODES * 2))) == {}
    records = [host.record for name, host in lab.hosts.items() if host.record and name not in lab.away]
    assert {record["version"] for record in records} == {VERSION} == {2}
    lab.away -= away
    lab.run(wanting(web=NODES * 2), now=LATER)
    assert running(lab) == before
    now = known(lab)
    assert {**now, "generation": 0} == {**told, "generation": 0}, "created times and all"


# --- hosts that lie


def test_a_host_can_show_no_section_as_that_of_another_node(stood: Lab):
    lab = copy.deepcopy(stood)
    closed = transport.encode({"hosts": lab.plan(wanting(web=NODES * 2))["hosts"], "verify": {}}, whole=True)["hosts"]
    told = {name: json.loads(closed[name]["node"]["cluster"]) for name in ("node1", "node2")}
    own = told["node1"]["pods"]["node1"]
    forged = {**told["node2"], "pods": {"node2": {**own, "generation": own["generation"]}}}
    texts = [json.dumps({"record": {"version": 2, **one}}) for one in (told["node1"], forged)]
    sound, liar = transport.all_opened(texts)
    assert "node1" in sound["record"]["pods"]
    assert liar["record"]["pods"] == {}


def test_a_host_can_write_no_section_of_its_own(stood: Lab):
    lab = copy.deepcopy(stood)
    closed = transport.encode({"hosts": lab.plan(wanting(web=NODES * 2))["hosts"], "verify": {}}, whole=True)["hosts"]
    told = json.loads(closed["node1"]["node"]["cluster"])
    mine = {**told["pods"]["node1"], "generation": 10**9, "pods": {"default/web-5": ["10.1.1.9", None]}}
    old = {"version": 1, "cluster": {"generation": 10**9, "pods": {"default/web-5": ["node1", "10.1.1.9"]}}}
    texts = [
        json.dumps({"record": {"version": 2, **told}}),
        json.dumps({"record": {"version": 2, **told, "pods": {"node1": mine}}}),
        json.dumps({"record": old}),
    ]
    _, liar, another = transport.all_opened(texts)
    assert liar["record"]["pods"] == {}
    assert another["record"] == {"version": 1}


def test_an_older_section_of_its_own_takes_no_pod_from_another_node():
    lab = Lab(4)
    lab.run(wanting(pod("a", node_name="node1")))
    old = copy.deepcopy(lab.hosts["node1"].record)
    lab.run(wanting(pod("a", node_name="node2")))
    lab.run(wanting(pod("a", node_name="node2")))
    lab.hosts["node1"].record = old
    for count in range(3):
        for gone in combinations(("node3", "node4", "gateway"), count):
            lab.away = {"outside", *gone}
            result = lab.plan(wanting(pod("a")))
            assert result["hosts"]["node1"]["pods"]["pods"] == []

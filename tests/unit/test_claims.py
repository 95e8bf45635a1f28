"""Claims over the life of a cluster: where their directories are, and when they go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from podlab.planner.claims.model import Claim, ClaimTemplate, directory_of, key_of
from podlab.planner.model import Desired, Pod, Volume, Workload
from tests.unit.test_plan import Lab, pending, places, pod, wanting, workload

SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
DATA = Claim("default", "data", SPEC)


def using(name: str, claim: str = "data", **wishes: Any) -> Pod:
    return pod(name, volumes={"v": Volume("claim", claim=claim)}, **wishes)


def peers(count: int, **template: bool) -> Workload:
    return workload("peers", count, claims=(ClaimTemplate("data", SPEC, **template),))


def asking(*pods: Pod, claims: tuple[Claim, ...] = (DATA,), sets: tuple[Workload, ...] = ()) -> Desired:
    return replace(wanting(*pods), workloads=sets, claims={claim.key: claim for claim in claims})


def directories(lab: Lab) -> dict[str, list[str]]:
    return {name: sorted(host.claims) for name, host in lab.hosts.items() if host.claims}


def waits(result: dict[str, Any]) -> list[str]:
    return [words for one in result["pending_pods"] for words in one["words"]]


def test_pods_of_a_claim_run_where_its_directory_is():
    lab = Lab()
    assert directories(lab) == {}
    lab.run(asking(pod("first"), using("a")))
    assert directories(lab) == {"node2": ["default_data"]}
    result = lab.run(asking(using("b"), using("c"), pod("d")))
    assert {name: node for name, (node, _) in places(result).items()} == {"b": "node2", "c": "node2", "d": "node1"}
    assert directories(lab) == {"node2": ["default_data"]}


def test_a_second_run_changes_nothing():
    lab, desired = Lab(), asking(using("a"), sets=(peers(2),))
    lab.run(desired)
    assert pending(lab.plan(desired)) == {}


def test_a_claim_outlives_its_pods_and_goes_with_its_manifest():
    lab = Lab()
    lab.run(asking(using("a")))
    lab.run(asking(pod("other")))
    assert directories(lab) == {"node1": ["default_data"]}
    result = lab.run(asking(pod("other"), claims=()))
    assert result["hosts"]["node1"]["pods"]["drop_claims"] == ["default_data"]
    assert directories(lab) == {}
    assert pending(lab.plan(asking(pod("other"), claims=()))) == {}


def test_a_claim_that_pods_use_stays_though_its_manifest_goes():
    lab = Lab()
    lab.run(asking(using("a")))
    lab.run(asking(using("a"), claims=()))
    assert directories(lab) == {"node1": ["default_data"]}


def test_a_node_that_is_away_keeps_its_claims_and_the_pods_wait_for_it():
    lab = Lab()
    lab.run(asking(using("a")))
    lab.away.add("node1")
    result = lab.run(asking(using("b")))
    assert "pod default/b waits: the nodes that it may run on are not part of this run" in result["notes"]
    lab.run(asking(pod("c"), claims=()))
    assert directories(lab) == {"node1": ["default_data"]}
    lab.away.remove("node1")
    lab.run(asking(pod("c"), claims=()))
    assert directories(lab) == {}


def test_a_claim_of_a_node_that_has_left_begins_empty_and_a_note_tells():
    lab = Lab(3)
    lab.run(asking(using("a", node_name="node3")))
    lab.drop("node3")
    result = lab.run(asking(using("a")))
    assert "claim default/data begins empty: it was on node3, which is not in the inventory any more" in result["notes"]
    assert places(result)["a"][0] == "node1"


def test_a_directory_that_no_record_tells_of_is_never_removed():
    """As after ``./lab down``, which keeps claims."""
    lab = Lab()
    lab.hosts["node2"].claims = {"default_data", "other_kept"}
    result = lab.run(asking(using("a")))
    assert places(result)["a"][0] == "node2"
    lab.run(asking(pod("a")))
    assert directories(lab) == {"node2": ["default_data", "other_kept"]}
    lab.run(asking(pod("a"), claims=()))  # which a manifest has had since
    assert directories(lab) == {"node2": ["other_kept"]}


def test_where_claims_conflict_the_pod_waits_in_the_schedulers_words():
    lab, other = Lab(), Claim("default", "other", SPEC)
    both = replace(using("c"), template=replace(using("c").template, volumes={
        "a": Volume("claim", claim="data"), "b": Volume("claim", claim="other")
    }))  # fmt: skip
    lab.run(asking(using("a", node_name="node1"), using("b", "other", node_name="node2"), claims=(DATA, other)))
    (words,) = waits(lab.plan(asking(both, claims=(DATA, other))))
    assert words.startswith("FailedScheduling: 0/2 nodes are available: 2 node(s) had volume node affinity conflict.")
    elsewhere = asking(using("a", node_name="node1"), using("d", node_name="node2"))
    (words,) = waits(lab.plan(elsewhere))
    assert "1 node(s) had volume node affinity conflict" in words


def test_a_claim_of_one_pod_is_had_by_one_at_a_time():
    lab, claim = Lab(), replace(DATA, spec={**SPEC, "accessModes": ["ReadWriteOncePod"]})
    result = lab.run(asking(using("a"), using("b"), claims=(claim,)))
    assert places(result)["a"][0] == "node1"
    (words,) = waits(result)
    assert words.startswith(
        "FailedScheduling: 0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and "
        "ReadWriteOncePod access mode.; a claim of ReadWriteOncePod is for one pod"
    )
    result = lab.run(asking(using("b"), claims=(claim,)))
    assert (places(result)["b"][0], waits(result)) == ("node1", [])
    assert waits(lab.run(asking(using("b"), claims=(claim,)))) == []


def test_a_claim_that_there_is_not_is_waited_for():
    (words,) = waits(Lab().plan(asking(using("a", "none"))))
    assert words == (
        'FailedScheduling: 0/2 nodes are available: persistentvolumeclaim "none" not found.; add it to the manifests'
    )


# --- volumeClaimTemplates -------------------------------------------------------------------------------


def of_peers(lab: Lab) -> list[str]:
    return sorted(name for held in directories(lab).values() for name in held)


THREE = [f"default_data-peers-{ordinal}" for ordinal in range(3)]


def test_each_pod_of_a_set_has_a_claim_which_outlives_it_and_brings_it_back():
    lab = Lab()
    first = places(lab.run(asking(claims=(), sets=(peers(3),))))
    assert of_peers(lab) == THREE
    lab.run(asking(claims=(), sets=(peers(1),)))
    lab.run(asking(claims=()))
    assert of_peers(lab) == THREE
    assert lab.plan(asking(claims=()))["notes"] == []
    lab.run(asking(pod("x"), pod("y"), pod("z"), claims=()))
    again = places(lab.run(asking(pod("x"), pod("y"), pod("z"), claims=(), sets=(peers(3),))))
    assert {name: node for name, (node, _) in first.items()} == {
        name: node for name, (node, _) in again.items() if name.startswith("peers")
    }


def test_a_volume_of_a_set_is_the_claim_of_its_pod():
    lab = Lab()
    lab.run(asking(claims=(), sets=(peers(1),)))
    (one,) = [one["row"] for host in lab.hosts.values() for one in host.observe()["pods"].values()]
    assert one["volumes"] == {
        "data": {"kind": "claim", "claim": "default/data-peers-0", "directory": "default_data-peers-0"}
    }
    shown = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-peers-0"}}]
    assert one["object"]["spec"]["volumes"] == shown


@pytest.mark.parametrize(
    ("policy", "shrunk", "gone"),
    [
        ({}, THREE, THREE),
        ({"outlives_pod": False}, THREE[:1], THREE[:1]),
        ({"outlives_set": False}, THREE, []),
        ({"outlives_pod": False, "outlives_set": False}, THREE[:1], []),
    ],
)
def test_the_retention_policy_says_when_claims_go(policy, shrunk, gone):
    lab = Lab()
    lab.run(asking(claims=(), sets=(peers(3, **policy),)))
    lab.run(asking(claims=(), sets=(peers(1, **policy),)))
    assert of_peers(lab) == shrunk
    lab.run(asking(claims=()))
    assert of_peers(lab) == gone
    assert pending(lab.plan(asking(claims=()))) == {}


# --- names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["default/data", "shop/data-peers-0", f"default/{'a' * 250}"])
def test_the_name_of_a_directory_tells_the_claim_unless_it_was_cut(key):
    assert key_of(directory_of(key)) == ("" if len(key) > 200 else key)


@pytest.mark.parametrize("directory", ["lost+found", "a", "A_b", "_x", "default_", ".._x"])
def test_a_directory_of_another_name_is_no_claim(directory):
    assert key_of(directory) == ""

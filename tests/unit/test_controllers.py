"""Which pods there shall be, over the life of a workload: made, scaled, changed step by step, stuck and corrected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podlab.planner.controllers import deployments
from podlab.planner.controllers.deployments import rolling
from podlab.planner.controllers.reconcile import Wanted, pods_of
from podlab.planner.inputs.host import Host
from podlab.planner.manifests.names import replica_name
from podlab.planner.model import Container, Desired, Invalid, Pod, PodTemplate, Present, Workload
from podlab.planner.scheduler.model import Selector, Toleration
from podlab.planner.scheduler.schedule import place

SLEEP = (Container("main", "busybox", ("sleep", "9")),)


def node(name: str, *taints: tuple[str, str, str], seen: bool = True, in_run: bool = True, **labels: str) -> Host:
    address = f"10.100.0.{int(name.strip('node')) + 1}"
    return Host(name, "node", address, labels, observation={} if seen else None, in_run=in_run, taints=taints)


def workload(kind: str, replicas: int, template_hash: str = "aaaa", name: str = "web", **more: Any) -> Workload:
    template = more.pop("template", PodTemplate(SLEEP, labels={"app": name}, spec={"containers": []}))
    return Workload(kind, "default", name, replicas, template, template_hash, f"{name}.yml:1", **more)


def row_of(pod: Pod) -> dict[str, Any]:
    """As much of a PodConfig as anybody asks for."""
    kind, _, name = pod.controller.partition("/")
    meta = {"namespace": pod.namespace, "name": pod.name, "labels": dict(pod.template.labels)}
    if kind:
        meta["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    revision = {"revision": pod.revision} if pod.revision else {}
    return {"object": {"metadata": meta, "spec": dict(pod.template.spec)}, **revision}


class World:
    """Nodes with pods. ``step`` is one turn of a run: look, place, make it so; new pods are not ready yet."""

    def __init__(self, *nodes: Host) -> None:
        self.nodes = list(nodes) or [node("node1"), node("node2"), node("node3")]
        self.present: dict[str, Present] = {}
        self.since = 0

    def look(self, *items: Workload | Pod) -> Wanted:
        bare = tuple(item for item in items if isinstance(item, Pod))
        return pods_of(
            Desired(bare, tuple(item for item in items if isinstance(item, Workload))), self.nodes, self.present
        )

    def step(self, *items: Workload | Pod) -> Wanted:
        wanted = self.look(*items)
        there = {key: one.node for key, one in self.present.items()}
        homes = place(wanted.pods, self.nodes, {one.name: 1000 for one in self.nodes}, there).nodes
        managed = {one.name for one in self.nodes if one.is_managed}
        self.since += 1
        after = {key: one for key, one in self.present.items() if one.node not in managed}
        for pod in wanted.pods:
            one = self.present.get(pod.key)
            same = one and (pod.pinned is not None or (one.row or {}).get("revision", "") == pod.revision)
            if one and (same or one.node not in managed):
                after[pod.key] = one
            elif homes.get(pod.key) in managed:
                row = row_of(pod)
                row["object"]["metadata"]["creationTimestamp"] = f"2030-01-01T00:00:{self.since:02}Z"
                after[pod.key] = Present(pod.key, homes[pod.key], row, False, "Pending")
        self.present = after
        return wanted

    def get_ready(self, which: Callable[[str], bool] = lambda name: True) -> None:
        for key, one in self.present.items():
            if one.row is not None and one.phase in ("Pending", "Running") and which(key.split("/")[1]):
                self.present[key] = one._replace(ready=True, phase="Running")

    def fare(self, phase: str, *names: str) -> None:
        for name in names:
            one = self.present[f"default/{name}"]
            self.present[one.key] = one._replace(phase=phase, ready=phase == "Running")

    def lose(self, name: str) -> None:
        """The node does not answer any more."""
        self.nodes = [replace(one, observation=None) if one.name == name else one for one in self.nodes]
        for key, one in self.present.items():
            if one.node == name:
                self.present[key] = one._replace(row=None, ready=False, phase="Unknown")

    def limit(self, *names: str) -> None:
        """A run for these nodes only; the others are read."""
        self.nodes = [replace(one, in_run=one.name in names) for one in self.nodes]

    def settle(self, *items: Workload | Pod) -> list[str]:
        """Run to the end; what was said on the way."""
        said: list[str] = []
        for _ in range(100):
            wanted = self.step(*items)
            said += wanted.unfinished
            if not wanted.unfinished:
                self.get_ready()
                return said
            self.get_ready()
        raise AssertionError(f"it does not settle: {said[-3:]}")

    @property
    def names(self) -> list[str]:
        return [key.split("/")[1] for key in self.present]

    def revisions(self) -> Counter[str]:
        labels = [one.row["object"]["metadata"]["labels"] for one in self.present.values() if one.row]
        return Counter(one.get("pod-template-hash") or one.get("controller-revision-hash") for one in labels)


def names_of(wanted: Wanted) -> list[str]:
    return [pod.name for pod in wanted.pods]


# --- all of them ----------------------------------------------------------------------------------------


def test_bare_pods_come_first_then_each_workloads_in_the_order_of_the_documents():
    bare = Pod("default", "single", PodTemplate(SLEEP), "a.yml:1")
    wanted = World().look(workload("StatefulSet", 1, name="db"), bare, workload("ReplicaSet", 1, name="rs"))
    assert names_of(wanted)[:2] == ["single", "db-0"] and names_of(wanted)[2].startswith("rs-")
    assert [pod.owner for pod in wanted.pods] == [None, "StatefulSet/default/db", "ReplicaSet/default/rs"]
    assert [pod.controller for pod in wanted.pods] == ["", "StatefulSet/db", "ReplicaSet/rs"]


# --- adoption -------------------------------------------------------------------------------------------


def tier(replicas: int, kind: str = "ReplicaSet", name: str = "tier") -> Workload:
    return workload(kind, replicas, name=name, selector=Selector({"app": name}))


def stray(name: str, app: str = "tier", namespace: str = "default") -> Pod:
    return Pod(namespace, name, PodTemplate(SLEEP, labels={"app": app}), f"{name}.yml:1")


def test_a_replica_set_adopts_bare_pods_that_match_and_makes_the_rest():
    world = World()
    others = [stray("other", app="other"), stray("far", namespace="far")]
    wanted = world.look(tier(2), stray("stray"), *others)
    assert [pod.owner for pod in wanted.pods] == ["ReplicaSet/default/tier", None, None, "ReplicaSet/default/tier"]
    assert wanted.pods[0].controller == "ReplicaSet/tier"
    world.settle(tier(2), stray("stray"), *others)
    settled = sorted(world.names)
    world.settle(tier(2), stray("stray"), *others)
    assert sorted(world.names) == settled and len(settled) == 4


def test_a_bare_pod_that_comes_later_takes_the_place_of_one_of_its_own_and_gives_it_back():
    world = World()
    world.settle(tier(2))
    own = set(world.names)
    world.settle(tier(2), stray("stray"))
    assert "stray" in world.names and len(world.names) == 2
    world.settle(tier(2))
    assert set(world.names) == own


def test_a_bare_pod_too_many_is_not_made_and_that_is_said():
    wanted = World().look(tier(1), stray("a"), stray("b"))
    assert names_of(wanted) == ["a"]
    assert wanted.notes == [
        "ReplicaSet default/tier adopts the pods that its selector matches and wants 1; deleted, as too many: default/b"
    ]


def test_a_bare_pod_that_has_ended_is_nobodys():
    world = World()
    world.settle(tier(1), stray("stray"))
    world.fare("Succeeded", "stray")
    wanted = world.look(tier(1), stray("stray"))
    assert [pod.owner for pod in wanted.pods] == [None, "ReplicaSet/default/tier"]


def test_of_two_replica_sets_the_first_adopts():
    second = replace(tier(1, name="second"), selector=Selector({"app": "tier"}))
    wanted = World().look(tier(1), second, stray("stray"))
    assert [pod.owner for pod in wanted.pods] == ["ReplicaSet/default/tier", "ReplicaSet/default/second"]


def test_a_deployment_does_not_adopt_a_replica_set_and_that_is_said():
    old = replace(tier(1, name="old"), labels={"app": "tier"})
    assert World().look(tier(1, "Deployment"), old, tier(1, name="other")).notes == [
        "Deployment default/tier: its selector matches the ReplicaSet old, which on a cluster it would adopt and scale down"
    ]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job"])
def test_others_adopt_nobody(kind):
    wanted = World(node("node1")).look(tier(1, kind), stray("stray"))
    assert [pod.owner for pod in wanted.pods] == [None, f"{kind}/default/tier"]
    told = ["DaemonSet default/tier: its selector matches default/stray, which on a cluster it would adopt and replace"]
    assert wanted.notes == (told if kind == "DaemonSet" else [])


def test_a_pod_that_nobody_wants_any_more_is_not_wanted():
    world = World()
    world.settle(workload("Deployment", 3))
    world.lose("node2")
    assert World.look(world).pods == []


def test_two_pods_of_one_name_are_said_all_together():
    name = replica_name("default", "web", "aaaa", 0)
    bare = [Pod("default", one, PodTemplate(SLEEP), f"{one}.yml:1") for one in (name, "db-1")]
    with pytest.raises(Invalid) as caught:
        World().look(*bare, workload("Deployment", 1), workload("StatefulSet", 2, name="db"))
    assert caught.value.problems == [
        f'web.yml:1: pods "{name}" already exists: first seen at {name}.yml:1',
        'db.yml:1: pods "db-1" already exists: first seen at db-1.yml:1',
    ]


def test_two_replicas_of_one_name_give_way_and_lower_ordinals_keep_theirs(monkeypatch):
    def short(namespace: str, name: str, template_hash: str, ordinal: int, attempt: int = 0) -> str:
        return f"web-{ordinal // 2}-{attempt}"

    monkeypatch.setattr(deployments, "replica_name", short)
    three = names_of(World().look(workload("Deployment", 3)))
    assert three == ["web-0-0", "web-0-1", "web-1-0"]
    assert names_of(World().look(workload("Deployment", 5)))[:3] == three
    both = names_of(World().look(workload("Deployment", 2), workload("Deployment", 1, name="other")))
    assert both == ["web-0-0", "web-0-1", "web-0-2"]


# --- Deployment -----------------------------------------------------------------------------------------


def test_a_new_deployment_comes_at_once():
    wanted = World().look(workload("Deployment", 3))
    assert names_of(wanted) == [replica_name("default", "web", "aaaa", ordinal) for ordinal in range(3)]
    assert wanted.unfinished == [] and wanted.notes == []
    assert {pod.controller for pod in wanted.pods} == {"ReplicaSet/web-aaaa"}
    assert wanted.pods[0].template.labels == {"app": "web", "pod-template-hash": "aaaa"}
    assert all(pod.template is wanted.pods[0].template for pod in wanted.pods)
    assert all((pod.until, pod.revision, pod.pinned) == ("Ready", "", None) for pod in wanted.pods)


def test_scaling_keeps_low_ordinals_even_if_one_of_them_is_not_ready():
    world = World()
    world.settle(workload("Deployment", 5))
    five = world.names
    world.fare("Pending", five[0])
    assert names_of(world.step(workload("Deployment", 2))) == five[:2]
    assert names_of(world.step(workload("Deployment", 5))) == five


def test_pods_of_an_older_podlab_belong_to_the_deployment_itself():
    world = World()
    world.settle(workload("Deployment", 2, "old1"))
    for one in world.present.values():
        one.row["object"]["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "web", "controller": True}]
    assert world.step(workload("Deployment", 2)).unfinished == ["Deployment default/web: 1 of 2 replaced"]


# replicas, maxSurge, maxUnavailable -> (new, old) in each step, all new ones being ready before the next one.
ROLLOUTS = {
    (1, 1, 0): [(1, 1), (1, 0)],
    (3, 1, 0): [(1, 3), (2, 2), (3, 1), (3, 0)],
    (3, 0, 1): [(1, 2), (2, 1), (3, 0)],
    (4, 1, 1): [(2, 3), (4, 1), (4, 0)],
    (10, 3, 2): [(5, 8), (10, 3), (10, 0)],
    (2, 5, 0): [(2, 2), (2, 0)],
    (2, 0, 5): [(2, 0)],
    (2, 0, 0): [(1, 1), (2, 0)],
}


@pytest.mark.parametrize(("bounds", "steps"), ROLLOUTS.items())
def test_a_rollout_goes_in_steps(bounds, steps):
    replicas, surge, unavailable = bounds
    world = World()
    world.settle(workload("Deployment", replicas, "old1"))
    changed = workload("Deployment", replicas, "new1", max_surge=surge, max_unavailable=unavailable)
    for step, (new, old) in enumerate(steps, 1):
        wanted = world.step(changed)
        assert (world.revisions()["new1"], world.revisions()["old1"]) == (new, old)
        last = step == len(steps)
        assert wanted.unfinished == ([] if last else [f"Deployment default/web: {new} of {replicas} replaced"])
        assert world.look(changed).unfinished == wanted.unfinished  # nobody is ready yet, so nothing goes on
        world.get_ready()
    before = dict(world.present)
    world.step(changed)
    assert world.present == before


def test_who_stays_is_kept_with_its_row_and_what_the_scheduler_asks_for():
    world = World()
    spec = {
        "containers": [],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
                ]
            }
        },
    }
    world.settle(workload("Deployment", 1, "old1", template=PodTemplate(SLEEP, labels={"app": "web"}, spec=spec)))
    (key,) = world.present
    kept = next(pod for pod in world.look(workload("Deployment", 1)).pods if pod.pinned)
    assert (kept.key, kept.pinned, kept.controller) == (key, world.present[key].row, "ReplicaSet/web-old1")
    assert kept.template.containers == ()
    assert kept.template.labels == {"app": "web", "pod-template-hash": "old1"}
    assert kept.template.node_selector == {"kubernetes.io/os": "linux"}
    assert kept.template.tolerations == (Toleration("gpu", "Exists"),)
    (term,) = kept.template.anti_affinity
    assert term.selector.matches({"app": "db"}) and term.namespaces == ("default",) and not term.weight


def test_a_rollout_that_never_gets_ready_leaves_the_old_ones_and_a_corrected_one_goes_on():
    world = World()
    world.settle(workload("Deployment", 3, "good"))
    world.step(workload("Deployment", 3, "bad1"))
    for _ in range(3):
        world.step(workload("Deployment", 3, "bad1"))
        assert world.revisions() == {"good": 3, "bad1": 1}
    corrected = workload("Deployment", 3, "best")
    world.step(corrected)
    assert world.revisions() == {"good": 3, "best": 1}  # who was not ready went first
    world.get_ready()
    world.settle(corrected)
    assert world.revisions() == {"best": 3}


def test_back_to_the_old_template_takes_the_failed_ones_away_and_nothing_else():
    world = World()
    world.settle(workload("Deployment", 3, "good"))
    before = dict(world.present)
    world.step(workload("Deployment", 3, "bad1"))
    world.settle(workload("Deployment", 3, "good"))
    assert world.present == before


def test_of_two_older_templates_the_oldest_goes_first():
    world = World()
    world.settle(workload("Deployment", 3, "zzzz"))
    world.step(workload("Deployment", 3, "aaaa"))
    world.get_ready()
    world.step(workload("Deployment", 3, "aaaa"))
    world.get_ready()
    assert world.revisions() == {"zzzz": 2, "aaaa": 2}
    world.step(workload("Deployment", 3, "mmmm"))
    assert world.revisions() == {"zzzz": 1, "aaaa": 2, "mmmm": 1}


def test_recreate_takes_the_old_ones_away_before_new_ones_come():
    world = World()
    world.settle(workload("Deployment", 2, "old1"))
    changed = workload("Deployment", 2, "new1", strategy="Recreate")
    assert world.step(changed).unfinished == ["Deployment default/web: 0 of 2 replaced"]
    assert world.names == []
    assert world.step(changed).unfinished == []
    assert world.revisions() == {"new1": 2}


def test_pods_of_a_node_that_is_not_seen_count_and_are_not_counted_on():
    world = World(node("node1"), node("node2"))
    world.settle(workload("Deployment", 2))
    two = world.names
    world.lose("node2")
    assert names_of(world.step(workload("Deployment", 2))) == two
    world.step(workload("Deployment", 2, "new1"))
    # The old one on node2 is known to nobody: what it was, its row would tell.
    assert world.revisions() == {"aaaa": 1, "new1": 2}
    world.get_ready()
    wanted = world.step(workload("Deployment", 2, "new1"))
    assert wanted.unfinished == [] and world.revisions() == {"new1": 2}


def test_a_rollout_that_waits_for_a_node_that_is_not_seen_says_so_and_makes_nobody_wait():
    world = World(node("node1"), node("node2"))
    world.settle(workload("Deployment", 2, "old1"))
    changed = workload("Deployment", 2, "new1")
    world.step(changed)
    new = next(one for one in world.present.values() if "new1" in one.key)
    world.lose(new.node)
    for _ in range(3):
        world.get_ready()
        wanted = world.step(changed)
    assert wanted.unfinished == []
    old = next(one for one in world.present.values() if "old1" in one.key and one.row)
    assert old.key in {pod.key for pod in wanted.pods}
    assert wanted.notes == [
        "Deployment default/web: 2 of 2 replaced; the rest waits for nodes that are not part of this run"
    ]


def test_a_rollout_under_limit_replaces_what_it_can_and_ends():
    world = World(node("node1"), node("node2"))
    world.settle(workload("Deployment", 4, "old1"))
    world.limit("node1")
    beyond = {key for key, one in world.present.items() if one.node == "node2"}
    for _ in range(3):  # who cannot be sent away is the last to go
        assert beyond <= {pod.key for pod in world.step(workload("Deployment", 4, "new1")).pods}
        world.get_ready()
    world.settle(workload("Deployment", 4, "new1"))
    assert world.revisions() == {"new1": 4, "old1": 2}
    assert {one.node for one in world.present.values() if "old1" in one.key} == {"node2"}


def test_who_is_sent_away_by_a_taint_is_not_kept():
    world = World(node("node1"), node("node2"))
    world.settle(workload("Deployment", 2, "old1"))
    world.nodes[0] = node("node1", ("gone", "", "NoExecute"))
    kept = [pod for pod in world.look(workload("Deployment", 2, "new1")).pods if pod.pinned]
    assert [world.present[pod.key].node for pod in kept] == ["node2"]


rollouts = st.tuples(st.integers(0, 8), st.integers(0, 4), st.integers(0, 4))


@settings(deadline=None, max_examples=300)
@given(rollouts, st.integers(0, 8), st.lists(st.sets(st.integers(0, 30)), max_size=6), st.booleans())
def test_a_rollout_keeps_its_bounds_whoever_gets_ready_and_settles(bounds, before, readiness, twice):
    replicas, surge, unavailable = bounds
    world = World()
    world.settle(workload("Deployment", before, "old1"))
    changed = workload("Deployment", replicas, "new1", max_surge=surge, max_unavailable=unavailable)
    if twice:
        world.step(workload("Deployment", before, "mid1", max_surge=surge, max_unavailable=unavailable))
    least = replicas - min(unavailable or (0 if surge else 1), replicas)
    for ready in [*readiness, *[None] * 40]:
        available = {key for key, one in world.present.items() if one.ready}
        total = len(world.present)
        wanted = world.step(changed)
        names = names_of(wanted)
        assert len(names) == len(set(names))
        assert names == names_of(world.look(changed)) or wanted.unfinished
        still = sum(1 for key, one in world.present.items() if key in available and one.ready)
        assert still >= min(least, len(available)), "too few left"
        assert len(world.present) <= max(replicas + surge, total), "too many"
        order = sorted(names)
        world.get_ready(lambda name, ready=ready, order=order: ready is None or order.index(name) in ready)
    assert not wanted.unfinished and not wanted.notes
    assert world.revisions() == +Counter({"new1": replicas})


@given(rollouts, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.data())
def test_the_numbers_of_a_step_are_stable_and_never_grow_the_old(bounds, new, ready, unready, data):
    replicas, surge, unavailable = bounds
    new = min(new, replicas)
    available = data.draw(st.integers(0, new))
    item = workload("Deployment", replicas, max_surge=surge, max_unavailable=unavailable)
    after = rolling(item, new, available, ready, unready)
    assert after[0] >= new and after[1] <= ready and after[2] <= unready
    assert rolling(item, after[0], available, *after[1:]) == after


# --- ReplicaSet -----------------------------------------------------------------------------------------


def test_a_replica_set_leaves_pods_of_an_older_template_alone():
    world = World()
    world.settle(workload("ReplicaSet", 2, "old1"))
    first = world.names
    assert all(name.startswith("web-") and len(name) == len("web-") + 5 for name in first)
    wanted = world.step(workload("ReplicaSet", 3, "new1"))
    assert names_of(wanted)[:2] == first and [bool(pod.pinned) for pod in wanted.pods] == [True, True, False]
    assert [pod.revision for pod in wanted.pods] == ["old1", "old1", "new1"]
    assert wanted.unfinished == []
    assert names_of(world.step(workload("ReplicaSet", 1, "new1"))) == first[:1]


# --- DaemonSet ------------------------------------------------------------------------------------------


def homes(wanted: Wanted) -> list[str | None]:
    return [pod.template.node_name for pod in wanted.pods]


def test_a_daemon_runs_on_every_node_that_it_tolerates():
    nodes = [
        node("node1"),
        node("node2", ("gpu", "yes", "NoSchedule")),
        node("node3", ("node.kubernetes.io/unreachable", "", "NoExecute"), disk="ssd"),
        node("node4", ("gpu", "no", "PreferNoSchedule")),
    ]
    wanted = World(*nodes).look(workload("DaemonSet", 0))
    assert homes(wanted) == ["node1", "node3", "node4"]
    assert all(len(pod.name) == len("web-") + 5 for pod in wanted.pods)
    assert wanted.pods[0].template.labels == {"app": "web", "controller-revision-hash": "aaaa"}
    shown = wanted.pods[0].template.spec["tolerations"]
    assert {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"} in shown
    bears = PodTemplate(SLEEP, tolerations=(Toleration("gpu", "Exists"),))
    assert homes(World(*nodes).look(workload("DaemonSet", 0, template=bears))) == ["node1", "node2", "node3", "node4"]
    fast = PodTemplate(SLEEP, node_selector={"disk": "ssd"})
    assert homes(World(*nodes).look(workload("DaemonSet", 0, template=fast))) == ["node3"]
    here = PodTemplate(SLEEP, node_name="node1")
    assert homes(World(*nodes).look(workload("DaemonSet", 0, template=here))) == ["node1"]


def test_a_daemon_stays_where_a_taint_comes_and_goes_where_it_has_to():
    world = World(node("node1"), node("node2"))
    world.settle(workload("DaemonSet", 0))
    world.nodes = [node("node1", ("gpu", "", "NoSchedule")), node("node2", ("gpu", "", "NoExecute"))]
    assert homes(world.step(workload("DaemonSet", 0))) == ["node1"]


def test_a_new_node_gets_its_daemon_and_nobody_is_renamed():
    world = World(node("node1"), node("node2"))
    world.settle(workload("DaemonSet", 0))
    before = world.names
    world.nodes.insert(0, node("node3"))
    assert sorted(set(names_of(world.step(workload("DaemonSet", 0)))) - set(before)) == [
        names_of(world.look(workload("DaemonSet", 0)))[0]
    ]


# maxSurge, maxUnavailable, percent -> (new, old) in each step on four nodes
UPDATES = {
    (0, 1, 0): [(1, 3), (2, 2), (3, 1), (4, 0)],
    (0, 3, 0): [(3, 1), (4, 0)],
    (0, 1, 30): [(2, 2), (4, 0)],
    (1, 0, 0): [(1, 4), (2, 3), (3, 2), (4, 1), (4, 0)],
    (1, 0, 50): [(2, 4), (4, 2), (4, 0)],
}


@pytest.mark.parametrize(("bounds", "steps"), UPDATES.items())
def test_daemons_are_updated_so_many_at_a_time(bounds, steps):
    surge, unavailable, percent = bounds
    world = World(*(node(f"node{number}") for number in range(1, 5)))
    world.settle(workload("DaemonSet", 0, "old1", max_surge=0, max_unavailable=1))
    changed = workload("DaemonSet", 0, "new1", max_surge=surge, max_unavailable=unavailable, percent_of_nodes=percent)
    for new, old in steps:
        wanted = world.step(changed)
        assert (world.revisions()["new1"], world.revisions()["old1"]) == (new, old)
        assert wanted.unfinished == ([f"DaemonSet default/web: {4 - old} of 4 replaced"] if old else [])
        world.get_ready()


def test_a_daemon_that_is_not_ready_is_replaced_beyond_the_limit():
    world = World()
    world.settle(workload("DaemonSet", 0, "old1"))
    world.fare("Pending", world.names[1], world.names[2])
    world.step(workload("DaemonSet", 0, "new1", max_surge=0, max_unavailable=1))
    assert world.revisions() == {"new1": 3}


def test_daemons_that_do_not_get_ready_stop_the_update():
    world = World()
    world.settle(workload("DaemonSet", 0, "old1"))
    changed = workload("DaemonSet", 0, "new1", max_surge=0, max_unavailable=1)
    for _ in range(3):
        assert world.step(changed).unfinished
        assert world.revisions() == {"new1": 1, "old1": 2}


def test_daemons_of_nodes_out_of_the_run_stay_as_they_are():
    world = World()
    world.settle(workload("DaemonSet", 0, "old1"))
    world.limit("node1", "node2")
    changed = workload("DaemonSet", 0, "new1", max_surge=0, max_unavailable=2)
    world.step(changed)
    world.get_ready()
    wanted = world.step(changed)
    assert world.revisions() == {"new1": 2, "old1": 1} and wanted.unfinished == []
    assert wanted.notes == [
        "DaemonSet default/web: 2 of 3 replaced; the rest waits for nodes that are not part of this run"
    ]


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3), st.lists(st.sets(st.integers(0, 9)), max_size=5))
def test_an_update_of_daemons_keeps_its_bounds_and_settles(count, surge, unavailable, readiness):
    if surge:
        unavailable = 0
    world = World(*(node(f"node{number}") for number in range(1, count + 1)))
    world.settle(workload("DaemonSet", 0, "old1"))
    changed = workload("DaemonSet", 0, "new1", max_surge=surge, max_unavailable=unavailable)
    least = count - (0 if surge else max(unavailable, 1))
    for ready in [*readiness, *[None] * 20]:
        available = {one.node for one in world.present.values() if one.ready}
        wanted = world.step(changed)
        still = {one.node for one in world.present.values() if one.ready}
        assert len(still) >= min(least, len(available))
        assert len(world.present) <= count + surge
        order = sorted(world.names)
        world.get_ready(lambda name, ready=ready, order=order: ready is None or order.index(name) in ready)
    assert not wanted.unfinished and world.revisions() == {"new1": count}


# --- StatefulSet ----------------------------------------------------------------------------------------


def test_stateful_pods_have_names_labels_and_a_host_name_that_stay():
    (pod,) = World().look(workload("StatefulSet", 1, name="db", first_ordinal=3, service_name="data")).pods
    assert (pod.name, pod.revision, pod.template.hostname, pod.template.subdomain) == ("db-3", "aaaa", "db-3", "data")
    assert pod.template.labels == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-3",
        "apps.kubernetes.io/pod-index": "3",
        "controller-revision-hash": "db-aaaa",
    }
    assert pod.template.spec["hostname"] == "db-3" and pod.template.spec["subdomain"] == "data"


def test_stateful_pods_come_one_after_the_other():
    world = World()
    item = workload("StatefulSet", 3, name="db", strategy="OrderedReady")
    assert world.step(item).unfinished == ["StatefulSet default/db: 1 of 3 created"]
    assert names_of(world.step(item)) == ["db-0"]  # it is not ready yet
    world.get_ready()
    assert names_of(world.step(item)) == ["db-0", "db-1"]
    world.get_ready()
    wanted = world.step(item)
    assert names_of(wanted) == ["db-0", "db-1", "db-2"] and wanted.unfinished == []


def test_one_that_is_missing_comes_back_before_those_after_it():
    world = World()
    item = workload("StatefulSet", 3, name="db")
    world.settle(item)
    del world.present["default/db-0"]
    world.fare("Pending", "db-1")
    assert names_of(world.step(item)) == ["db-0", "db-1", "db-2"]
    del world.present["default/db-1"]
    assert names_of(world.step(item)) == ["db-0", "db-2"]  # db-0 is not ready


def test_stateful_pods_go_from_the_highest_one_at_a_time():
    world = World()
    world.settle(workload("StatefulSet", 4, name="db"))
    fewer = workload("StatefulSet", 1, name="db")
    seen = []
    for _ in range(4):
        wanted = world.step(fewer)
        seen.append((names_of(wanted), wanted.unfinished))
    assert seen == [
        (["db-0", "db-1", "db-2"], ["StatefulSet default/db: 2 more to remove"]),
        (["db-0", "db-1"], ["StatefulSet default/db: 1 more to remove"]),
        (["db-0"], []),
        (["db-0"], []),
    ]


def test_nobody_goes_while_one_that_stays_is_not_ready():
    world = World()
    world.settle(workload("StatefulSet", 3, name="db"))
    world.fare("Pending", "db-0")
    assert names_of(world.step(workload("StatefulSet", 1, name="db"))) == ["db-0", "db-1", "db-2"]


def changes_of(wanted: Wanted) -> list[str]:
    return [pod.name for pod in wanted.pods if pod.pinned is None]


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_stateful_pods_are_replaced_from_the_highest_each_when_the_others_are_ready(policy):
    world = World()
    world.settle(workload("StatefulSet", 3, "old1", name="db", strategy=policy))
    changed = workload("StatefulSet", 3, "new1", name="db", strategy=policy)
    before = {key: one.node for key, one in world.present.items()}
    assert changes_of(world.look(changed)) == ["db-2"]
    wanted = world.step(changed)
    assert wanted.unfinished == ["StatefulSet default/db: 1 of 3 replaced"]
    assert changes_of(world.step(changed)) == ["db-2"]
    world.get_ready()
    assert changes_of(world.step(changed)) == ["db-1", "db-2"]
    world.get_ready()
    wanted = world.step(changed)
    assert changes_of(wanted) == ["db-0", "db-1", "db-2"] and wanted.unfinished == []
    assert {key: one.node for key, one in world.present.items()} == before


def test_below_the_partition_old_ones_stay():
    world = World()
    world.settle(workload("StatefulSet", 4, "old1", name="db", first_ordinal=1))
    changed = workload("StatefulSet", 4, "new1", name="db", first_ordinal=1, partition=2)
    assert world.settle(changed) == ["StatefulSet default/db: 1 of 2 replaced"]
    assert {pod.name: pod.revision for pod in world.look(changed).pods} == {
        "db-1": "old1", "db-2": "old1", "db-3": "new1", "db-4": "new1",
    }  # fmt: skip


def test_a_broken_old_one_is_replaced_whoever_else_is_not_ready():
    world = World()
    world.settle(workload("StatefulSet", 3, "old1", name="db"))
    world.fare("Pending", "db-0", "db-1")
    wanted = world.look(workload("StatefulSet", 3, "new1", name="db"))
    assert changes_of(wanted) == ["db-0", "db-1"]
    below = world.look(workload("StatefulSet", 3, "new1", name="db", partition=1))
    assert changes_of(below) == ["db-1"]


def test_parallel_ones_come_and_go_at_once():
    world = World()
    assert names_of(world.step(workload("StatefulSet", 3, name="db", strategy="Parallel"))) == ["db-0", "db-1", "db-2"]
    wanted = world.step(workload("StatefulSet", 1, name="db", strategy="Parallel"))
    assert names_of(wanted) == ["db-0"] and wanted.unfinished == []


def test_a_node_that_is_not_seen_holds_up_the_order_and_nobody_waits():
    world = World(node("node1"), node("node2"))
    world.settle(workload("StatefulSet", 2, name="db"))
    world.lose(world.present["default/db-0"].node)
    wanted = world.step(workload("StatefulSet", 3, name="db"))
    assert names_of(wanted) == ["db-0", "db-1"] and wanted.unfinished == []
    assert wanted.notes == [
        "StatefulSet default/db: 2 of 3 created; the rest waits for nodes that are not part of this run"
    ]


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["OrderedReady", "Parallel"]), st.integers(0, 5))
def test_a_stateful_set_settles_and_ordered_ones_change_one_at_a_time(before, after, policy, partition):
    world = World()
    world.settle(workload("StatefulSet", before, "old1", name="db", strategy=policy))
    changed = workload("StatefulSet", after, "new1", name="db", strategy=policy, partition=partition)
    for _ in range(30):
        was = dict(world.present)
        wanted = world.step(changed)
        touched = sum(1 for key in {*was, *world.present} if was.get(key) != world.present.get(key))
        assert touched <= 1 or policy == "Parallel"
        world.get_ready()
    assert not wanted.unfinished and sorted(world.names) == [f"db-{ordinal}" for ordinal in range(after)]
    old = {pod.name for pod in wanted.pods if pod.pinned}
    assert old == {f"db-{ordinal}" for ordinal in range(min(partition, before, after))}


# --- Job ------------------------------------------------------------------------------------------------


def job(completions: int, parallelism: int = 1, template_hash: str = "aaaa", **more: Any) -> Workload:
    template = PodTemplate(SLEEP, restart_policy="Never", labels={"app": "pi"}, spec={"containers": []})
    return workload("Job", completions, template_hash, "pi", template=template, parallelism=parallelism, **more)


def untils(wanted: Wanted) -> list[tuple[str, bool]]:
    return [(pod.until, pod.pinned is not None) for pod in wanted.pods]


def test_a_job_has_so_many_at_work_as_may_be_and_waits_for_the_end_where_others_wait():
    world = World()
    wanted = world.step(job(5, 2))
    assert untils(wanted) == [("Ended", False)] * 2
    assert wanted.unfinished == ["Job default/pi: 0 of 5 completed"]
    first = names_of(wanted)
    world.fare("Succeeded", *first)
    wanted = world.step(job(5, 2))
    assert untils(wanted) == [("Ended", True)] * 2 + [("Ended", False)] * 2
    assert names_of(wanted)[:2] == first and wanted.unfinished == ["Job default/pi: 2 of 5 completed"]
    world.fare("Succeeded", *names_of(wanted))
    wanted = world.step(job(5, 2))
    assert untils(wanted) == [("Ended", True)] * 4 + [("Ready", False)] and wanted.unfinished == []
    world.fare("Succeeded", *names_of(wanted))
    assert untils(world.step(job(5, 2))) == [("Ended", True)] * 5
    labels = wanted.pods[-1].template.labels
    assert labels == {"app": "pi", "batch.kubernetes.io/job-name": "pi", "job-name": "pi"}
    assert wanted.pods[-1].controller == "Job/pi" and len(names_of(wanted)[0]) == len("pi-") + 5


def test_a_failed_pod_is_replaced_until_the_limit_and_then_the_job_has_failed():
    world = World()
    item = job(2, 2, backoff_limit=1)
    first = names_of(world.step(item))
    world.fare("Failed", first[0])
    wanted = world.step(item)
    assert names_of(wanted)[:2] == first and len(wanted.pods) == 3
    assert untils(wanted) == [("Ended", True), ("Ready", False), ("Ready", False)]
    world.fare("Failed", names_of(wanted)[2])
    wanted = world.step(item)
    assert names_of(wanted) == [first[0], names_of(wanted)[1]]  # who still worked is sent away
    assert untils(wanted) == [("Ended", True)] * 2
    assert wanted.unfinished == [] and wanted.notes == ["Job default/pi: Job has reached the specified backoff limit"]


def test_a_changed_job_starts_over():
    world = World()
    first = names_of(world.step(job(2, 2)))
    world.fare("Succeeded", *first)
    wanted = world.step(job(2, 2, "bbbb"))
    assert untils(wanted) == [("Ready", False)] * 2 and not set(first) & set(names_of(wanted))


def test_a_suspended_job_has_nobody_at_work():
    world = World()
    first = names_of(world.step(job(3, 2)))
    world.fare("Succeeded", first[0])
    wanted = world.step(job(3, 2, suspended=True))
    assert names_of(wanted) == first[:1] and wanted.unfinished == []


def test_less_parallelism_sends_the_last_ones_away():
    world = World()
    three = names_of(world.step(job(9, 3)))
    assert names_of(world.step(job(9, 1))) == three[:1]


def test_pods_of_a_job_whose_node_is_not_seen_are_still_at_work():
    world = World(node("node1"), node("node2"))
    two = names_of(world.step(job(4, 2)))
    world.lose("node2")
    wanted = world.step(job(4, 2))
    assert names_of(wanted) == two and wanted.unfinished


def test_an_indexed_job_tells_each_pod_its_number_and_tries_it_again():
    world = World()
    item = job(3, 2, strategy="Indexed")
    wanted = world.step(item)
    assert [name[:5] for name in names_of(wanted)] == ["pi-0-", "pi-1-"]
    pod = wanted.pods[1]
    index = "batch.kubernetes.io/job-completion-index"
    assert pod.template.labels[index] == pod.template.annotations[index] == "1"
    assert pod.template.containers[0].env == {"JOB_COMPLETION_INDEX": "1"} and pod.template.hostname == "pi-1"
    world.fare("Failed", names_of(wanted)[0])
    world.fare("Succeeded", names_of(wanted)[1])
    again = world.step(item)
    assert sorted(name[:5] for name in names_of(again)) == ["pi-0-", "pi-0-", "pi-1-", "pi-2-"]
    assert again.unfinished == []
    world.fare("Succeeded", *(pod.name for pod in again.pods if pod.pinned is None))
    assert untils(world.step(item)) == [("Ended", True)] * 4


@settings(deadline=None)
@given(
    st.integers(0, 6),
    st.integers(0, 4),
    st.sampled_from(["Indexed", "NonIndexed"]),
    st.lists(st.booleans(), max_size=40),
)
def test_a_job_ends_whatever_becomes_of_its_pods(completions, parallelism, mode, ends):
    world = World()
    item = job(completions, parallelism, strategy=mode, backoff_limit=3)
    fates = iter(ends)
    for _ in range(30):
        wanted = world.step(item)
        active = [pod.name for pod in wanted.pods if pod.pinned is None]
        phases = Counter(one.phase for one in world.present.values())
        assert len(active) <= parallelism and len(active) <= completions - phases["Succeeded"]
        assert len({pod.key for pod in wanted.pods}) == len(wanted.pods)
        world.fare("Running", *active)
        for name in active:
            world.fare("Succeeded" if next(fates, True) else "Failed", name)
    assert not active
    has_failed = phases["Failed"] > 3 and phases["Succeeded"] < completions
    assert bool(wanted.notes) == has_failed
    assert has_failed or not parallelism or phases["Succeeded"] == completions


# --- all of them, again ---------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.permutations([0, 1, 2, 3, 4]), st.integers(0, 4))
def test_the_same_input_gives_the_same_pods_however_it_is_ordered(order, replicas):
    items = [
        workload("Deployment", replicas, "new1"),
        workload("StatefulSet", replicas, "new1", name="db"),
        workload("DaemonSet", 0, "new1", name="agent"),
        workload("ReplicaSet", replicas, "new1", name="rs"),
        job(replicas, 2),
    ]
    world = World()
    world.settle(*(replace(item, template_hash="old1") for item in items if item.kind != "Job"))
    world.step(*items)
    first = {pod.key: pod for pod in world.look(*items).pods}
    world.present = dict(reversed(world.present.items()))
    again = world.look(*items).pods
    assert [pod.key for pod in again] == list(first)
    shuffled = world.look(*(items[index] for index in order)).pods
    assert {pod.key: pod for pod in shuffled} == first


# --- times ---------------------------------------------------------------------------------------------


def aged(world: World, seconds: float) -> None:
    for key, one in world.present.items():
        world.present[key] = one._replace(ready_for=seconds if one.ready else 0.0)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Deployment", {"strategy": "RollingUpdate", "max_surge": 1}),
        ("DaemonSet", {"max_surge": 0, "max_unavailable": 1}),
        ("DaemonSet", {"max_surge": 1, "max_unavailable": 0}),
        ("StatefulSet", {"strategy": "OrderedReady"}),
    ],
)
def test_a_rollout_goes_on_when_pods_have_been_ready_for_long_enough(kind: str, more: dict[str, Any]) -> None:
    world = World()
    replicas = 0 if kind == "DaemonSet" else 3
    world.settle(workload(kind, replicas, "old", **more))
    new = workload(kind, replicas, "new", min_ready=10, **more)
    first = world.step(new)
    assert first.min_ready == {new.key: 10}
    world.get_ready()
    aged(world, 9.5)
    # Those of the old template have been there for ever.
    for key, one in world.present.items():
        if (one.row or {}).get("revision", "old") == "old" and "new" not in str(one.row):
            world.present[key] = one._replace(ready_for=1e9)
    before = dict(world.present)
    again = world.step(new)
    assert world.present.keys() == before.keys(), "it is ready, and yet to count"
    assert again.unfinished and again.min_ready == {new.key: 10}
    aged(world, 10.0)
    world.step(new)
    assert world.present.keys() != before.keys() or world.present != before


def test_pods_of_a_stateful_set_come_when_the_one_before_counts() -> None:
    world, item = World(), workload("StatefulSet", 2, strategy="OrderedReady", min_ready=10)
    world.step(item)
    world.get_ready()
    aged(world, 5.0)
    assert len(world.step(item).pods) == 1
    aged(world, 10.0)
    assert len(world.step(item).pods) == 2


def test_a_job_is_over_when_its_time_is() -> None:
    world, item = World(), workload("Job", 3, parallelism=1, deadline=60, strategy="NonIndexed")
    (pod,) = world.step(item).pods
    assert pod.template.deadline == 60
    key = pod.key
    world.present[key].row["deadline"] = 60  # type: ignore[index]
    world.present[key] = world.present[key]._replace(phase="Succeeded", age=20.0)
    second = world.step(item).pods[-1]
    assert second.template.deadline == 40, "it has what is left of the Job's time"
    world.present[second.key].row["deadline"] = 40  # type: ignore[index]
    world.present[key] = world.present[key]._replace(age=30.0)
    assert world.look(item).pods[-1].template.deadline == 40, "what a pod was given stays"
    world.present[key] = world.present[key]._replace(age=61.0)
    late = world.look(item)
    assert late.notes == ["Job default/web: Job was active longer than specified deadline"]
    assert {one.key for one in late.pods if one.pinned} == {key, second.key}, (
        "its node ends it, and it stays to be seen"
    )
    assert late.unfinished == []
    world.present[second.key] = world.present[second.key]._replace(phase="Failed", age=41.0)
    assert len(world.look(item).pods) == 2, "nobody comes in its place"


def test_a_pod_of_a_job_has_the_shorter_of_both_times() -> None:
    template = PodTemplate(SLEEP, labels={"app": "web"}, spec={"containers": []}, deadline=5)
    for deadline, expected in ((60, 5), (3, 3), (None, 5)):
        (pod,) = World().look(workload("Job", 1, template=template, deadline=deadline)).pods
        assert pod.template.deadline == expected


def test_a_job_without_any_time_makes_no_pods() -> None:
    wanted = World().look(workload("Job", 1, deadline=0))
    assert (wanted.pods, wanted.notes) == ([], ["Job default/web: Job was active longer than specified deadline"])


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_job_that_has_finished_goes_after_its_time_and_is_not_made_again(phase: str) -> None:
    world, item = World(), workload("Job", 1, ttl=100, backoff_limit=0)
    (pod,) = world.step(item).pods
    for ended, gone in ((None, False), (99.0, False), (100.0, True)):
        world.present[pod.key] = world.present[pod.key]._replace(phase=phase, ended_for=ended)
        wanted = world.look(item)
        assert (wanted.pods == []) is gone
        assert (item.key in wanted.expired) is gone
    there: dict[str, Present] = {}
    for present in (world.present, there):
        again = pods_of(Desired((), (item,)), world.nodes, present, wanted.expired)
        assert (again.pods, again.expired) == ([], wanted.expired)
        assert "not there any more" in again.notes[0]
    for other in (replace(item, template_hash="bbbb"), replace(item, ttl=200), replace(item, ttl=None)):
        anew = pods_of(Desired((), (other,)), world.nodes, there, wanted.expired)
        assert len(anew.pods) == 1 and anew.expired == {}


def test_a_job_that_runs_is_not_over() -> None:
    world, item = World(), workload("Job", 2, parallelism=2, ttl=0)
    first, second = world.step(item).pods
    world.present[first.key] = world.present[first.key]._replace(phase="Succeeded", ended_for=1000.0)
    assert len(world.look(item).pods) == 2
    world.present[second.key] = world.present[second.key]._replace(phase="Succeeded", ended_for=0.0)
    assert world.look(item).pods == []

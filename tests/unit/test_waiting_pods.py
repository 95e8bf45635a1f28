"""Pods that wait: for a ConfigMap, a Secret or a key that is not there, or for a node that could take them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from cli.look import describe, get, objects
from cli.look.columns import KINDS
from podlab.controller import rollout_report
from podlab.planner.manifests.model import Wait
from podlab.planner.manifests.objects import survey
from podlab.planner.model import Desired
from tests.unit.bodies import IMAGES, data, document, pod, template_of, workload
from tests.unit.test_plan import LATER, NOW, Lab, pending, places, record

CM, SECRET = data("ConfigMap", "site", data={"a": "x"}), data("Secret", "token", stringData={"a": "x"})
ADD, ADD_KEY = "add it to the manifests, or set optional: true", "add it there, or set optional: true"


def from_env(**source: Any) -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": source}]}


@pytest.mark.parametrize(
    ("container", "message", "advice"),
    [
        (from_env(configMapKeyRef={"name": "no", "key": "a"}), 'configmap "no" not found', ADD),
        (from_env(secretKeyRef={"name": "no", "key": "a"}), 'secret "no" not found', ADD),
        (from_env(configMapKeyRef={"name": "site", "key": "b"}), "couldn't find key b in ConfigMap default/site", ADD_KEY),
        (from_env(secretKeyRef={"name": "token", "key": "b"}), "couldn't find key b in Secret default/token", ADD_KEY),
        ({"envFrom": [{"secretRef": {"name": "no"}}]}, 'secret "no" not found', ADD),
        ({"envFrom": [{"configMapRef": {"name": "no"}}]}, 'configmap "no" not found', ADD),
    ],
)  # fmt: skip
def test_a_variable_that_comes_from_nowhere_holds_up_its_container(container, message, advice):
    assert template_of(pod(container=container), CM, SECRET).waits == (
        Wait("Failed", f"Error: {message}", "c", advice),
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        ({"projected": {"sources": [{"secret": {"name": "no"}}]}}, 'secret "no" not found'),
        ({"configMap": {"name": "site", "items": [{"key": "b", "path": "x"}]}}, "references non-existent config key: b"),
        ({"secret": {"secretName": "token", "items": [{"key": "b", "path": "x"}]}}, "references non-existent secret key: b"),
    ],
)  # fmt: skip
def test_a_volume_that_comes_from_nowhere_holds_up_the_pod(source, message):
    (wait,) = template_of(pod(volumes=[{"name": "v", **source}]), CM, SECRET).waits
    assert wait == Wait("FailedMount", f'MountVolume.SetUp failed for volume "v" : {message}', "", wait.advice)
    assert wait.advice.endswith("or set optional: true")


def test_what_is_optional_is_waited_for_by_nobody():
    container = from_env(secretKeyRef={"name": "no", "key": "a", "optional": True})
    volumes = [{"name": "v", "configMap": {"name": "no", "optional": True}}]
    assert template_of(pod(container=container, volumes=volumes)).waits == ()


def test_a_path_with_a_variable_that_is_waited_for_is_no_mistake():
    mount = {"name": "v", "mountPath": "/v", "subPathExpr": "$(A)"}
    container = {**from_env(secretKeyRef={"name": "no", "key": "a"}), "volumeMounts": [mount]}
    assert len(template_of(pod(container=container, volumes=[{"name": "v"}])).waits) == 1


def test_a_namespace_that_no_manifest_has_is_made_and_said_once():
    wanted, problems = survey(
        [pod("a", metadata={"namespace": "far"}), pod("b", metadata={"namespace": "far"})], IMAGES
    )
    assert (problems, "far" in wanted.namespaces) == ([], True)
    assert wanted.notes == ('namespace "far" is made, though no manifest has it; on a cluster it has to be there',)
    declared = survey([pod("a", metadata={"namespace": "far"}), document("Namespace", "far")], IMAGES)[0]
    assert declared.notes == ()


# --- in a run -------------------------------------------------------------------------------------------


DB = data("Secret", "db", stringData={"password": "x"})
ENV = from_env(secretKeyRef={"name": "db", "key": "password"})


def wanted(*documents) -> Desired:
    found, problems = survey(documents, IMAGES)
    assert problems == []
    return found


def blog(kind: str = "Deployment", **spec: Any):
    return workload(kind, template={"containers": [{"name": "c", "image": "nginx", **ENV}]}, **spec)


def waiting(result: dict[str, Any]) -> list[str]:
    return [held["pod"].rpartition("-")[0] or held["pod"] for held in result["pending_pods"]]


def test_only_the_pod_that_lacks_its_secret_is_not_made_and_it_comes_with_the_secret():
    lab = Lab()
    first = lab.run(wanted(pod("a", container=ENV), pod("b")))
    assert [one.pods.keys() for one in lab.hosts.values()] == [set(), {"default_b"}, set(), set()]
    assert first["pending_pods"] == [
        {
            "pod": "default/a",
            "owner": "",
            "node": "node1",
            "words": [f"container 'c' waits: Failed: Error: secret \"db\" not found; {ADD}"],
        }
    ]
    assert "rollout" in first["hosts"]["node1"]["pending"]
    again = lab.plan(wanted(pod("a", container=ENV), pod("b")))
    assert pending(again) == {}
    assert again["hosts"]["node1"]["pending"] == ["rollout"], "so that its end tells of the pod"
    then = lab.run(wanted(pod("a", container=ENV), pod("b"), DB), now=LATER)
    assert places(then).keys() == {"a", "b"}
    assert then["pending_pods"] == []
    assert "pending" not in record(then)
    assert record(then)["created"] | {} == record(then)["created"]


def test_a_pod_of_another_runtime_waits_and_the_others_run():
    result = Lab().run(wanted(pod("a", runtimeClassName="gvisor"), pod("b")))
    assert places(result).keys() == {"b"}
    (held,) = result["pending_pods"]
    assert held["words"] == [
        'FailedCreatePodSandBox: no runtime for "gvisor" is configured; '
        "leave spec.runtimeClassName out: there is one way to run a container"
    ]


def test_what_runs_goes_on_when_its_secret_goes():
    lab = Lab()
    lab.run(wanted(pod("a", container=ENV), blog(replicas=2), DB))
    after = lab.run(wanted(pod("a", container=ENV), blog(replicas=2)))
    assert after["pending_pods"] == []
    assert not any("pods" in groups for groups in pending(after).values())
    changed = lab.run(wanted(pod("a", container={**ENV, "args": ["other"]}), blog(replicas=2)))
    assert waiting(changed) == ["default/a"]


def test_a_new_template_that_waits_leaves_the_old_pods_where_they_are_and_its_rollout_comes_to_rest():
    lab = Lab()
    before = wanted(workload(replicas=4), DB)
    lab.run(before)
    for _ in range(3):
        result = lab.run(wanted(blog(replicas=4)))
    assert pending(result) == {}
    assert sum(len(host.pods) for host in lab.hosts.values()) >= 3
    assert result["pending_pods"] and result["unfinished"] == ["Deployment default/web: 2 of 4 replaced"]


def test_a_stateful_set_waits_with_its_first_pod():
    lab = Lab()
    result = lab.run(wanted(blog("StatefulSet", replicas=3)))
    assert waiting(result) == ["default/web"]
    assert result["unfinished"]


# --- what people see ------------------------------------------------------------------------------------


def state_after(result: dict[str, Any]) -> objects.State:
    return objects.State(record(result), {"node1": None, "node2": None}, 0.0)


def cells(state: objects.State) -> list[list[str]]:
    now = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    return [[*KINDS["pods"].cells(item, now)[:5], item["spec"].get("nodeName", "")] for item in objects.pods(state)]


def test_get_says_what_a_pod_waits_for():
    mounted = pod("b", volumes=[{"name": "v", "secret": {"secretName": "no"}}])
    init = {"name": "i", "image": "busybox", **ENV}
    documents = [
        pod("a", container=ENV),
        mounted,
        pod("c", initContainers=[init]),
        pod("d", nodeSelector={"disk": "ssd"}),
    ]
    result = Lab().run(wanted(*documents))
    assert cells(state_after(result)) == [
        ["a", "0/1", "CreateContainerConfigError", "0", "0s", "node1"],
        ["b", "0/1", "ContainerCreating", "0", "0s", "node2"],
        ["c", "0/1", "Init:CreateContainerConfigError", "0", "0s", "node1"],
        ["d", "0/1", "Pending", "0", "0s", ""],
    ]


@pytest.mark.parametrize(
    ("document", "event"),
    [
        (pod("a", container=ENV), ["Warning", "Failed", "kubelet", 'Error: secret "db" not found']),
        (
            pod("a", volumes=[{"name": "v", "secret": {"secretName": "no"}}]),
            ["Warning", "FailedMount", "kubelet", 'MountVolume.SetUp failed for volume "v" : secret "no" not found'],
        ),
        (
            pod("a", nodeSelector={"disk": "ssd"}),
            [
                *("Warning", "FailedScheduling", "default-scheduler"),
                "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            ],
        ),
    ],
)
def test_describe_has_the_event(document, event):
    state = state_after(Lab().run(wanted(document)))
    (item,) = objects.pods(state)
    now = datetime.datetime(2030, 1, 1, 0, 1, tzinfo=datetime.timezone.utc)
    events, pause = describe._more(state, [item], {})[0]
    last = describe.text(state, item, now, events, pause).splitlines()[-1]
    assert last.split(maxsplit=4) == [event[0], event[1], "60s", *event[2:]]


def test_a_run_says_it_at_its_end_and_replicas_that_wait_for_the_same_once():
    result = Lab().run(wanted(pod("a", container=ENV), blog(replicas=3)))
    facts = {"podlab_plan": {**result, "unfinished": []}, "ansible_play_hosts": []}
    first = result["pending_pods"][1]["pod"]
    said = f"  container 'c' waits: Failed: Error: secret \"db\" not found; {ADD}"
    assert rollout_report.lines([], facts) == [
        "4 pods are not ready; everything else is in place",
        *("pod default/a on node1:", said),
        *(f"pod {first} and 2 more of Deployment/default/web:", said),
    ]
    assert rollout_report.lines([], {**facts, "ansible_check_mode": True}) == []


def test_an_older_record_has_none(capsys):
    lab = Lab()
    result = lab.run(wanted(pod("a")))
    assert "pending" not in record(result)
    get.show({"pods": objects.pods(state_after(result))}, get.OutputOptions("name"))
    assert capsys.readouterr().out == "pod/a\n"
    assert NOW < LATER

"""What may not change about an object while it exists, told from the newest record in the API server's words."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from podlab.planner.inputs.host import Host, architecture
from podlab.planner.inputs.settings import Cluster
from podlab.planner.ipam.allocations import with_remembered_labels
from podlab.planner.manifests import objects
from podlab.planner.manifests.defaults import without_defaults
from podlab.planner.manifests.updates import IMMUTABLE, ONCE_SET, WAY_OUT, changed_pods
from podlab.planner.model import Document, Invalid, Pod, PodTemplate
from podlab.planner.plan import plan
from podlab.planner.scheduler.filters import matches_selector
from tests.simulated_host import SimulatedHost
from tests.unit.bodies import IMAGES, data, document, endpoint_slice, pod, service, workload

NOW = "2030-01-01T00:00:00Z"
SEALED = "field is immutable when `immutable` is set" + WAY_OUT
STATEFUL_SET = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
    f"forbidden{WAY_OUT}"
)


class Lab:
    """One node that keeps its record from run to run."""

    def __init__(self) -> None:
        self.node = SimulatedHost("10.100.0.2/24")

    def run(self, *documents: Document) -> list[str]:
        """What is wrong with the next step; where nothing is, it is taken, and the record written down."""
        wanted, problems = objects.survey(documents, IMAGES)
        assert problems == []
        host = Host("node1", "node", "10.100.0.2", observation=self.node.observe())
        cluster = Cluster(pod_routing="host-gw")
        try:
            made = plan(cluster, [host], wanted, {}, NOW)
        except Invalid as error:
            return [line.partition(" is invalid: ")[2] for line in error.problems]
        self.notes = made["notes"]
        rows = json.loads(json.dumps(made["hosts"]["node1"]))
        self.node.apply(rows, rows["pending"])
        return []


def after(first: Document | list[Document], then: Document | list[Document]) -> list[str]:
    """What is said of ``then`` where ``first`` has been applied. To take it out and put it in again is a way out."""
    lab = Lab()
    one, two = ([item] if isinstance(item, Document) else item for item in (first, then))
    assert lab.run(*one) == []
    problems = lab.run(*two)
    if problems:
        assert lab.run() == [] and lab.run(*two) == []
    return problems


def labelled(value: str, kind: str = "Deployment", **spec: Any) -> Document:
    one = copy.deepcopy(workload(kind, **spec))
    one.body["spec"]["selector"] = {"matchLabels": {"app": value}}
    one.body["spec"]["template"]["metadata"]["labels"] = {"app": value}
    return one


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "DaemonSet"])
def test_a_selector_stays(kind):
    assert after(labelled("web", kind), labelled("web", kind)) == []
    assert after(labelled("web", kind), labelled("api", kind)) == [
        f'spec.selector: Invalid value: {{"matchLabels":{{"app":"api"}}}}: {IMMUTABLE}'
    ]


def test_an_expression_is_a_part_of_the_selector():
    expression = {"key": "app", "operator": "In", "values": ["web"]}
    both = {"matchLabels": {"app": "web"}, "matchExpressions": [expression]}
    (problem,) = after(workload(selector=both), workload())
    assert problem == f'spec.selector: Invalid value: {{"matchLabels":{{"app":"web"}}}}: {IMMUTABLE}'


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"serviceName": "a"}, {"serviceName": "b"}, [STATEFUL_SET]),
        ({"podManagementPolicy": "Parallel"}, {}, [STATEFUL_SET]),
        ({"podManagementPolicy": "OrderedReady"}, {}, []),
        ({}, {"replicas": 2, "ordinals": {"start": 1}, "minReadySeconds": 3, "revisionHistoryLimit": 2}, []),
        ({}, {"template": {"metadata": {"labels": {"app": "web", "v": "2"}}, "spec": {"containers": [{"name": "d", "image": "nginx"}]}}}, []),
    ],
)  # fmt: skip
def test_a_stateful_set(before, now, expected):
    assert after(workload("StatefulSet", **before), workload("StatefulSet", **now)) == expected


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def with_claim(**spec: Any) -> dict[str, Any]:
    return {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {**CLAIM, **spec}}]}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (with_claim(), with_claim(), []),
        (with_claim(), with_claim(volumeMode="Filesystem"), []),
        (with_claim(), with_claim(storageClassName="fast"), [STATEFUL_SET]),
        (with_claim(), {}, [STATEFUL_SET]),
        ({}, with_claim(), [STATEFUL_SET]),
    ],
)
def test_claim_templates_stay(before, now, expected):
    assert after(workload("StatefulSet", **before), workload("StatefulSet", **now)) == expected


@pytest.mark.parametrize(
    ("change", "is_refused"),
    [
        ({}, False),
        ({"resources": {"requests": {"storage": "2Gi"}}}, False),
        ({"storageClassName": "fast"}, True),
        ({"accessModes": ["ReadWriteMany"]}, True),
    ],
)
def test_a_claim_stays_but_for_its_size(change, is_refused):
    first, then = (document("PersistentVolumeClaim", "data", spec=spec) for spec in (CLAIM, {**CLAIM, **change}))
    words = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName"
    found = after(first, then)
    assert len(found) == is_refused
    assert all(words in line for line in found)


def test_a_stateful_set_has_one_word_for_everything():
    two = labelled("api", "StatefulSet", serviceName="other", podManagementPolicy="Parallel")
    assert after(workload("StatefulSet"), two) == [STATEFUL_SET]


def job(template: dict[str, Any] | None = None, **spec: Any) -> Document:
    return copy.deepcopy(workload("Job", template, **spec))


INDEXED = {"completionMode": "Indexed"}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"completions": 2}, {"completions": 3}, [f"spec.completions: Invalid value: 3: {IMMUTABLE}"]),
        ({"completions": 1}, {}, []),
        ({"parallelism": 2}, {"parallelism": 3, "backoffLimit": 9, "activeDeadlineSeconds": 3}, []),
        ({"parallelism": 2}, {"parallelism": 2, "completions": 2}, [f"spec.completions: Invalid value: 2: {IMMUTABLE}"]),
        ({"completions": 2}, {"completions": 2, **INDEXED}, [f'spec.completionMode: Invalid value: "Indexed": {IMMUTABLE}']),
        ({"completions": 2, "parallelism": 2, **INDEXED}, {"completions": 3, "parallelism": 3, **INDEXED}, []),
        ({"completions": 2, **INDEXED}, {"completions": 3, **INDEXED}, ["spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"]),
        ({"suspend": True}, {"suspend": False}, []),
    ],
)  # fmt: skip
def test_a_job(before, now, expected):
    assert after(job(**before), job(**now)) == expected


def test_the_template_of_a_job():
    (problem,) = after(job(), job({"hostname": "h"}))
    assert problem.startswith("spec.template: Invalid value: ") and problem.endswith(IMMUTABLE)
    plain = {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30}
    assert after(job(), job({**plain, "tolerations": None, "securityContext": {}})) == []
    # Where it may run, a suspended one may still be told.
    elsewhere = {"nodeSelector": {"kubernetes.io/os": "linux"}}
    assert after(job(suspend=True), job(elsewhere)) == []
    (problem,) = after(job(), job(elsewhere))
    assert problem.startswith("spec.template")


def test_a_secret_keeps_its_type():
    one, other = data("Secret", "s"), data("Secret", "s", type="example.com/mine")
    assert after(one, data("Secret", "s", type="Opaque", data={"a": "YQ=="})) == []
    assert after(one, other) == [f'type: Invalid value: "example.com/mine": {IMMUTABLE}']
    assert after(other, one) == [f'type: Invalid value: "Opaque": {IMMUTABLE}']


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"data": {"a": "2"}}, []),
        ({"immutable": True}, {"immutable": True}, []),
        ({"immutable": True}, {"immutable": True, "data": {"a": "2"}}, [f"data: Forbidden: {SEALED}"]),
        ({"immutable": True}, {"immutable": True, "binaryData": {"b": "YQ=="}}, [f"binaryData: Forbidden: {SEALED}"]),
        ({"immutable": True}, {}, [f"immutable: Forbidden: {SEALED}"]),
        ({"immutable": True}, {"immutable": False, "data": {}}, [f"immutable: Forbidden: {SEALED}", f"data: Forbidden: {SEALED}"]),
        ({}, {"immutable": True, "data": {"a": "2"}}, []),
        ({"immutable": True}, {"immutable": True, "metadata": {"labels": {"a": "b"}}}, []),
    ],
)  # fmt: skip
def test_a_config_map_that_is_immutable(before, now, expected):
    one, two = ({"data": {"a": "1"}, **body} for body in (before, now))
    assert after(data("ConfigMap", "c", **one), data("ConfigMap", "c", **two)) == expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"data": {"a": "YWI="}}, {"stringData": {"a": "ab"}}, []),
        ({"data": {"a": "YWI="}}, {"data": {"a": "Y\nWI="}}, []),
        ({"stringData": {"a": "x"}}, {"stringData": {"a": "y"}}, [f"data: Forbidden: {SEALED}"]),
    ],
)
def test_the_data_of_a_secret_that_is_immutable_may_be_written_in_another_way(before, now, expected):
    one, two = (data("Secret", "s", immutable=True, **body) for body in (before, now))
    assert after(one, two) == expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"loadBalancerClass": "a/b"}, [f'spec.loadBalancerClass: Invalid value: "a/b": {ONCE_SET}']),
        ({"loadBalancerClass": "a/b"}, {}, [f"spec.loadBalancerClass: Invalid value: null: {ONCE_SET}"]),
        ({"loadBalancerClass": "a/b"}, {"loadBalancerClass": "a/b"}, []),
        ({"loadBalancerClass": "a/b"}, {"type": "ClusterIP"}, []),
        ({"type": "NodePort"}, {"loadBalancerClass": "a/b"}, []),
    ],
)
def test_the_class_of_a_load_balancer(before, now, expected):
    one, two = (service(**{"type": "LoadBalancer", **spec}) for spec in (before, now))
    assert after(one, two) == expected


def test_the_family_of_a_slice():
    one, other = endpoint_slice(), endpoint_slice(addressType="FQDN")
    assert after([service(), one], [service(), other]) == [f'addressType: Invalid value: "FQDN": {IMMUTABLE}']


def test_all_of_them_are_told_at_once_each_with_its_place():
    lab = Lab()
    lab.run(labelled("web"), data("Secret", "s"))
    wanted, _ = objects.survey([labelled("api"), data("Secret", "s", type="a/b")], IMAGES)
    host = Host("node1", "node", "10.100.0.2", observation=lab.node.observe())
    with pytest.raises(Invalid) as caught:
        plan(Cluster(pod_routing="host-gw"), [host], wanted, {}, NOW)
    assert [line.partition(" is invalid")[0] for line in caught.value.problems] == [
        'm/w.yaml:1: The Deployment "web"',
        'm/data.yaml:1: The Secret "s"',
    ]


def test_a_record_of_an_older_podlab_knows_less_and_forbids_less():
    lab = Lab()
    lab.run(job(completions=2))
    del lab.node.record["cluster"]["workloads"][0]["job"]
    assert lab.run(job({"hostname": "h"}, completions=3)) == []


# --- pods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "is_told"),
    [
        ({}, False),
        ({"container": {"image": "nginx"}}, False),
        ({"tolerations": [{"operator": "Exists"}]}, False),
        ({"dnsPolicy": "ClusterFirst"}, False),
        ({"metadata": {"labels": {"a": "b"}}}, False),
        ({"container": {"env": [{"name": "A", "value": "b"}]}}, True),
        ({"hostname": "h"}, True),
    ],
)
def test_a_bare_pod_may_become_another_and_it_is_said_that_a_cluster_would_not_let_it(now, is_told):
    lab = Lab()
    assert lab.run(pod("web")) == [] and lab.run(pod("web", **now)) == []
    assert [note.partition(";")[0] for note in lab.notes] == (["pod default/web is changed"] if is_told else [])


def test_many_changed_pods_are_one_note():
    assert changed_pods([Pod("default", "x", PodTemplate(()), "a.yml:1")], {}) == []
    lab = Lab()
    lab.run(*(pod(name) for name in "abcde"))
    lab.run(*(pod(name, hostname="h") for name in "abcde"))
    (note,) = lab.notes
    assert note.startswith("pod default/a, default/b, default/c and 2 more is changed; the API server refuses that")


def test_what_holds_anyway_is_no_difference():
    written = {"containers": [{"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}], "tty": False}]}
    assert without_defaults(written) == {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}
    assert without_defaults({"labels": {"protocol": "TCP"}}) == {"labels": {"protocol": "TCP"}}
    assert without_defaults({"limits": {"cpu": 1}}) == without_defaults({"limits": {"cpu": "1"}})


# --- what a node is -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("riscv64", "riscv64")]
)
def test_a_node_has_the_labels_of_its_machine(machine, arch):
    node = Host("n", "node", "10.0.0.1", observation={"machine": machine})
    assert architecture(machine) == arch
    for prefix in ("kubernetes.io", "beta.kubernetes.io"):
        wish = {f"{prefix}/arch": arch, f"{prefix}/os": "linux"}
        assert matches_selector(PodTemplate((), node_selector=wish), node)
    other = Host("n", "node", "10.0.0.1", {"kubernetes.io/arch": "s390x"}, observation={"machine": machine})
    assert other.all_labels()["kubernetes.io/arch"] == "s390x"


def test_a_node_that_is_not_seen_is_of_the_architecture_that_it_was_of():
    seen = {
        "record": {
            "cluster": {"generation": 1, "nodes": {"n": {"labels": {"kubernetes.io/arch": "arm64", "zone": "a"}}}}
        }
    }
    hosts = [Host("n", "node", "10.0.0.1"), Host("m", "node", "10.0.0.2", observation=seen)]
    known = with_remembered_labels(hosts)
    assert known[0].all_labels()["kubernetes.io/arch"] == "arm64"
    assert "zone" not in known[0].all_labels() and known[1] is hosts[1]

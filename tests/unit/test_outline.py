"""``./lab plan``: what a run would do, without a look at any host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli.look import plan as command
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.manifests.objects import survey
from podlab.planner.model import Document
from podlab.planner.outline.outline import Outcome, Row, outline
from tests.unit.bodies import IMAGES, data, document, pod, service, workload
from tests.unit.test_kinds import cron_job

ROOT = Path(__file__).resolve().parents[2]
NODES = [Host(f"node{number}", "node", f"10.100.0.{number + 1}", observation={}) for number in (1, 2)]  # type: ignore[typeddict-item]
MISSING = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "a"}}}]}


def rows(*documents: Document, hosts=NODES, **settings) -> list[Row]:
    wanted, problems = survey(documents, IMAGES)
    gateway = Host("gateway", "gateway", "10.100.0.1", observation={})  # type: ignore[typeddict-item]
    return list(outline(Cluster(**settings), [*hosts, gateway], wanted, problems).rows)


@pytest.mark.parametrize("app", sorted((ROOT / "tests" / "apps").iterdir()), ids=lambda path: path.name)
def test_what_is_walked_again_and_again_comes_up_as_it_is(app: Path):
    """tests/campaigns/verify_faults.py has to see every one of these green."""
    documents = [
        Document(body, str(file), 1) for file in sorted(app.iterdir()) for body in yaml.safe_load_all(file.read_text())
    ]
    assert not {row.outcome for row in rows(*documents)} & {Outcome.WAITS, Outcome.REFUSED}


def test_what_comes_up_and_where():
    assert rows(workload(replicas=3), pod("lone"), service("web"), service("none")) == [
        Row(Outcome.UP, "Pod", "default", "lone", "1 pod on node1"),
        Row(Outcome.UP, "Deployment", "default", "web", "3 pods: 2 on node2, 1 on node1"),
        Row(Outcome.UP, "Service", "default", "web", "ClusterIP, 80/TCP to 3 pods"),
        Row(Outcome.UP, "Service", "default", "none", "ClusterIP, 80/TCP to 0 pods"),
    ]


def test_all_pods_of_a_stateful_set_count_though_they_come_one_by_one():
    (row,) = rows(workload("StatefulSet", replicas=3))
    assert row.why == "3 pods: 2 on node1, 1 on node2"


def test_every_outcome_in_its_order():
    found = rows(
        pod("bad", schedulingGates=[{"name": "x"}]),
        pod("waits", MISSING),
        document("Role", "r", "rbac.authorization.k8s.io/v1"),
        document("NetworkPolicy", "n", "networking.k8s.io/v1"),
        cron_job(),
        data("ConfigMap", "site", data={"a": "b"}),
        document("Namespace", "far"),
        pod("up", priorityClassName="high"),
        document("Deployment", "old", "extensions/v1beta1"),
    )
    assert [(row.outcome.value, row.kind, row.name) for row in found] == [
        ("comes up", "Pod", "up"),
        ("kept", "Namespace", "far"),
        ("kept", "ConfigMap", "site"),
        ("kept", "CronJob", "nightly"),
        ("ignored", "NetworkPolicy", "n"),
        ("ignored", "Role", "r"),
        ("ignored", "Pod", "spec.priorityClassName"),
        ("waits", "Pod", "waits"),
        ("refused", "Pod", "bad"),
        ("refused", "", ""),
    ]
    assert found[7].why == 'Error: secret "no" not found (add it to the manifests, or set optional: true)'
    assert found[8].why.startswith("m/p.yaml:1: spec.schedulingGates: Forbidden: ")
    assert found[9].why.startswith('m/x.yaml:1: no matches for kind "Deployment" in version "extensions/v1beta1"; ')


def test_claims_of_a_stateful_set_are_there_for_its_pods():
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mount = {"name": "c", "image": "nginx", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    (row,) = rows(workload("StatefulSet", {"containers": [mount]}, replicas=2, volumeClaimTemplates=[claim]))
    assert (row.outcome, row.why) == (Outcome.UP, "2 pods: 1 on node1, 1 on node2")


def test_what_stands_in_for_what():
    wanted, problems = survey(
        [
            workload(
                template={"containers": [{"name": "c", "image": "example.com/app", "ports": [{"containerPort": 80}]}]}
            )
        ],
        IMAGES,
        unknown_images="stand-in",
    )
    gateway = Host("gateway", "gateway", "10.100.0.1", observation={})  # type: ignore[typeddict-item]
    (row,) = outline(Cluster(), [*NODES, gateway], wanted, problems).rows
    assert (row.outcome, row.why) == (Outcome.STANDS_IN, "1 pod on node1; a stand-in for example.com/app at 80/TCP")


def test_pods_that_fit_no_node_wait_and_their_siblings_come_up():
    up, waiting = rows(workload(replicas=14), hosts=NODES[:1], node_prefix=28)
    assert (up.outcome, up.why) == (Outcome.UP, "13 pods: 13 on node1")
    assert waiting.outcome is Outcome.WAITS
    assert waiting.why.startswith("1 of 14 pods: 0/1 nodes are available: 1 node(s) had no IP addresses")


def test_what_only_the_cluster_as_a_whole_refuses():
    clash = [service(name, type="NodePort", ports=[{"port": 80, "nodePort": 30080}]) for name in ("a", "b")]
    assert [(row.outcome, row.name) for row in rows(*clash)] == [(Outcome.UP, "a"), (Outcome.REFUSED, "b")]
    assert rows(pod(), hosts=[])[-1].why == "inventory: the group nodes is empty; a cluster has at least one node"


# --- the command ----------------------------------------------------------------------------------------

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: busybox, tty: true}]}\n"


def test_the_table_of_a_file(tmp_path, capsys):
    (tmp_path / "p.yml").write_text(POD.replace("{name: p}", "{name: p, namespace: far}"))
    assert command.main(["--manifests", str(tmp_path / "p.yml")], []) == 0
    assert capsys.readouterr().out == (
        "OUTCOME    KIND        NAMESPACE   NAME                     WHY\n"
        "comes up   Pod         far         p                        1 pod on node1\n"
        "kept       Namespace               far                      holds what names it\n"
        "ignored    Pod                     spec.containers[*].tty   it has no meaning here\n"
        'note: namespace "far" is made, though no manifest has it; on a cluster it has to be there\n'
    )


def test_programs_get_json_and_the_exit_code_of_what_is_refused(tmp_path, capsys):
    (tmp_path / "p.yml").write_text(POD.replace("image: busybox", "image: busybox, nose: 1"))
    assert command.main(["--manifests", str(tmp_path), "-o", "json"], []) == 2
    found = json.loads(capsys.readouterr().out)
    assert [item["outcome"] for item in found["items"] if item["outcome"] != "ignored"] == ["refused"]
    assert (found["items"][-1]["namespace"], found["items"][-1]["name"]) == ("default", "p")
    assert 'unknown field "spec.containers[0].nose"' in found["items"][-1]["why"]


def test_the_inventory_and_what_is_given_besides_count(tmp_path, capsys):
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(
        "gateways: {hosts: {g: {ansible_host: 10.100.0.1}}}\nnodes:\n  hosts:\n"
        "    a: {ansible_host: 10.100.0.2, node_labels: {disk: ssd}}\n"
        "    b: {ansible_host: 10.100.0.3, node_taints: ['x=y:NoSchedule']}\n"
    )
    picky = POD.replace("spec: {", "spec: {nodeSelector: {disk: hdd}, ")
    (tmp_path / "p.yml").write_text(
        POD.replace("spec: {", "spec: {nodeSelector: {disk: ssd}, ") + "---\n" + picky.replace("name: p", "name: q")
    )
    words = ["-i", str(hosts), "--manifests", str(tmp_path / "p.yml")]
    assert command.main(words, []) == 0
    assert "1 pod on a\n" in (said := capsys.readouterr().out)
    assert "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {x: y}" in said
    assert command.main([*words, "-e", "podlab_cluster_cidr=10.100.0.0/16", "-e", '{"podlab_bridg": "x"}'], []) == 2
    said = capsys.readouterr().out
    assert "lies in podlab_cluster_cidr 10.100.0.0/16" in said
    assert "podlab_bridg: unknown setting; did you mean podlab_bridge?" in said


@pytest.mark.parametrize("app", sorted(path.name for path in Path(__file__).parents[1].joinpath("apps").iterdir()))
def test_the_applications_of_the_tests_plan(app, capsys):
    """Two of them ask for what is not there: a Secret, and settings that are off."""
    path = Path(__file__).parents[1] / "apps" / app
    assert command.main(["--manifests", str(path), "-o", "json"], []) == 0
    outcomes = {item["outcome"] for item in json.loads(capsys.readouterr().out)["items"]}
    assert ("waits" in outcomes) == (app in ("agent", "blog"))

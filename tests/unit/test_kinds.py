"""Kinds that are passed over, kinds of another time, ReplicationController, and where manifests are read from."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from cli import arguments
from cli.errors import CommandError
from cli.look import describe, workloads
from cli.look import objects as look
from cli.look.columns.workloads import cronjob, replicaset
from podlab.controller import manifest_files, manifests
from podlab.planner.manifests import kinds
from podlab.planner.manifests.cron_jobs import NewJob, documents_by_hand
from podlab.planner.manifests.kind_table import CUSTOM, GROUPS, IGNORED, ISOLATION
from podlab.planner.manifests.objects import KINDS, survey
from podlab.planner.model import Desired, Document
from tests.answers import NOW
from tests.unit.bodies import IMAGES, document, pod, problems_of, wrong
from tests.unit.test_plan import Lab, record

SCHEMAS = Path(sys.prefix).glob("lib/python*/site-packages/kubernetes_validate/kubernetes-json-schema")


def read(*documents: Document) -> Desired:
    wanted, problems = survey(documents, IMAGES)
    assert problems == []
    return wanted


# --- passed over ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [(kind, one) for kind, (known, _) in IGNORED.items() for one in known])
def test_a_kind_without_meaning_is_passed_over_whatever_is_in_it(kind, version):
    (ignored,) = read(document(kind, version=version, spec={"anything": [1]})).ignored_objects
    assert (ignored.kind, ignored.name, ignored.why) == (kind, "x", IGNORED[kind][1])


def test_versions_are_those_of_the_api():
    """A schema has the kind under the version that the table calls present."""
    folder = max(next(SCHEMAS).glob("v1.*-local-strict"), key=lambda path: int(path.name.split(".")[1]))
    known = {path.stem for path in folder.iterdir()}
    newest = {(kind, versions[0]) for kind, (versions, _) in IGNORED.items()} | {(kind, one) for one, kind in KINDS}
    names = ("-".join(filter(None, (kind.lower(), *_group(version)))) for kind, version in sorted(newest))
    assert [name for name in names if name not in known] == []


def _group(version: str) -> tuple[str, str]:
    group, _, number = version.rpartition("/")
    return group.partition(".")[0], number


def test_a_custom_resource_is_passed_over_and_a_slip_is_not():
    (ignored,) = read(document("Certificate", version="cert-manager.io/v1")).ignored_objects
    assert ignored.why == CUSTOM
    assert read(document("Gateway", version="gateway.networking.k8s.io/v1")).ignored_objects[0].why == CUSTOM
    for version, kind in (("apps/v1", "Deploymnet"), ("app/v1", "Deployment"), ("v1", "Binding"), ("v1", "Deployment")):
        (problem,) = wrong(document(kind, version=version))
        assert problem.startswith(f'm/x.yaml:1: no matches for kind "{kind}" in version "{version}"; ')


def test_a_line_for_each_kind_and_isolation_first():
    documents = [document("ServiceAccount", f"s{index}") for index in range(5)]
    documents += [document("Role", "r", "rbac.authorization.k8s.io/v1")]
    documents += [document("NetworkPolicy", name, "networking.k8s.io/v1") for name in ("deny", "allow")]
    found = kinds.notes(read(*documents).ignored_objects)
    assert found == [
        f"NetworkPolicy deny, allow are {ISOLATION}",
        "ignored: ServiceAccount s0, s1, s2 and 2 more: there is no API server that a pod could speak to",
        "ignored: Role r: there is no API server that a pod could speak to",
    ]
    assert Lab().plan(read(*documents))["notes"][:3] == found


@pytest.mark.parametrize(
    ("kind", "version", "present"),
    [
        ("Deployment", "extensions/v1beta1", "apps/v1"),
        ("StatefulSet", "apps/v1beta2", "apps/v1"),
        ("Ingress", "extensions/v1beta1", "networking.k8s.io/v1"),
        ("Ingress", "networking.k8s.io/v1beta1", "networking.k8s.io/v1"),
        ("ClusterRole", "rbac.authorization.k8s.io/v1beta1", "rbac.authorization.k8s.io/v1"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2beta2", "autoscaling/v2"),
        ("PodDisruptionBudget", "policy/v1beta1", "policy/v1"),
        ("CronJob", "batch/v1beta1", "batch/v1"),
        ("EndpointSlice", "discovery.k8s.io/v1beta1", "discovery.k8s.io/v1"),
    ],
)
def test_an_old_version_is_refused_with_the_new_one(kind, version, present):
    assert wrong(document(kind, version=version)) == [
        f'm/x.yaml:1: no matches for kind "{kind}" in version "{version}"; it is {present} by now: '
        f"write apiVersion: {present}, and mind what has changed in it"
    ]
    assert version.rpartition("/")[0] in GROUPS


def test_a_kind_that_is_gone():
    (problem,) = wrong(document("PodSecurityPolicy", version="policy/v1beta1"))
    assert problem.endswith("; Kubernetes 1.25 has taken it away; leave it out")


# --- ReplicationController ------------------------------------------------------------------------------


def controller(selector: Any = None, labels: Any = None, **spec: Any) -> Document:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    own = {"template": template, **({"selector": selector} if selector else {}), **spec}
    return document("ReplicationController", "web", "v1", spec=own)


def test_a_replication_controller_makes_its_pods():
    lab, wanted = Lab(), read(controller({"a": "b"}, {"a": "b"}, replicas=3))
    result = lab.run(wanted)
    rows = [row for name in ("node1", "node2") for row in result["hosts"][name]["pods"]["pods"]]
    assert len(rows) == 3
    owner = {"apiVersion": "v1", "kind": "ReplicationController", "name": "web", "controller": True}
    assert all(row["object"]["metadata"]["ownerReferences"] == [owner] for row in rows)
    assert not any("pods" in rows["pending"] for rows in lab.plan(wanted)["hosts"].values())


def test_its_selector_is_its_templates_labels_if_it_has_none_and_may_change():
    (item,) = read(controller(labels={"a": "b"})).workloads
    assert (item.selector.labels, item.replicas) == ({"a": "b"}, 1)
    assert wrong(controller({"a": "c"}, {"a": "b"})) == [
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'
    ]
    assert wrong(controller()) == ["spec.selector: Required value"]
    lab = Lab()
    lab.run(read(controller({"a": "b"}, {"a": "b", "c": "d"})))
    lab.run(read(controller({"c": "d"}, {"a": "b", "c": "d"})))


def test_it_adopts_a_bare_pod():
    wanted = read(controller({"a": "b"}, {"a": "b"}, replicas=1), pod("lone", metadata={"labels": {"a": "b"}}))
    result = Lab(1).run(wanted)
    (row,) = result["hosts"]["node1"]["pods"]["pods"]
    assert row["object"]["metadata"]["ownerReferences"][0]["kind"] == "ReplicationController"


def test_get_shows_it_with_its_plain_selector():
    result = Lab().run(read(controller({"a": "b"}, {"a": "b"}, replicas=2)))
    state = look.State(record(result), {"node1": None, "node2": None})
    (item,) = workloads.replicationcontrollers(state)
    assert (item["apiVersion"], item["spec"]["selector"]) == ("v1", {"a": "b"})
    assert replicaset(item, NOW)[:2] + replicaset(item, NOW)[5:] == ["web", "2", "c", "nginx", "a=b"]


# --- where manifests are read from ----------------------------------------------------------------------

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: busybox}]}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for file in ("m/b.yaml", "m/a.yml", "m/.hidden.yml", "m/sub/c.json", "m/.git/d.yml", "one.txt"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(POD % Path(file).stem.strip("."))
    Path("m/sub/c.json").write_text('{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}}')
    return tmp_path


def names(*paths: str, recursive: bool = False) -> list[str]:
    return [source.name for source in manifest_files.sources(paths, recursive).found]


def test_a_directory_a_file_several_and_what_lies_below(here):
    assert names("m") == ["m/a.yml", "m/b.yaml"]
    assert names("m", recursive=True) == ["m/a.yml", "m/b.yaml", "m/sub/c.json"]
    assert names("one.txt", "m/b.yaml", "m") == ["one.txt", "m/b.yaml", "m/a.yml"]
    assert [one.key for one in manifests.read(["one.txt", "m"], IMAGES).pods] == [
        "default/one",
        "default/a",
        "default/b",
    ]


def test_every_path_that_is_not_there_is_said_at_once(here):
    Path("empty").mkdir()
    assert problems_of(manifest_files.sources, ["none", "m", "empty"]) == [
        'error: the path "none" does not exist',
        "error reading [empty]: recognized file extensions are [.json .yaml .yml]",
    ]


def test_a_kustomization_is_named_where_nothing_builds_it(here):
    Path("m/kustomization.yaml").write_text("resources: [a.yml]\n")
    wanted = manifests.read("m", IMAGES)
    assert [one.name for one in wanted.pods] == ["a", "b"]
    assert wanted.notes == (
        "m/kustomization.yaml is not built: neither kustomize nor kubectl is installed here; the files beside it are "
        "read as they stand",
    )


@pytest.mark.parametrize(("program", "words"), [("kustomize", "build"), ("kubectl", "kustomize")])
def test_a_kustomization_is_built_where_something_is_installed(here, program, words):
    Path("m/kustomization.yml").write_text("namePrefix: x-\n")
    tool = here / "bin" / program
    tool.parent.mkdir()
    tool.write_text(
        f"#!/bin/sh\n[ \"$1 $2\" = '{words} m' ] || {{ echo no such thing >&2; exit 1; }}\n"
        f"printf 'apiVersion: v1\\nkind: Pod\\nmetadata: {{name: built}}\\nspec: {{nose: 1}}\\n'\n"
    )
    tool.chmod(0o755)
    (problem, *_) = problems_of(manifests.read, "m", IMAGES)
    assert problem.startswith(f"{program} {words} m:1: "), "the line is one of what was built"
    os.rename("m", "other")
    assert problems_of(manifests.read, "other", IMAGES) == [f"{program} {words} other: no such thing"]


@pytest.fixture
def kustomize(here):
    """Stands for the program: what it builds is a pod with the directory's name."""
    tool = here / "bin" / "kustomize"
    tool.parent.mkdir()
    words = "apiVersion: v1\\nkind: Pod\\nmetadata: {name: %s}\\nspec: {containers: [{name: c, image: busybox}]}\\n"
    tool.write_text(
        f'#!/bin/sh\nPATH=/usr/bin:/bin\n[ ! -e "$2/fails" ] || {{ cat "$2/fails" >&2; exit 1; }}\n'
        f'printf \'{words}\' "$(basename "$2")"\n'
    )
    tool.chmod(0o755)
    for directory, content in {
        "k/base": "resources: [a.yml]",
        "k/parts/debug": "kind: Component",
        "k/over/dev": "resources: [../../base]\ncomponents: [../../parts/debug/]",
        "k/over/prod": "bases:\n- ../../base",
    }.items():
        Path(directory).mkdir(parents=True)
        Path(directory, "kustomization.yaml").write_text(content)
        Path(directory, "a.yml").write_text("part: of an object")
    Path("k/beside.yml").write_text(POD % "beside")
    return here


def test_kustomizations_below_are_built_but_for_what_others_of_them_build(kustomize):
    assert names("k") == ["k/beside.yml"]
    assert names("k", recursive=True) == ["kustomize build k/over/dev", "kustomize build k/over/prod", "k/beside.yml"]
    wanted = manifests.read("k", IMAGES, recursive=True)
    assert ([one.name for one in wanted.pods], wanted.notes) == (["dev", "prod", "beside"], ())
    assert names("k/base", "k/parts/debug") == ["kustomize build k/base", "kustomize build k/parts/debug"]


@pytest.mark.parametrize("file", ["k/base/kustomization.yaml", "./k/base/kustomization.yaml"])
def test_a_kustomization_that_is_named_itself_stands_for_its_directory(kustomize, file):
    assert names(file) == [f"kustomize build {os.path.dirname(file)}"]
    os.chdir("k/base")
    assert names("kustomization.yaml") == ["kustomize build ."]


def test_all_that_cannot_be_built_is_said_at_once_and_a_chart_is_for_who_runs_it(kustomize):
    Path("k/over/dev/fails").write_text("Error: trouble with config: `\nname: redis\n`: must specify --enable-helm\n")
    Path("k/over/prod/fails").write_text("")
    Path("k/over/prod/kustomization.yaml").write_text("resources: [")
    assert problems_of(manifest_files.sources, ["k"], recursive=True) == [
        "kustomize build k/over/dev: Error: trouble with config: ` name: redis `: must specify --enable-helm; no chart "
        "is run here: kustomize build --enable-helm k/over/dev | ./lab up --manifests -",
        "kustomize build k/over/prod: it ended with 1",
    ]


def test_standard_input_is_kept_for_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"kind: Pod\n")))
    parser = arguments.parser("up", "", "")
    arguments.manifests(parser)
    known = parser.parse_args(["--manifests", "-", "--manifests", "m", "--recursive"])
    settings = arguments.manifest_settings(known)
    file, other = settings["podlab_manifests"]
    assert (Path(file).read_text(), other, settings["podlab_manifests_recursive"]) == ("kind: Pod\n", "m", True)
    assert arguments.manifest_settings(parser.parse_args([])) == {}
    assert arguments.manifest_settings(parser.parse_args(["--manifests", "m"])) == {"podlab_manifests": "m"}
    with pytest.raises(CommandError, match="once"):
        arguments.manifest_settings(parser.parse_args(["--manifests", "-", "--manifests", "-"]))


# --- CronJobs -------------------------------------------------------------------------------------------


def cron_job(name: str = "nightly", image: str = "busybox", **spec: Any) -> Document:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}
    body = {
        "schedule": "5 4 * * *",
        "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": template}},
    }
    return document("CronJob", name, "batch/v1", spec={**body, **spec})


def test_a_cron_job_is_kept_and_makes_nothing():
    wanted = read(cron_job(timeZone="Etc/UTC", suspend=True))
    result = Lab().run(wanted)
    assert result["notes"] == [
        "CronJob default/nightly: nothing watches the clock; its Job runs once by ./lab create job NAME "
        "--from=cronjob/nightly"
    ]
    (item,) = workloads.cronjobs(look.State(record(result), {"node1": None}))
    assert cronjob(item, NOW)[:6] == ["nightly", "5 4 * * *", "Etc/UTC", "True", "0", "<none>"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedule": ""}, ["spec.schedule: Required value"]),
        ({"schedule": "5 4 *"}, ['spec.schedule: Invalid value: "5 4 *": expected exactly 5 fields, found 3: [5 4 *]']),
        ({"schedule": "@daily"}, []),
        ({"schedule": "@every 1h30m"}, []),
        ({"schedule": "*/5 0-23/2 1,15 jan-MAR MON-FRI"}, []),
        ({"schedule": "0 ? * * 5/2", "timeZone": "Etc/UTC"}, []),
        ({"schedule": "61 * * * *"}, ['spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61']),
        ({"schedule": "0 0 0 * *"}, ['spec.schedule: Invalid value: "0 0 0 * *": beginning of range (0) below minimum (1): 0']),
        ({"schedule": "0 0 * * 7"}, ['spec.schedule: Invalid value: "0 0 * * 7": end of range (7) above maximum (6): 7']),
        ({"schedule": "5-1 * * * *"}, ['spec.schedule: Invalid value: "5-1 * * * *": beginning of range (5) beyond end of range (1): 5-1']),
        ({"schedule": "*/0 * * * *"}, ['spec.schedule: Invalid value: "*/0 * * * *": step of range should be a positive number: */0']),
        ({"schedule": "1-2-3 * * * *"}, ['spec.schedule: Invalid value: "1-2-3 * * * *": too many hyphens: 1-2-3']),
        ({"schedule": "*/2/3 * * * *"}, ['spec.schedule: Invalid value: "*/2/3 * * * *": too many slashes: */2/3']),
        ({"schedule": "x * * * *"}, ['spec.schedule: Invalid value: "x * * * *": failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax']),
        ({"schedule": "@often"}, ['spec.schedule: Invalid value: "@often": unrecognized descriptor: @often']),
        ({"schedule": "@every day"}, ['spec.schedule: Invalid value: "@every day": failed to parse duration @every day: time: invalid duration "day"']),
        ({"schedule": "TZ=UTC 0 0 * * *"}, ['spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead']),
        ({"timeZone": "Local"}, ['spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones']),
        ({"concurrencyPolicy": "Never"}, ['spec.concurrencyPolicy: Unsupported value: "Never": supported values: "Allow", "Forbid", "Replace"']),
        ({"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox"}]}}}}}, ['spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']),
    ],
)  # fmt: skip
def test_a_bad_cron_job(spec, expected):
    assert wrong(cron_job(**spec)) == expected


def test_its_job_is_made_by_hand_and_stays_as_it_was_made():
    new = NewJob("default", "now", "nightly")
    (made,), kept, problems = documents_by_hand([cron_job()], {}, new)
    assert (problems, kept["default/now"]["cronJob"]) == ([], "default/nightly")
    assert read(cron_job(), made).workloads[0].name == "now"
    metadata = made.body["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == (
        {"a": "b"},
        {"cronjob.kubernetes.io/instantiate": "manual"},
    )
    (again,), same, _ = documents_by_hand([cron_job(image="nginx")], kept, None)
    assert (again.body, same) == (made.body, kept)
    assert documents_by_hand([], kept, None) == ([], {}, []), "it goes with its CronJob"


def test_a_job_that_cannot_be_made():
    new = NewJob("default", "now", "nightly")
    assert documents_by_hand([], {}, new)[2] == ['error: cronjobs.batch "nightly" not found']
    exists = 'error: failed to create job: jobs.batch "now" already exists'
    assert documents_by_hand([cron_job(), document("Job", "now", "batch/v1")], {}, new)[2] == [exists]
    kept = documents_by_hand([cron_job()], {}, new)[1]
    assert documents_by_hand([cron_job()], kept, new)[2] == [exists]


def test_the_record_keeps_it(here):
    Path("m/cron.yml").write_text(yaml.safe_dump(dict(cron_job().body)))
    wanted, problems = manifests.survey("m/cron.yml", IMAGES, by_hand=({}, NewJob("default", "now", "nightly")))
    lab = Lab()
    result = lab.run(wanted)
    assert (problems, result["jobs_by_hand"]) == ([], record(result)["jobsByHand"])
    later, _ = manifests.survey("m/cron.yml", IMAGES, by_hand=(record(result)["jobsByHand"], None))
    assert not any("pods" in rows["pending"] for rows in lab.plan(later)["hosts"].values())
    assert [one.name for one in later.workloads] == ["now"]


def test_describe_tells_of_it_as_of_a_replica_set():
    result = Lab().run(read(controller({"a": "b"}, {"a": "b"}, replicas=2)))
    state = look.State(record(result), {"node1": None, "node2": None})
    (item,) = workloads.replicationcontrollers(state)
    assert describe.text(state, item, NOW, [], "").splitlines() == [
        "Name:         web",
        "Namespace:    default",
        "Selector:     a=b",
        "Labels:       <none>",
        "Annotations:  <none>",
        "Replicas:     0 current / 2 desired",
        "Pods Status:  0 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "Pod Template:",
        "  Labels:  a=b",
        "  Containers:",
        "   c:",
        "    Image:  nginx",
    ]

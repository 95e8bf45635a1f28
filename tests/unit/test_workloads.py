"""Workloads as they are read: what their controllers will know of them, and what is said about a bad one."""

from __future__ import annotations

import pytest

from podlab.planner.claims.model import ClaimTemplate
from podlab.planner.manifests import objects
from podlab.planner.model import Document
from podlab.planner.scheduler.model import Selector
from tests.unit.bodies import IMAGES, NOT_YET, desired, workload, workload_of, wrong

ALL = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job")
NEGATIVE = "must be greater than or equal to 0"
MISMATCH = 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


# --- what all of them have ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_every_kind_has_a_template_and_a_selector(kind):
    made = workload_of(workload(kind))
    assert (made.key, made.where, made.template.containers[0].image) == (f"{kind}/default/web", "m/w.yaml:1", "nginx")
    assert made.replicas == (0 if kind == "DaemonSet" else 1)
    labels = {"batch.kubernetes.io/job-name": "web"} if kind == "Job" else {"app": "web"}
    assert made.selector == Selector(labels)
    assert len(made.template_hash) == 10


@pytest.mark.parametrize(
    ("kind", "word"),
    [("Deployment", "deployment"), ("ReplicaSet", "deployment"), ("DaemonSet", "daemonset"), ("StatefulSet", "statefulset")],
)  # fmt: skip
def test_a_selector_is_needed_and_has_to_match(kind, word):
    assert wrong(workload(kind, selector=None)) == ["spec.selector: Required value"]
    assert wrong(workload(kind, selector={})) == [f"spec.selector: Invalid value: {{}}: empty selector is invalid for {word}"]  # fmt: skip
    assert wrong(workload(kind, selector={"matchLabels": {"app": "api"}})) == [MISMATCH]


def test_a_value_of_a_selector_is_one_of_a_label():
    expression = {"key": "app", "operator": "NotIn", "values": ["a b"]}
    (problem,) = wrong(workload(selector={"matchExpressions": [expression]}))
    assert problem.startswith(
        'spec.selector.matchExpressions[0].values[0]: Invalid value: "a b": a valid label must be'
    )


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_a_number_of_replicas(kind):
    assert workload_of(workload(kind, replicas=0)).replicas == 0
    assert wrong(workload(kind, replicas=-1)) == [f"spec.replicas: Invalid value: -1: {NEGATIVE}"]
    assert wrong(workload(kind, replicas=1_000_001)) == [
        "spec.replicas: Invalid value: 1000001: must be less than or equal to 1000000"
    ]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"])
def test_pods_of_a_workload_are_always_started_again(kind):
    assert wrong(workload(kind, {"restartPolicy": "Never"})) == [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'
    ]


@pytest.mark.parametrize("kind", ALL)
def test_a_bad_pod_has_the_path_of_its_template(kind):
    assert wrong(workload(kind, {"hostUsers": False})) == [
        f"spec.template.spec.hostUsers: {NOT_YET} every pod shares its node's user namespace"
    ]


def test_a_hundred_thousand_replicas_are_one_template():
    assert len(desired(workload(replicas=150_000)).workloads) == 1


# --- Deployment -----------------------------------------------------------------------------------------


def rolling(surge: object = None, unavailable: object = None) -> dict:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


@pytest.mark.parametrize(
    ("replicas", "strategy", "expected"),
    [
        (1, None, (1, 0)),
        (4, {}, (1, 1)),
        (5, {"type": "RollingUpdate"}, (2, 1)),
        (10, rolling("30%", "25%"), (3, 2)),
        (10, rolling("25%", "100%"), (3, 10)),
        (10, rolling(200, 0), (200, 0)),
        (10, rolling("150%", 1), (15, 1)),
        (2, rolling(0, "25%"), (0, 1)),  # rounded down to none, and one of the two has to be some
        (0, rolling("25%", "25%"), (0, 1)),
    ],
)
def test_how_many_pods_a_rolling_update_may_do_with(replicas, strategy, expected):
    made = workload_of(workload(replicas=replicas, strategy=strategy))
    assert (made.strategy, (made.max_surge, made.max_unavailable)) == ("RollingUpdate", expected)


def test_all_pods_at_once():
    assert workload_of(workload(strategy={"type": "Recreate"})).strategy == "Recreate"


R = "spec.strategy.rollingUpdate"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "Blue"}, ['spec.strategy.type: Unsupported value: "Blue": supported values: "Recreate", "RollingUpdate"']),
        ({**rolling(1), "type": "Recreate"}, [f"{R}: Forbidden: may not be specified when strategy `type` is 'Recreate'"]),
        (rolling(0, 0), [f"{R}.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]),
        (rolling("0%", "0%"), [f'{R}.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0']),
        (rolling(1, "101%"), [f'{R}.maxUnavailable: Invalid value: "101%": must not be greater than 100%']),
        (rolling("1", "-1%"), [f'{R}.maxSurge: Invalid value: "1": {PERCENT}', f'{R}.maxUnavailable: Invalid value: "-1%": {PERCENT}']),
        (rolling(-1, 1), [f"{R}.maxSurge: Invalid value: -1: {NEGATIVE}"]),
        (rolling([], 1), [f"{R}.maxSurge: Invalid value: []: must be of type string or integer"]),
    ],
)  # fmt: skip
def test_a_bad_strategy(strategy, expected):
    assert wrong(workload(strategy=strategy)) == expected


# --- DaemonSet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (None, (0, 1, 0)),
        ({"type": "RollingUpdate"}, (0, 1, 0)),
        (rolling(2, 0), (2, 0, 0)),
        (rolling(0, 3), (0, 3, 0)),
        (rolling(None, "30%"), (0, 1, 30)),
        (rolling("20%", "0%"), (1, 0, 20)),
    ],
)
def test_a_daemon_set(strategy, expected):
    made = workload_of(workload("DaemonSet", updateStrategy=strategy))
    assert (made.max_surge, made.max_unavailable, made.percent_of_nodes) == expected


U = "spec.updateStrategy"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "OnDelete"}, [f"{U}.type: {NOT_YET} nobody deletes pods one by one; use RollingUpdate"]),
        ({"type": "Recreate"}, [f'{U}.type: Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"']),
        (rolling(1, 1), [f"{U}.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"]),
        (rolling(0, 0), [f"{U}.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"]),
        (rolling(0, "200%"), [f'{U}.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%']),
        (rolling("200%", 0), [f'{U}.rollingUpdate.maxSurge: Invalid value: "200%": must not be greater than 100%']),
    ],
)  # fmt: skip
def test_a_bad_daemon_set(strategy, expected):
    assert wrong(workload("DaemonSet", updateStrategy=strategy)) == expected


# --- StatefulSet ----------------------------------------------------------------------------------------


def test_a_stateful_set():
    made = workload_of(
        workload(
            "StatefulSet",
            serviceName="db",
            podManagementPolicy="Parallel",
            ordinals={"start": 5},
            updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
        )
    )
    assert (made.service_name, made.strategy, made.first_ordinal, made.partition) == ("db", "Parallel", 5, 2)
    assert workload_of(workload("StatefulSet")).strategy == "OrderedReady"


CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"podManagementPolicy": "Any"}, ["spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'"]),
        ({"updateStrategy": {"type": "OnDelete"}}, [f"{U}.type: {NOT_YET} nobody deletes pods one by one; use RollingUpdate"]),
        ({"updateStrategy": {"rollingUpdate": {"partition": -1}}}, [f"{U}.rollingUpdate.partition: Invalid value: -1: {NEGATIVE}"]),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}, [f"{U}.rollingUpdate.maxUnavailable: {NOT_YET} pods are replaced one by one"]),
        ({"ordinals": {"start": -1}}, [f"spec.ordinals.start: Invalid value: -1: {NEGATIVE}"]),
        ({"serviceName": "a.b"}, ['spec.serviceName: Invalid value: "a.b": must not contain dots']),
        ({"volumeClaimTemplates": [CLAIM, CLAIM]}, ['spec.volumeClaimTemplates[1].metadata.name: Duplicate value: "data"']),
        ({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}, ["spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required", "spec.volumeClaimTemplates[0].spec.resources.requests.storage: Required value"]),
        ({"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}}, ['spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"']),
    ],
)  # fmt: skip
def test_a_bad_stateful_set(spec, expected):
    assert wrong(workload("StatefulSet", **spec)) == expected


def test_claims_of_a_stateful_set_are_volumes_of_its_pods():
    mounting = {"containers": [{"name": "c", "image": "nginx", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}
    policy = {"whenDeleted": "Delete"}
    made = workload_of(
        workload("StatefulSet", mounting, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy)
    )
    assert made.claims == (ClaimTemplate("data", CLAIM["spec"], outlives_set=False, outlives_pod=True),)
    assert made.template.containers[0].mounts[0].volume == "data"


# --- names ----------------------------------------------------------------------------------------------


LONG = "must be no more than 63 characters"


def named(kind: str, name: str, **spec: object) -> Document:
    one = workload(kind, **spec)
    return Document({**one.body, "metadata": {"name": name}}, one.file, one.line)


def lines(document: Document) -> list[str]:
    return objects.survey([document], IMAGES)[1]


def test_a_stateful_set_has_room_for_the_label_of_its_revision():
    assert lines(named("StatefulSet", "a" * 52)) == []
    made = workload_of(workload("StatefulSet")).template_hash
    assert lines(named("StatefulSet", "a" * 53, ordinals={"start": 3})) == [
        f'm/w.yaml:1: The Pod "{"a" * 53}-3" is invalid: metadata.labels: Invalid value: "{"a" * 53}-{made}": {LONG}'
    ]
    assert lines(named("StatefulSet", "a" * 53, replicas=0)) == []
    assert wrong(named("StatefulSet", "a.b")) == ['metadata.name: Invalid value: "a.b": must not contain dots']


def test_a_job_has_room_for_its_label_and_for_the_host_name_of_its_last_pod():
    assert lines(named("Job", "a" * 63)) == []
    assert wrong(named("Job", "a" * 64)) == [f'spec.template.labels: Invalid value: "{"a" * 64}": {LONG}']
    indexed = {"completionMode": "Indexed", "completions": 11}
    assert lines(named("Job", "a" * 60, **indexed)) == []
    assert wrong(named("Job", "a" * 61, **indexed)) == [
        f'metadata.name: Invalid value: "{"a" * 61}": will not able to create pod with invalid DNS label: {"a" * 61}-10'
    ]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "DaemonSet"])
def test_of_others_long_names_are_cut(kind):
    assert lines(named(kind, "a" * 63)) == []


# --- Job ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "completions", "parallelism"),
    [
        ({}, 1, 1),
        ({"completions": 5}, 5, 1),
        ({"completions": 5, "parallelism": 2}, 5, 2),
        ({"parallelism": 3}, 3, 3),
        ({"completions": 0}, 0, 1),
    ],
)
def test_how_many_pods_a_job_has(spec, completions, parallelism):
    made = workload_of(workload("Job", **spec))
    assert (made.replicas, made.parallelism, made.strategy) == (completions, parallelism, "NonIndexed")
    assert (made.backoff_limit, made.suspended) == (6, False)


def test_a_job_with_everything():
    document = workload("Job", {"restartPolicy": "OnFailure"}, completions=3, completionMode="Indexed", backoffLimit=0, suspend=True)  # fmt: skip
    made = workload_of(document)
    assert (made.strategy, made.backoff_limit, made.suspended) == ("Indexed", 0, True)
    assert made.template.restart_policy == "OnFailure"


LIMIT = f"{NOT_YET} backoffLimit alone says how often a Job may fail"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"completions": -1, "parallelism": -2, "backoffLimit": -3}, [f"spec.{field}: Invalid value: {value}: {NEGATIVE}" for field, value in (("parallelism", -2), ("completions", -1), ("backoffLimit", -3))]),
        ({"completions": 1_000_001}, ["spec.completions: Invalid value: 1000001: must be less than or equal to 1000000"]),
        ({"completionMode": "Some"}, ['spec.completionMode: Unsupported value: "Some": supported values: "Indexed", "NonIndexed"']),
        ({"completionMode": "Indexed"}, ["spec.completions: Required value: when completion mode is Indexed"]),
        ({"completionMode": "Indexed", "completions": 1, "parallelism": 100_001}, ["spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed"]),
        ({"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}}, [f"spec.{field}: {NOT_YET} a Job's pods are known by its name" for field in ("manualSelector", "selector")]),
        ({"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "a", "status": "True"}]}]}}, [f"spec.podFailurePolicy: {LIMIT}"]),
        ({"backoffLimitPerIndex": 1, "maxFailedIndexes": 1}, [f"spec.backoffLimitPerIndex: {LIMIT}", f"spec.maxFailedIndexes: {LIMIT}"]),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, [f"spec.successPolicy: {NOT_YET} a Job is done when all of its completions are"]),
    ],
)  # fmt: skip
def test_a_bad_job(spec, expected):
    assert wrong(workload("Job", **spec)) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("Always", 'Required value: valid values: "OnFailure", "Never"'),
        ("", 'Required value: valid values: "OnFailure", "Never"'),
        ("Once", 'Unsupported value: "Once": supported values: "Always", "OnFailure", "Never"'),
    ],
)
def test_a_job_ends(policy, expected):
    document = workload("Job", {"restartPolicy": policy})
    assert wrong(document) == [f"spec.template.spec.restartPolicy: {expected}"]


def test_nobody_watches_a_job_between_two_runs():
    document = workload("Job", podReplacementPolicy="Failed")
    assert desired(document).ignored == ("Job: spec.podReplacementPolicy",)


# --- times ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"])
def test_a_pod_counts_after_so_many_seconds(kind):
    assert workload_of(workload(kind)).min_ready == 0
    assert workload_of(workload(kind, minReadySeconds=5)).min_ready == 5
    assert wrong(workload(kind, minReadySeconds=-1)) == [f"spec.minReadySeconds: Invalid value: -1: {NEGATIVE}"]


def test_a_rollout_has_more_time_than_one_of_its_pods():
    longer = "must be greater than minReadySeconds"
    assert wrong(workload(minReadySeconds=600)) == [f"spec.progressDeadlineSeconds: Invalid value: 600: {longer}"]
    assert wrong(workload(minReadySeconds=5, progressDeadlineSeconds=5)) == [
        f"spec.progressDeadlineSeconds: Invalid value: 5: {longer}"
    ]
    assert workload_of(workload(minReadySeconds=600, progressDeadlineSeconds=601)).min_ready == 600


def test_a_job_has_its_time_and_is_kept_for_a_time():
    made = workload_of(workload("Job"))
    assert (made.deadline, made.ttl, made.template.deadline) == (None, None, None)
    made = workload_of(
        workload("Job", {"activeDeadlineSeconds": 7}, activeDeadlineSeconds=0, ttlSecondsAfterFinished=0)
    )
    assert (made.deadline, made.ttl, made.template.deadline) == (0, 0, 7)
    for field in ("activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        assert wrong(workload("Job", **{field: -1})) == [f"spec.{field}: Invalid value: -1: {NEGATIVE}"]


@pytest.mark.parametrize(
    ("kind", "of"),
    [("Deployment", "ReplicaSet"), ("ReplicaSet", "ReplicaSet"), ("DaemonSet", "DaemonSet"), ("StatefulSet", "StatefulSet")],
)  # fmt: skip
def test_what_is_always_replaced_has_no_end(kind, of):
    assert wrong(workload(kind, {"activeDeadlineSeconds": 5})) == [
        f"spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in {of} is not Supported"
    ]


@pytest.mark.parametrize("seconds", [0, -1, 2**31])
def test_a_pod_is_active_for_a_second_at_least(seconds):
    assert wrong(workload("Job", {"activeDeadlineSeconds": seconds}))[0] == (
        f"spec.template.spec.activeDeadlineSeconds: Invalid value: {seconds}: must be between 1 and 2147483647, inclusive"
    )


def test_defaults_that_are_written_out_make_no_other_pods_of_a_job():
    plain, written = (
        workload("Job"),
        workload("Job", {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}),
    )
    assert workload_of(plain).template_hash == workload_of(written).template_hash
    assert workload_of(workload("Job", {"hostname": "h"})).template_hash != workload_of(plain).template_hash

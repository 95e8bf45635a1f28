"""``./lab get``: what hosts answered, as Kubernetes objects and in kubectl's tables. Nothing here needs a lab."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from cli.errors import CommandError
from cli.look import columns, get, objects, table, workloads
from podlab.controller import signature
from tests.answers import ENDED, NOW, RUNS, answer, last, live, workload


def state(*lives: dict[str, Any], **settings: Any) -> objects.State:
    return objects.cluster_state({"node1": answer(*lives, **settings)}, ["node1"])


def one_pod(policy: str = "Always", **settings: Any) -> objects.Object:
    (pod,) = state(live("p", policy, **settings)).pods
    return pod


def row(pod: objects.Object) -> str:
    return " ".join(table.table(columns.KINDS["pods"], [pod], NOW, headers=False).split())


def shown(plural: str, found: objects.State, **form: Any) -> list[str]:
    """The table of a kind, blanks squeezed."""
    text = table.table(columns.KINDS[plural], get.LISTS[plural](found), NOW, **form)
    return [" ".join(line.split()) for line in text.splitlines()]


# --- pods -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "facts", "phase", "columns"),
    [
        ("Always", {"a": RUNS}, "Running", "p 1/1 Running 0 90s"),
        ("Always", {"a": RUNS, "b": RUNS}, "Running", "p 2/2 Running 0 90s"),
        ("Always", {"a": ENDED}, "Pending", "p 0/1 ContainerCreating 0 90s"),
        ("Always", {"a": {**RUNS, "restarts": 3, "last": last(1)}}, "Running", "p 1/1 Running 3 (12s ago) 90s"),
        # The first restart comes at once, so the end itself is what there is to be seen until then.
        ("Always", {"a": {**ENDED, "restarts": 1, "last": last(1), "backoff": 10}}, "Running", "p 0/1 Error 0 90s"),
        (
            "Always",
            {"a": {**ENDED, "restarts": 2, "last": last(1, 4), "backoff": 20}},
            "Running",
            "p 0/1 CrashLoopBackOff 1 (4s ago) 90s",
        ),
        (
            "Always",
            {"a": RUNS, "b": {**ENDED, "restarts": 2, "last": last(0, 4), "backoff": 20}},
            "Running",
            "p 1/2 CrashLoopBackOff 1 (4s ago) 90s",
        ),
        ("Never", {"a": {**ENDED, "last": last(0)}}, "Succeeded", "p 0/1 Completed 0 90s"),
        ("Never", {"a": {**ENDED, "last": last(2)}, "b": {**ENDED, "last": last(0)}}, "Failed", "p 0/2 Error 0 90s"),
        ("OnFailure", {"a": {**ENDED, "last": last(0)}}, "Succeeded", "p 0/1 Completed 0 90s"),
        ("OnFailure", {"a": RUNS, "b": {**ENDED, "last": last(0)}}, "Running", "p 1/2 NotReady 0 90s"),
        (
            "OnFailure",
            {"a": {**ENDED, "restarts": 3, "last": last(1, 20), "backoff": 40}},
            "Running",
            "p 0/1 CrashLoopBackOff 2 (20s ago) 90s",
        ),
    ],
)
def test_phase_and_columns_of_a_pod(policy: str, facts: dict[str, Any], phase: str, columns: str) -> None:
    pod = one_pod(policy, **facts)
    assert pod["status"]["phase"] == phase
    assert row(pod) == columns


WAITS = {**ENDED, "down": True}
DONE = {**ENDED, "last": last(0, 70)}


@pytest.mark.parametrize(
    ("policy", "init", "facts", "columns_"),
    [
        ("Always", {"i": "OnFailure"}, {"i": RUNS, "a": WAITS}, "p 0/1 Init:0/1 0 90s"),
        ("Always", {"i": "OnFailure", "j": "OnFailure"}, {"i": DONE, "j": RUNS, "a": WAITS}, "p 0/1 Init:1/2 0 90s"),
        ("Always", {"i": "OnFailure"}, {"i": DONE, "a": WAITS}, "p 0/1 PodInitializing 0 90s"),
        ("Always", {"i": "OnFailure"}, {"i": DONE, "a": RUNS}, "p 1/1 Running 0 90s"),
        # Restarts of init containers count while they are at work, and never again.
        (
            "Always",
            {"i": "OnFailure"},
            {"i": {**ENDED, "restarts": 2, "last": last(1, 4), "backoff": 20}, "a": WAITS},
            "p 0/1 Init:CrashLoopBackOff 1 (4s ago) 90s",
        ),
        ("Always", {"i": "OnFailure"}, {"i": {**DONE, "restarts": 2}, "a": RUNS}, "p 1/1 Running 0 90s"),
        (
            "Always",
            {"i": "OnFailure"},
            {"i": {**ENDED, "restarts": 1, "last": last(1, 4), "backoff": 10}, "a": WAITS},
            "p 0/1 Init:Error 0 90s",
        ),
        ("Never", {"i": "Never"}, {"i": {**ENDED, "last": last(3)}, "a": WAITS}, "p 0/1 Init:Error 0 90s"),
        # Sidecars are counted, beside the others and before them.
        ("Always", {"s": "Always"}, {"s": RUNS, "a": RUNS}, "p 2/2 Running 0 90s"),
        ("Always", {"s": "Always", "i": "OnFailure"}, {"s": RUNS, "i": RUNS, "a": WAITS}, "p 1/2 Init:1/2 0 90s"),
        ("Always", {"s": "Always"}, {"s": WAITS, "a": WAITS}, "p 0/2 Init:0/1 0 90s"),
        (
            "Always",
            {"s": "Always"},
            {"s": {**RUNS, "restarts": 2, "last": last(1, 4)}, "a": {**RUNS, "restarts": 1, "last": last(1, 9)}},
            "p 2/2 Running 3 (4s ago) 90s",
        ),
        (
            "Always",
            {"s": "Always"},
            {"s": {**ENDED, "restarts": 2, "last": last(1, 4), "backoff": 20}, "a": RUNS},
            "p 1/2 Init:CrashLoopBackOff 1 (4s ago) 90s",
        ),
    ],
)
def test_columns_of_a_pod_with_init_containers(
    policy: str, init: dict[str, str], facts: dict[str, Any], columns_: str
) -> None:
    assert row(one_pod(policy, init=init, **facts)) == columns_


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"exitCode": 3}, "Init:ExitCode:3"),
        ({"exitCode": 137, "signal": 9}, "Init:Signal:9"),
        ({"exitCode": 1, "reason": "OOMKilled"}, "Init:OOMKilled"),
    ],
)
def test_an_end_without_a_reason_is_told_in_numbers(end: dict[str, Any], words: str) -> None:
    pod = one_pod(init={"i": "OnFailure"}, i=RUNS, a=WAITS)
    pod["status"]["initContainerStatuses"][0]["state"] = {"terminated": end}
    assert columns.pods.pod_status(pod) == words


def test_a_container_whose_probe_fails_runs_and_is_not_ready() -> None:
    failing = {
        **RUNS,
        "health": {"pid": 7, "started": True, "ready": False, "readiness": {"ok": False, "message": "no"}},
    }
    rows = {"a": {"readiness": {"exec": ["false"]}}}
    assert row(one_pod(rows=rows, a=failing, b=RUNS)) == "p 1/2 Running 0 90s"
    well = {**RUNS, "health": {"pid": 7, "started": True, "ready": True}}
    assert row(one_pod(rows=rows, a=well, b=RUNS)) == "p 2/2 Running 0 90s"


def test_status_of_a_running_pod() -> None:
    found = one_pod(a={**RUNS, "restarts": 1, "last": last(3)})["status"]
    assert (found["podIP"], found["podIPs"]) == ("10.1.1.2", [{"ip": "10.1.1.2"}])
    assert (found["hostIP"], found["startTime"]) == ("10.0.0.2", "2026-01-02T11:58:40Z")
    assert {condition["type"]: condition["status"] for condition in found["conditions"]} == dict.fromkeys(
        ("Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
    )
    (container,) = found["containerStatuses"]
    assert (container["name"], container["image"], container["ready"], container["restartCount"]) == (
        "a",
        "busybox",
        True,
        1,
    )
    assert container["state"] == {"running": {"startedAt": "2026-01-02T11:59:00Z"}}
    assert container["lastState"]["terminated"] | {"containerID": ""} == {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-01-02T11:59:43Z",
        "finishedAt": "2026-01-02T11:59:48Z",
        "containerID": "",
    }


def test_an_end_by_signal_counts_as_a_shell_counts_it() -> None:
    pod = one_pod("Never", a={**ENDED, "last": last(256, signal=9)})
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"], ended["reason"]) == (137, 9, "Error")
    assert pod["status"]["containerStatuses"][0]["lastState"] == {}


def test_pods_of_a_silent_node_and_pods_without_a_node_are_known_from_the_record() -> None:
    known = {
        "pods": {
            "default/a": ["node1", "10.1.1.2"],
            "default/b": ["node2", "10.1.2.2"],
            "default/lost": ["node1", "10.1.1.9"],
        },
        "waiting": ["default/late"],
        "created": {"pod/default/b": "2026-01-02T11:00:00Z"},
    }
    state_ = objects.cluster_state({"node1": answer(live("a", a=RUNS), **known), "node2": None}, ["node1", "node2"])
    found = {pod["metadata"]["name"]: pod for pod in state_.pods}
    wide = {
        name: table.table(columns.KINDS["pods"], [pod], NOW, headers=False, wide=True).split()
        for name, pod in found.items()
    }
    assert wide["b"] == ["b", "0/0", "Unknown", "0", "60m", "10.1.2.2", "node2", "<none>", "<none>"]
    assert wide["late"][1:] == ["0/0", "Pending", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"]
    assert wide["lost"][2] == "Pending"
    assert wide["a"][2] == "Running"
    assert list(found) == ["a", "b", "late", "lost"]


def test_a_rebooted_node_and_its_pods_are_called_so_until_they_are_back() -> None:
    known = {"pods": {"default/a": ["node1", "10.1.1.2"], "default/b": ["node1", "10.1.1.3"]}}
    state_ = objects.cluster_state({"node1": {**answer(live("a", a=RUNS), **known), "rebooted": True}}, ["node1"])
    rows = [table.table(columns.KINDS["pods"], [pod], NOW, headers=False, wide=True).split() for pod in state_.pods]
    assert [(row[0], row[2], row[5:7]) for row in rows] == [
        ("a", "Running", ["10.1.1.2", "node1"]),
        ("b", "Rebooted", ["10.1.1.3", "node1"]),
    ]
    node = table.table(columns.KINDS["nodes"], objects.nodes(state_), NOW, headers=False).split()
    assert node[:2] == ["node1", "NotReady,Rebooted"]


def test_what_moved_away_from_a_node_that_missed_the_last_run_is_shown_where_it_belongs() -> None:
    record_now = {"pods": {"default/a": ["node2", "10.1.2.2"]}}
    old, new = live("a", a=RUNS), live("a", a=RUNS)
    new["row"]["object"]["spec"]["nodeName"] = "node2"
    for order in (("node1", "node2"), ("node2", "node1")):
        state_ = objects.cluster_state({"node1": answer(old, **record_now), "node2": answer(new, **record_now)}, order)
        assert [pod["spec"]["nodeName"] for pod in state_.pods] == ["node2"]


def test_the_newest_record_is_believed() -> None:
    answers = {"node1": answer(generation=4, namespaces=["old"]), "node2": answer(generation=12, namespaces=["new"])}
    assert [item["metadata"]["name"] for item in objects.namespaces(objects.cluster_state(answers, []))] == ["new"]


def test_who_claims_the_pod_of_another_node_has_it_not() -> None:
    """Neither by its record nor by what it says to run, also where the other one does not run it just now."""
    told = answer(generation=4, pods={"default/a": ["node2", "10.1.2.2"]})
    told["record"]["cluster"] = signature.signed(signature.FIRST_VERSION, told["record"]["cluster"])
    forged = {**told["record"]["cluster"], "generation": 9, "pods": {"default/a": ["node1", "10.1.1.9"]}}
    for other in (told, None):
        answers = {"node1": answer(live("a", a=RUNS), **forged), "node2": other, "gateway": told}
        state_ = objects.cluster_state(answers, ["node1", "node2"])
        assert [pod["spec"]["nodeName"] for pod in state_.pods] == ["node2"]


# --- all others -------------------------------------------------------------------------------------


def test_nodes_in_kubectls_columns() -> None:
    bare = {**answer(), "record": None}
    answers = {"node1": answer(), "node2": None, "gateway": answer(), "fresh": bare}
    state_ = objects.cluster_state(answers, ["node1", "node2", "fresh"])
    text = table.table(columns.KINDS["nodes"], objects.nodes(state_), NOW, wide=True)
    version = objects.VERSION
    assert [line.split("   ")[0].strip() for line in text.splitlines()] == ["NAME", "fresh", "node1", "node2"]
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == (
        "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME"
    )
    assert lines[1].startswith(f"fresh NotReady <none> <unknown> {version} <none> <none>")
    assert lines[2] == (
        f"node1 Ready <none> 120m {version} 10.0.0.2 <none> Debian GNU/Linux 12 (bookworm) 6.1.0 bubblewrap://0.8.0"
    )
    assert lines[3] == "node2 NotReady <none> 120m 10.0.0.3 <none> <unknown> <unknown> <unknown>"


def test_taints_of_a_node_are_in_its_object() -> None:
    taint = {"key": "a", "value": "b", "effect": "NoSchedule"}
    (node,) = objects.nodes(state(nodes={"node1": {"address": "10.0.0.2", "labels": {}, "taints": [taint]}}))
    assert node["spec"]["taints"] == [taint]


WEB = workload(
    "Deployment",
    "web",
    replicas=3,
    selector={"matchLabels": {"tier": "front", "app": "web"}},
    containers=["a", "b"],
    images=["busybox", "agnhost:2"],
)


def test_deployments_count_their_own_pods() -> None:
    created = {"deployment/default/web": "2026-01-02T11:50:00Z"}
    lives = [live("web-new-1", a=RUNS), live("web-old-2", a=RUNS), live("web-new-3", a=ENDED), live("web", a=RUNS)]
    lives += [live("web-new-4", "Never", a={**ENDED, "last": last(1)}), live("web-new-5", namespace="other", a=RUNS)]
    assert shown("deployments", state(*lives, workloads=[WEB], created=created), wide=True) == [
        "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
        "web 2/3 2 2 10m a,b busybox,agnhost:2 app=web,tier=front",
    ]


def test_replicasets_of_deployments_are_shown_while_they_are_of_any_use() -> None:
    lives = [live("web-new-1", a=RUNS), live("web-old-2", a=RUNS), live("web-old-3", a=ENDED)]
    own = workload("ReplicaSet", "own", replicas=2, selector={"matchExpressions": [{"key": "x", "operator": "Exists"}]})
    created = {"deployment/default/web": "2026-01-02T11:50:00Z", "replicaset/default/own": "2026-01-02T11:55:00Z"}
    found = state(*lives, live("own-1", owner="ReplicaSet/own", a=RUNS), workloads=[WEB, own], created=created)
    assert shown("replicasets", found, wide=True) == [
        "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
        "own 2 1 1 5m a busybox x",
        "web-new 3 1 1 90s a,b busybox,agnhost:2 app=web,pod-template-hash=new,tier=front",
        "web-old 0 2 1 90s a busybox app=web,pod-template-hash=old",
    ]
    assert [line.split()[0] for line in shown("replicasets", state(workloads=[WEB]))] == ["NAME", "web-new"]
    new = get.LISTS["replicasets"](found)[1]
    assert new["metadata"]["ownerReferences"][0]["name"] == "web"


def test_statefulsets() -> None:
    item = workload("StatefulSet", "db", replicas=3)
    labels = {"controller-revision-hash": "db-new"}
    lives = [live(f"db-{n}", owner="StatefulSet/db", labels=labels, a=RUNS) for n in (0, 1)]
    found = state(*lives, workloads=[item], created={"statefulset/default/db": "2026-01-02T11:50:00Z"})
    assert shown("statefulsets", found, wide=True) == ["NAME READY AGE CONTAINERS IMAGES", "db 2/3 10m a busybox"]
    assert get.LISTS["statefulsets"](found)[0]["status"]["updatedReplicas"] == 2


def test_daemonsets_want_a_pod_on_each_node_that_takes_one() -> None:
    item = workload("DaemonSet", "agent", replicas=0, desired=3, nodeSelector={"disk": "ssd"})
    revision = "controller-revision-hash"
    first = live("agent-a", owner="DaemonSet/agent", labels={revision: "new"}, a=RUNS)
    second = live("agent-b", owner="DaemonSet/agent", labels={revision: "old"}, a=ENDED)
    second["row"]["object"]["spec"]["nodeName"] = "node2"
    found = objects.cluster_state(
        {"node1": answer(first, workloads=[item]), "node2": answer(second, workloads=[item])}, ["node1", "node2"]
    )
    assert shown("daemonsets", found) == [
        "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE",
        "agent 3 2 1 1 1 disk=ssd <unknown>",
    ]


def test_jobs_count_what_they_have_done() -> None:
    item = workload("Job", "pi", replicas=2, selector={"matchLabels": {}})
    created = {"job/default/pi": "2026-01-02T11:58:00Z"}
    done = live("pi-a", "Never", owner="Job/pi", a={**ENDED, "last": last(0, 20)})
    at_work = live("pi-b", "Never", owner="Job/pi", a=RUNS)
    assert shown("jobs", state(done, at_work, workloads=[item], created=created), wide=True) == [
        "NAME COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR",
        "pi 1/2 2m 2m a busybox <none>",
    ]
    at_work["containers"]["a"] = {**ENDED, "last": last(0, 15)}
    complete = state(done, at_work, workloads=[item], created=created)
    assert shown("jobs", complete)[1] == "pi 2/2 105s 2m"
    assert get.LISTS["jobs"](complete)[0]["status"]["conditions"] == [{"type": "Complete", "status": "True"}]


def test_configmaps_and_secrets_as_they_were_written() -> None:
    written = {
        "ConfigMap/default/web": {
            "metadata": {"name": "web"},
            "data": {"a": "1", "b": "2"},
            "binaryData": {"c": "AA=="},
        },
        "ConfigMap/default/empty": {"metadata": {"name": "empty"}},
        "Secret/default/key": {"metadata": {"name": "key"}, "data": {"a": "eA=="}, "stringData": {"b": "y"}},
        "Secret/other/cert": {"metadata": {"name": "cert", "namespace": "other"}, "type": "kubernetes.io/tls"},
    }
    found = state(objects=written, created={"configmap/default/web": "2026-01-02T11:50:00Z"})
    assert shown("configmaps", found) == ["NAME DATA AGE", "empty 0 <unknown>", "web 3 10m"]
    assert shown("secrets", found, all_namespaces=True) == [
        "NAMESPACE NAME TYPE DATA AGE",
        "default key Opaque 2 <unknown>",
        "other cert kubernetes.io/tls 0 <unknown>",
    ]
    key = get.LISTS["secrets"](found)[0]
    assert key["data"] == {"a": "eA==", "b": "eQ=="} and "stringData" not in key


def test_pods_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six kinds of ``all`` count their own among them."""
    calls = []
    count = objects.pods
    monkeypatch.setattr(objects, "pods", lambda found: calls.append(1) or count(found))
    found = state(live("web-new-1", a=RUNS), workloads=[WEB])
    for plural in columns.ALL:
        get.LISTS[plural](found)
    assert calls == [1]


def test_a_selector_in_one_line() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]},
        {"key": "x", "operator": "DoesNotExist"},
        {"key": "y", "operator": "NotIn", "values": ["z"]},
    ]
    text = columns.workloads.selector_text({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert text == "!x,app=web,tier in (a,b),y notin (z)"
    assert columns.workloads.selector_text({}) == "<none>"


def test_pods_of_a_workload() -> None:
    lives = [live("web-new-1", a=RUNS), live("web-old-2", a=RUNS), live("pi-a", owner="Job/pi", a=RUNS)]
    found = state(*lives, live("webx-new-1", a=RUNS))

    def names(kind: str, name: str, namespace: str = "default") -> list[str]:
        return [pod["metadata"]["name"] for pod in workloads.pods_of(found, kind, namespace, name)]

    assert names("Deployment", "web") == ["web-new-1", "web-old-2"]
    assert names("ReplicaSet", "web-old") == ["web-old-2"]
    assert names("Job", "pi") == ["pi-a"]
    assert names("Job", "pi", "other") == []


# --- tables -----------------------------------------------------------------------------------------


def test_table_has_kubectls_spacing() -> None:
    pods_ = [one_pod(a=RUNS)]
    assert table.table(columns.KINDS["pods"], pods_, NOW) == (
        "NAME   READY   STATUS    RESTARTS   AGE\np      1/1     Running   0          90s\n"
    )
    assert table.table(columns.KINDS["pods"], pods_, NOW, headers=False, all_namespaces=True) == (
        "default   p     1/1   Running   0     90s\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (599, "9m59s"),
        (600, "10m"), (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (8 * 3600, "8h"), (47 * 3600 + 59, "47h"),
        (48 * 3600, "2d"), (51 * 3600, "2d3h"), (8 * 86400, "8d"), (729 * 86400, "729d"),
        (730 * 86400, "2y"), (740 * 86400, "2y10d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_ages_are_told_as_kubectl_tells_them(seconds: int, words: str) -> None:
    assert table.human_duration(seconds) == words


# --- what is asked for ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["po"], {"pods": []}),
        (["POD", "a", "b", "a"], {"pods": ["a", "b"]}),
        (["pods,deploy"], {"pods": [], "deployments": []}),
        (["pods,deploy", "a"], {"pods": ["a"], "deployments": ["a"]}),
        (["pod/a", "sts/b", "pods/c"], {"pods": ["a", "c"], "statefulsets": ["b"]}),
        (
            ["all"],
            {p: [] for p in ("pods", "services", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs")},
        ),
        (
            ["rs,ds,jobs,cm,secrets,ns"],
            {p: [] for p in ("replicasets", "daemonsets", "jobs", "configmaps", "secrets", "namespaces")},
        ),
        (["jobs.batch,replicaset.apps"], {"jobs": [], "replicasets": []}),
        (["svc,ep,endpointslice"], {p: [] for p in ("services", "endpoints", "endpointslices")}),
    ],
)
def test_kinds_and_names(words: list[str], wanted: dict[str, list[str]]) -> None:
    found = get.parse(words)
    assert found == wanted and list(found) == list(wanted)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nope"], 'the server doesn\'t have a resource type "nope"'),
        (["pods,nope"], 'the server doesn\'t have a resource type "nope"'),
        (["nope/x"], 'the server doesn\'t have a resource type "nope"'),
        (["pod", "pod/x"], "there is no need to specify a resource type as a separate argument"),
        (["pod/"], "arguments in resource/name form must have a single resource and name"),
        (["pod/a/b"], "arguments in resource/name form must have a single resource and name"),
        (["pods,rs/a"], "the server doesn't have a resource type"),
    ],
)
def test_kinds_that_there_are_not(words: list[str], why: str) -> None:
    with pytest.raises(CommandError) as caught:
        get.parse(words)
    assert str(caught.value).startswith(f"error: {why}")


def asked(monkeypatch: pytest.MonkeyPatch, found: objects.State, *words: str, **settings: Any) -> None:
    monkeypatch.setattr(get, "observe", lambda sources: found)
    namespace, selector = settings.pop("namespace", "default"), settings.pop("selector", "")
    get.get(words, namespace=namespace, selector=selector, form=get.OutputOptions(**settings), sources=[])


def test_get_speaks_kubectls_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = state(live("web-new-1", a=RUNS), workloads=[WEB])
    for words, settings, said in (
        (("pods",), {"namespace": "x"}, "No resources found in x namespace.\n"),
        (("jobs",), {"all_namespaces": True}, "No resources found\n"),
        (("pods",), {"selector": "a=b"}, "No resources found in default namespace.\n"),
    ):
        asked(monkeypatch, found, *words, **settings)
        assert capsys.readouterr() == ("", said)
    with pytest.raises(CommandError) as caught:
        asked(monkeypatch, found, "pods,deploy", "web", "nope")
    assert str(caught.value) == "\n".join(
        f'Error from server (NotFound): {plural} "{name}" not found'
        for plural, name in (("pods", "web"), ("pods", "nope"), ("deployments.apps", "nope"))
    )
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "deployment.apps/web"
    with pytest.raises(CommandError, match="a resource cannot be retrieved by name across all namespaces"):
        asked(monkeypatch, found, "pod", "x", all_namespaces=True)
    with pytest.raises(CommandError, match="name cannot be provided when a selector is specified"):
        asked(monkeypatch, found, "pod", "x", selector="a=b")


@pytest.mark.parametrize(
    ("words", "answers", "expected"),
    [
        # Nobody knows the cluster.
        (["pods"], {"node1": None, "node2": None}, "error: what there is cannot be told: no answer from node1, node2"),
        (["pod", "x"], {"node1": None}, "error: what there is cannot be told: no answer from node1"),
        # What the others know may not be all.
        (["pods"], {"node1": answer(), "node2": None}, "error: what there is cannot be told: no answer from node2"),
        (["pod", "x"], {"node1": answer(), "node2": None}, 'Error from server (NotFound): pods "x" not found'),
    ],
)
@pytest.mark.parametrize("output", ["", "json"])
def test_silence_is_not_taken_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    answers: dict[str, Any],
    expected: str,
    output: str,
) -> None:
    found = objects.cluster_state(answers, list(answers))
    monkeypatch.setattr(get, "observe", lambda sources: found)
    with pytest.raises(CommandError, match="^" + re.escape(expected) + "$"):
        get.get(words, namespace="default", selector="", form=get.OutputOptions(output), sources=[])
    assert capsys.readouterr() == ("", "")


def test_nodes_are_known_without_their_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(get, "observe", lambda sources: objects.cluster_state({"node1": None}, ["node1"]))
    get.get(["nodes"], namespace="default", selector="", form=get.OutputOptions(headers=False), sources=[])
    assert capsys.readouterr().out.split()[:2] == ["node1", "NotReady"]


def test_several_kinds_are_several_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = state(
        live("web-new-1", a=RUNS), workloads=[WEB], created={"deployment/default/web": "2026-01-02T11:50:00Z"}
    )
    asked(monkeypatch, found, "all")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] if line else "" for line in lines] == [
        *("NAME", "pod/web-new-1", "", "NAME", "deployment.apps/web", "", "NAME", "replicaset.apps/web-new"),
    ]
    asked(monkeypatch, found, "all", headers=False)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        *("pod/web-new-1", "deployment.apps/web", "replicaset.apps/web-new"),
    ]
    asked(monkeypatch, found, "pods,deploy", output="name")
    assert capsys.readouterr().out == "pod/web-new-1\ndeployment.apps/web\n"
    asked(monkeypatch, found, "pods,deploy", output="json")
    assert [item["kind"] for item in json.loads(capsys.readouterr().out)["items"]] == ["Pod", "Deployment"]


def test_json_is_a_list_unless_one_object_was_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = state(live("p", a=RUNS))
    asked(monkeypatch, found, "pods", output="json")
    assert json.loads(capsys.readouterr().out) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": found.pods,
        "metadata": {"resourceVersion": ""},
    }
    for words in (("pod", "p"), ("pod/p",)):
        asked(monkeypatch, found, *words, output="json")
        assert json.loads(capsys.readouterr().out) == found.pods[0]
    asked(monkeypatch, state(), "pods", output="json")
    assert json.loads(capsys.readouterr().out)["items"] == []


def test_labels_are_a_column_of_their_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked(monkeypatch, state(live("p", a=RUNS)), "pods", labels=True)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["LABELS", "app=p"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True), ("app=web", True), ("app==web,tier!=back", True), ("app!=web", False), ("x=y", False), ("x!=y", True),
        ("app in (db, web),tier", True), ("app in (db)", False), ("app notin (db,x)", True), ("x notin (db)", True),
        ("x in (db)", False), ("!x", True), ("!app", False), ("x", False), ("app=", False), ("example.com/a-b_c", False),
    ],
)  # fmt: skip
def test_selectors(text: str, wanted: bool) -> None:
    assert get.selected({"app": "web", "tier": "front"}, get.parse_selector(text)) is wanted


@pytest.mark.parametrize("text", ["a b", "=x", "a in", "a in b", "a in (b", "a=b=c", "(a)"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(CommandError, match="unable to parse requirement"):
        get.parse_selector(text)


# --- times --------------------------------------------------------------------------------------------


def test_pods_are_available_once_they_have_been_ready_for_so_long() -> None:
    now = NOW.timestamp()
    lives = [
        live(f"web-new-{seconds}", owner="ReplicaSet/web-new", a={**RUNS, "started": now - seconds})
        for seconds in (4, 40)
    ]
    for least, available in ((0, 2), (10, 1), (100, 0)):
        found = replace(state(*lives, workloads=[{**WEB, "minReadySeconds": least}]), now=now)
        (deployment,) = workloads.deployments(found)
        status = deployment["status"]
        assert (status["readyReplicas"], status["availableReplicas"]) == (2, available)
        assert deployment["spec"]["minReadySeconds"] == least
        assert workloads.replicasets(found)[0]["status"]["availableReplicas"] == available


def test_what_was_ended_for_its_time_says_so() -> None:
    too_late = {
        "reason": "DeadlineExceeded",
        "message": "Pod was active on the node longer than the specified deadline",
    }
    ended = {**ENDED, "last": last(143), "restarts": 1, "backoff": 20, "failed": too_late}
    pod = one_pod(a=ended)
    assert row(pod) == "p 0/1 DeadlineExceeded 0 90s"
    assert "terminated" in pod["status"]["containerStatuses"][0]["state"], "it waits for no other start"
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    times = {"activeDeadlineSeconds": 5, "ttlSecondsAfterFinished": 9}
    item = workload("Job", "late", replicas=1, selector={"matchLabels": {}}, **times)
    found = state(live("late-1", "OnFailure", owner="Job/late", a=ended), workloads=[item])
    (job,) = workloads.jobs(replace(found, now=NOW.timestamp()))
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    words = "Job was active longer than specified deadline"
    assert job["status"]["conditions"] == [{**condition, "message": words}]
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (5, 9)

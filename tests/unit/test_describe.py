"""``./lab describe``: the layout is kubectl's to the blank, so it is held against recorded texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cli.look import describe, get, objects, table
from tests.answers import ENDED, EPOCH, NOW, RUNS, answer, last, live, workload

Golden = Callable[[str, str], None]

SPEC: dict[str, Any] = {
    "initContainers": [
        {"name": "setup", "image": "busybox", "command": ["sh", "-c", "echo a\necho b"]},
        {"name": "proxy", "image": "busybox", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 80}}},
    ],
    "containers": [
        {
            "name": "web",
            "image": "nginx:1.27",
            "args": ["-g", "daemon off;"],
            "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP", "hostPort": 5353}],
            "env": [
                {"name": "PLAIN", "value": "x"},
                {"name": "LINES", "value": "one\ntwo"},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "colour"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "p", "optional": True}}},
            ],
            "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "secretRef": {"name": "key"}}],
            "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 80}, "periodSeconds": 5},
            "readinessProbe": {"exec": {"command": ["cat", "/tmp/ok"]}, "initialDelaySeconds": 3},
            "volumeMounts": [
                {"name": "data", "mountPath": "/data", "subPath": "a"},
                {"name": "conf", "mountPath": "/conf", "readOnly": True},
            ],
        },
        {"name": "side", "image": "busybox"},
    ],
    "volumes": [
        {"name": "data", "emptyDir": {}},
        {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "conf", "configMap": {"name": "cm"}},
        {"name": "key", "secret": {"secretName": "key", "optional": False}},
        {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "cm"}},
                    {"secret": {"name": "key", "optional": True}},
                    {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]
            },
        },
        {"name": "host", "hostPath": {"path": "/srv", "type": "Directory"}},
    ],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ],
    "nodeName": "node1",
}
EVENTS = [
    {
        "time": EPOCH - 30,
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed: no\n",
        "container": "web",
    },
    {
        "time": EPOCH - 20,
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed: no\n",
        "container": "web",
    },
    {"time": EPOCH - 50, "type": "Normal", "reason": "Started", "message": "Started container web", "container": "web"},
]


def rich() -> dict[str, Any]:
    """A pod with some of everything that there is to tell."""
    found = live(
        "web-5c9f-abcde",
        init={"setup": "OnFailure", "proxy": "Always"},
        rows={
            "web": {"readiness": {"exec": ["x"]}, "env": {"IP": "10.1.1.2", "PASSWORD": "hunter2", "P_p": "hunter2"}}
        },
        setup={**ENDED, "last": last(0, 70)},
        proxy=RUNS,
        web={
            **RUNS,
            "restarts": 1,
            "last": last(1, 65),
            "health": {"pid": 7, "started": True, "ready": False, "readiness": {"ok": False, "message": "no"}},
        },
        side={**ENDED, "restarts": 3, "last": last(256, 4, signal=9), "backoff": 40},
    )
    found["row"]["object"]["spec"] = SPEC
    found["row"]["object"]["metadata"]["annotations"] = {"a": "short", "b": "one\ntwo", "c": "x" * 200}
    return found


def text(lives: list[dict[str, Any]], plural: str = "pods", events: Any = (), pause: str = "", **settings: Any) -> str:
    state = objects.cluster_state({"node1": answer(*lives, **settings)}, ["node1"])
    return describe.text(state, get.LISTS[plural](state)[0], NOW, events, pause)


def test_pod(golden: Golden) -> None:
    """What stands before Podlab: is what kubectl 1.32 prints of this very object, but for its Priority and QoS Class
    (and for defaults, which an API server has put in)."""
    golden("describe-pod.txt", text([rich()], events=EVENTS, pause="123"))


def test_plain_pod(golden: Golden) -> None:
    golden("describe-plain-pod.txt", text([live("p", a=RUNS)], pause="123"))


def test_what_a_secret_holds_is_not_told() -> None:
    assert "hunter2" not in text([rich()], events=EVENTS)


def test_pod_in_its_nodes_own_network() -> None:
    found = live("p", a=RUNS)
    del found["row"]["gateway"]
    found["row"]["host_network"] = True
    page = text([found])
    assert "  Network:  that of node1: hostNetwork\n" in page
    assert "veth" not in page


def test_pod_without_a_node() -> None:
    page = text([], waiting=["default/late"])
    assert "Node:             <none>\n" in page
    assert "Status:           Pending\n" in page
    assert "Podlab:" not in page


def test_node(golden: Golden) -> None:
    taints = [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "value": "", "effect": "NoExecute"}]
    nodes = {"node1": {"address": "10.0.0.2", "labels": {"disk": "ssd"}, "taints": taints}}
    ended = live("done", "Never", a={**ENDED, "last": last(0)})
    golden("describe-node.txt", text([live("p", a=RUNS), ended], "nodes", nodes=nodes))


def test_deployment(golden: Golden) -> None:
    item = workload("Deployment", "web", replicas=3, strategy="RollingUpdate")
    lives = [live("web-new-1", a=RUNS), live("web-old-2", a=RUNS)]
    created = {"deployment/default/web": "2026-01-02T11:50:00Z"}
    golden("describe-deployment.txt", text(lives, "deployments", workloads=[item], created=created))


@pytest.mark.parametrize("form", ["list", "lines"])
def test_events_come_in_either_form(form: str) -> None:
    said = json.dumps(EVENTS) if form == "list" else "".join(json.dumps(event) + "\n" for event in EVENTS)
    assert describe._parsed(said) == EVENTS
    assert describe._parsed("") == []
    assert describe._parsed('{"record": null}\nnonsense\n') == []


def test_events_that_were_counted_already_are_counted_on() -> None:
    counted = {**EVENTS[0], "time": EPOCH - 25, "first": EPOCH - 600, "count": 4}
    line = text([live("p", a=RUNS)], events=[counted, EVENTS[1]]).splitlines()[-1]
    assert line == "  Warning  Unhealthy  20s (x5 over 10m)  kubelet  Readiness probe failed: no"


def test_columns_line_up_with_their_neighbours_alone() -> None:
    """By the rules of Go's text/tabwriter."""
    assert table.aligned("a:\tx\nlong:\ty\nno column\nb:\tz\n  c\td\te\n  cc\td\te") == (
        "a:     x\nlong:  y\nno column\nb:    z\n  c   d  e\n  cc  d  e\n"
    )

"""What a run does about pods that never get ready."""

from __future__ import annotations

import json

import yaml

from .conftest import pod

PATIENCE = ["--skip-tags", "verify", "-e", '{"cluster": {"pod_routing": "gateway", "ready_timeout": 3}}']


def server(says: str, answer: str) -> dict:
    """A Deployment of two; whether they get ready is what ``answer`` exits with."""
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", f"echo {says}; sleep infinity"],
        "readinessProbe": {"exec": {"command": ["sh", "-c", f"echo {says}; {answer}"]}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "server"}},
            "template": {"metadata": {"labels": {"app": "server"}}, "spec": {"containers": [container]}},
        },
    }


def test_a_pod_that_never_gets_ready_ends_the_run_with_what_is_known(lab):
    stubborn = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo last words; sleep infinity"]}
    probe = {"exec": {"command": ["sh", "-c", "echo not today; exit 1"]}, "periodSeconds": 1}
    lab.write(stubborn=pod("stubborn", {**stubborn, "readinessProbe": probe}), sound=pod("sound", stubborn))
    done = lab.play(*PATIENCE)
    assert done.returncode == 2
    said = done.stdout[done.stdout.index("1 pod is not ready; everything else is in place") :]
    for words in ("pod default/stubborn on node", "not today", "last words"):
        assert words in said
    assert "default/sound" not in said
    assert lab.play(*PATIENCE).returncode == 2, "a second run says it again"


def test_a_rollout_that_does_not_get_ready_leaves_the_old_pods_serving(lab):
    lab.write(server=server("old", "true"))
    lab.play(*PATIENCE)
    lab.write(server=yaml.safe_dump(server("new", "false")))
    done = lab.play(*PATIENCE)
    assert done.returncode == 2
    assert "unfinished: Deployment default/server" in done.stdout
    probes = []
    for node in ("node1", "node2"):
        rows = lab.sh(
            node, "cat /run/podlab/pods/default_server-*/pod.json 2>/dev/null | sed 's/}{/}\\n{/g'", check=False
        )
        probes += [json.loads(row)["containers"]["main"]["argv"][2] for row in rows.splitlines()]
    # maxSurge and maxUnavailable of 25 % are one more pod and none fewer.
    assert sorted(words.split(";")[0] for words in probes) == ["echo new", "echo old", "echo old"]

    lab.write(server=yaml.safe_dump(server("new", "true")))
    assert lab.play(*PATIENCE).returncode == 0

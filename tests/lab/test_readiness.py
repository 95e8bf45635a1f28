"""What a run does about pods that never get ready."""

from __future__ import annotations

import json

import yaml

from .conftest import pod

SHORT_TIMEOUT = ["--skip-tags", "verify", "-e", '{"podlab_pod_routing": "gateway", "podlab_ready_timeout": 3}']


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
    done = lab.play(*SHORT_TIMEOUT)
    assert done.returncode == 2
    said = done.stdout[done.stdout.index("1 pod is not ready; everything else is in place") :]
    for words in ("pod default/stubborn on node", "not today", "last words"):
        assert words in said
    assert "default/sound" not in said
    assert lab.play(*SHORT_TIMEOUT).returncode == 2, "a second run says it again"


def test_a_rollout_that_does_not_get_ready_leaves_the_old_pods_serving(lab):
    lab.write(server=server("old", "true"))
    lab.play(*SHORT_TIMEOUT)
    lab.write(server=yaml.safe_dump(server("new", "false")))
    done = lab.play(*SHORT_TIMEOUT)
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
    assert lab.play(*SHORT_TIMEOUT).returncode == 0


def sleeper(name: str, command: str = "sleep infinity", **spec: object) -> dict:
    more = {key: spec.pop(key) for key in ("readinessProbe",) if key in spec}
    return pod(name, {"name": "c", "image": "busybox", "command": ["sh", "-c", command], **more}, **spec)


def job(name: str, command: str, **spec: object) -> dict:
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", command]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**spec, "template": template}}


def test_times_of_a_manifest_are_kept(lab):
    """A delay is waited for though it is longer than the timeout; a pod and a Job end by their deadlines, and a Job
    that is over goes and does not come again."""
    late = {"exec": {"command": ["true"]}, "initialDelaySeconds": 7, "periodSeconds": 1}
    lab.write(
        slow=sleeper("slow", readinessProbe=late),
        limited=sleeper("limited", activeDeadlineSeconds=4),
        quick=job("quick", "true", ttlSecondsAfterFinished=1),
        kept=job("kept", "printf 42"),
        long=job("long", "sleep infinity", activeDeadlineSeconds=4, completions=2),
    )
    done = lab.play(*SHORT_TIMEOUT)
    assert done.returncode == 0, done.stdout
    logs = [lab.sh(node, "cat /var/log/pods/default_kept-*/c/0/current", check=False) for node in ("node1", "node2")]
    assert "".join(logs) == "42", "a last line needs no newline"
    again = lab.play(*SHORT_TIMEOUT)
    assert again.returncode == 0, again.stdout
    assert "Job default/quick: it has finished, and is not there any more" in again.stdout
    assert "Job default/long: Job was active longer than specified deadline" in again.stdout
    assert "pod default/limited: Pod was active on the node longer than the specified deadline" in again.stdout
    pods = [lab.sh(node, "ls /run/podlab/pods", check=False).split() for node in ("node1", "node2")]
    assert sorted(name.rpartition("-")[0] or name for name in pods[0] + pods[1]) == [
        "default_kept",
        "default_limited",
        "default_long",
        "default_slow",
    ]
    last = lab.play(*SHORT_TIMEOUT)
    assert last.returncode == 0, last.stdout
    assert "changed=1" not in last.stdout, "nothing is left to do, and the Job is not made again"

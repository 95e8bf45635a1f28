"""Pods that wait for what a later run may bring: the run goes on without them, and says so."""

from __future__ import annotations

import yaml

from tests import preforked

from .conftest import pod

TOKEN = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "token"}}}
MAIN = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo token $TOKEN; sleep infinity"]}
MOUNT = {"volumeMounts": [{"name": "site", "mountPath": "/site"}]}
SITE = [{"name": "site", "configMap": {"name": "site"}}]
DB = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"token": "seven"}}
CONTENT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}, "data": {"index": "hello"}}
PODS = {
    "blog": pod("blog", {**MAIN, "env": [TOKEN]}),
    "site": pod("site", {**MAIN, **MOUNT}, volumes=SITE),
    "big": pod("big", MAIN, nodeSelector={"disk": "ssd"}),
    "sound": pod("sound", MAIN),
}


def lab_says(lab, *words: str) -> str:
    done = preforked.look([words[0], "--inventory", str(lab.inventory), *words[1:]], lab.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pods_that_lack_something_wait_and_the_others_run(lab):
    lab.write(**PODS, far={**pod("far", MAIN), "metadata": {"name": "far", "namespace": "elsewhere"}})
    done = lab.play()
    assert done.returncode == 2
    assert 'note: namespace "elsewhere" is made' in done.stdout
    said = done.stdout[done.stdout.index("3 pods are not ready; everything else is in place") :]
    for words in (
        "pod default/blog on node",
        'Error: secret "db" not found; add it to the manifests, or set optional: true',
        'FailedMount: MountVolume.SetUp failed for volume "site" : configmap "site" not found',
        "pod default/big:",
        "FailedScheduling: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    ):
        assert words in said
    assert "connections are as planned" in done.stdout, "verify is about those that run"
    found = {line.split()[0]: line.split()[1:3] for line in lab_says(lab, "get", "pods", "--no-headers").splitlines()}
    assert found == {
        "big": ["0/1", "Pending"],
        "blog": ["0/1", "CreateContainerConfigError"],
        "site": ["0/1", "ContainerCreating"],
        "sound": ["1/1", "Running"],
    }
    assert "FailedMount" in lab_says(lab, "describe", "pod", "site")

    again = lab.play()
    assert (again.returncode, "changed=0" in again.stdout) == (2, True)

    lab.write(**{**PODS, "big": pod("big", MAIN)}, db=yaml.safe_dump(DB), content=CONTENT)
    assert lab.play().returncode == 0
    assert lab_says(lab, "logs", "blog") == "token seven\n"
    assert lab_says(lab, "exec", "site", "--", "cat", "/site/index") == "hello"

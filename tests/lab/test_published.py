"""Applications as they are published, of images that are not here: they come up, and who reaches whom can be walked."""

from __future__ import annotations

import pytest
import yaml

from .conftest import ROOT, TestLab, pod

PUBLISHED = sorted((ROOT / "tests" / "published").glob("*.yml"))
BROUGHT = "#!/bin/sh\necho brought with the volume\nexec sleep infinity\n"


@pytest.fixture(scope="module")
def output(lab: TestLab) -> str:
    """Of the run that has brought them up, with one whose program comes with a volume."""
    brought = pod(
        "brought",
        {"name": "c", "image": "example.com/brought", "command": ["/scripts/run"], "volumeMounts": [{"name": "s", "mountPath": "/scripts"}]},
        volumes=[{"name": "s", "configMap": {"name": "scripts", "defaultMode": 0o755}}],
        nodeName="node1",
    )  # fmt: skip
    scripts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": {"run": BROUGHT}}
    files = {file.stem: file.read_text() for file in PUBLISHED}
    lab.write(brought=f"{yaml.safe_dump(brought)}---\n{yaml.safe_dump(scripts)}", **files)
    return lab.converge()


def inside(lab: TestLab, name: str, *argv: str) -> str:
    """What a command prints in the network of the pod whose name begins so, wherever it is."""
    words = " ".join(f"'{word}'" for word in argv)
    script = f"for n in $(ls /run/netns | grep '^{name}' | head -n 1); do ip netns exec $n {words}; done"
    return "".join(lab.sh(node, script, check=False) for node in ("node1", "node2"))


def test_all_of_them_come_up_and_reach_each_other(lab, output):
    assert "connections are as planned, source addresses included" in output
    assert "ways to Services are as planned, source addresses included" in output
    assert "note: a stand-in runs for image mongo in Deployment/socks/carts-db" in output


def test_a_second_run_changes_nothing(lab, output):
    assert "changed: [" not in lab.converge("--skip-tags", "verify")


def test_a_service_is_answered_over_http_tls_and_plain_tcp(lab, output):
    plain = inside(lab, "votes_worker", "curl", "-s", "http://10.96.40.1/cart")
    assert "Stands in for: registry.example.com/shop/frontend:v0.10.1\n" in plain
    assert "\nGET /cart HTTP/1.1\n" in plain
    secured = inside(lab, "votes_worker", "curl", "-sk", "https://10.96.40.2/")
    assert "Server address: " in secured
    assert ":9443\n" in secured
    echo = "echo ping | timeout 10 busybox nc 10.96.40.3 27017 | head -n 1"
    assert inside(lab, "votes_worker", "sh", "-c", echo) == "ping"


@pytest.mark.parametrize(("unit", "user"), [("socks_carts-[a-z0-9]*-[a-z0-9]*.carts", 10001), ("*.exporter", 65532)])
def test_it_is_who_the_manifest_says(lab, output, unit, user):
    script = f"""sed -n 's/.*"child-pid": \\([0-9]*\\).*/\\1/p' /run/podlab/services/{unit}/status | head -n 1"""
    (pid, node) = next((pid, node) for node in ("node1", "node2") if (pid := lab.sh(node, script, check=False)))
    assert lab.on(node, "cat", f"/proc/{pid}/comm") == "podlab-stand-in"
    assert lab.sh(node, f"grep ^Uid /proc/{pid}/status").split()[1:] == [str(user)] * 4


def test_a_program_that_a_volume_brings_is_run(lab, output):
    assert lab.on("node1", "cat", "/var/log/pods/default_brought/c/0/current") == "brought with the volume"

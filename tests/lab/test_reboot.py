"""A host that is rebooted gets everything back by itself. An embedded host has no systemd: what podlab-boot.service
runs is run by hand, on a host that has kept its disk and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podlab.embedded import ENVIRONMENT, Lab, enter
from tests import preforked

from .conftest import ROOT, TestLab, agnhost

DISK = ("var/lib/podlab", "var/log/pods")
REPLAY = ("/usr/bin/python3", "-IS", "/var/lib/podlab/boot/podlab.zip")
BOOT = ("-e", "podlab_boot=true", "--skip-tags", "verify")


def job() -> dict[str, Any]:
    """One that is done at once, after an init container."""
    shell = {"image": "busybox", "command": ["sh", "-c", "echo done; date >>/data/dates"]}
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    spec = {
        "restartPolicy": "OnFailure",
        "initContainers": [{"name": "first", "image": "busybox", "command": ["true"]}],
        "containers": [{"name": "c", **shell, **mounts}],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "nodeName": "node2",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once"},
        "spec": {"template": {"spec": spec}},
    }


def store() -> dict[str, Any]:
    mounts = [{"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"}]
    volumes = [{"name": "disk", "emptyDir": {}}, {"name": "memory", "emptyDir": {"medium": "Memory"}}]
    made = agnhost("store", "netexec", nodeName="node2", volumes=volumes)
    made["spec"]["containers"][0]["volumeMounts"] = mounts
    return made


@pytest.fixture(scope="module")
def cluster(lab: TestLab) -> TestLab:
    (lab.manifests / "once.yml").write_text(json.dumps(job()))
    (lab.manifests / "store.yml").write_text(json.dumps(store()))
    lab.converge(*BOOT)
    return lab


def reboot(lab: TestLab, host: str, home: Path) -> None:
    """End a host and start it again, with its disk."""
    pid = Lab(str(ROOT), lab.name).hosts()[host]
    disk = home / "disk.tar"
    with disk.open("wb") as tar:
        kept = ["sh", "-c", f"cd / && tar -cf - $(ls -d {' '.join(DISK)} 2>/dev/null)"]
        subprocess.run([*enter(pid), *kept], env=ENVIRONMENT, stdout=tar, check=True)
    os.kill(pid, signal.SIGKILL)
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    pid = Lab(str(ROOT), lab.name).hosts()[host]
    with disk.open("rb") as tar:
        subprocess.run([*enter(pid), "tar", "-C", "/", "-xf", "-"], env=ENVIRONMENT, stdin=tar, check=True)


def get(lab: TestLab, *words: str) -> str:
    done = preforked.look(["get", *words, "-i", str(lab.inventory)], lab.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(lab: TestLab, host: str) -> str:
    """Everything that packets meet, without counters, connections and what a kernel numbers as it likes."""
    told = lab.sh(
        host,
        "ip -o link | grep -o '^[0-9]*: [^ ]* .*mtu [0-9]*' | cut -d' ' -f2,4-; ip -4 -o addr; ip route; iptables-save;"
        "sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.all.route_localnet 2>/dev/null",
    )
    told = re.sub(r"^\d+: |@if\d+|\[\d+:\d+\]|^#.*$", "", told, flags=re.MULTILINE)
    return "\n".join(sorted(told.splitlines()))


def starts(lab: TestLab, host: str) -> dict[str, str]:
    """Container -> how often it was restarted."""
    told = lab.sh(host, "cd /run/podlab/services && grep . */restarts")
    return dict(re.findall(r"^(.*)/restarts:(\d+)$", told, re.MULTILINE))


def test_rebooted_hosts_are_whole_again_without_a_playbook(cluster, tmp_path):
    before, addresses = tables(cluster, "node2"), get(cluster, "pods", "-o", "wide")
    assert re.search(r"once-\w+ +0/1 +Completed", addresses)
    cluster.sh("node2", "ip netns exec default_store true; echo kept >/var/lib/podlab/volumes/default_store/disk/file")
    assert set(starts(cluster, "node2").values()) == {"0"}
    job_before = cluster.sh("node2", "cat /var/lib/podlab/volumes/default_once-*/data/dates")

    gateway = tables(cluster, "gateway")
    for host in ("node2", "gateway"):
        reboot(cluster, host, tmp_path)
    assert tables(cluster, "node2") != before
    rows = get(cluster, "pods", "-o", "wide").splitlines()
    here = [row.split() for row in rows if "node2" in row]
    assert len(here) == 4
    assert {row[2] for row in here} == {"Rebooted"}
    assert re.search("node2 +NotReady,Rebooted ", get(cluster, "nodes"))

    cluster.on("gateway", *REPLAY)
    assert tables(cluster, "gateway") == gateway
    said = cluster.on("node2", *REPLAY)
    assert "ip link add cbr0 " in said
    assert tables(cluster, "node2") == before
    assert re.search("node2 +Ready ", get(cluster, "nodes"))
    again = starts(cluster, "node2")
    assert {name.partition("-")[0]: count for name, count in again.items()} == {
        **{"default_toolbox.netshoot": "1", "default_store.agnhost": "1", "default_web": "1", "default_once": "0"},
    }
    assert cluster.sh("node2", "cat /var/lib/podlab/volumes/default_store/disk/file") == "kept"
    assert "/volumes/default_store/memory tmpfs" in cluster.sh("node2", "cat /proc/mounts")
    assert cluster.sh("node2", "cat /var/lib/podlab/volumes/default_once-*/data/dates") == job_before
    done = cluster.converge("-e", "podlab_boot=true")
    assert not re.search(r"changed=[1-9]", done), done
    assert "connections are as planned" in done


def test_a_route_waits_for_the_address_that_it_needs(cluster, tmp_path):
    before = tables(cluster, "node1")
    reboot(cluster, "node1", tmp_path)
    cluster.on("node1", "ip", "addr", "del", "10.100.0.2/24", "dev", "eth0")
    pid = Lab(str(ROOT), cluster.name).hosts()["node1"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([*enter(pid), *REPLAY], env=ENVIRONMENT, text=True, **streams) as replay:  # type: ignore[call-overload]
        assert any(line.startswith("routes: ") for line in replay.stderr)
        assert any("ip route replace 10.1.0.0/16 via 10.100.0.1" in line for line in replay.stderr)
        cluster.on("node1", "ip", "addr", "add", "10.100.0.2/24", "brd", "+", "dev", "eth0")
        cluster.on("node1", "ip", "route", "add", "default", "via", "10.100.0.1")
        assert replay.wait(60) == 0
    assert tables(cluster, "node1") == before


def test_what_is_kept_is_roots_alone_and_goes_with_the_setting(cluster):
    modes = cluster.sh("node1", "stat -c '%a %n' /var/lib/podlab/boot /var/lib/podlab/boot/*")
    assert modes.splitlines()[0].startswith("700 ")
    assert {line.partition(" ")[0] for line in modes.splitlines()[1:]} == {"600"}
    # What somebody has changed, and what a run has not come to the end of, is told anew.
    cluster.sh(
        "node1",
        "sed -i s/cbr0/cbr1/ /var/lib/podlab/boot/bridge.json; cd /var/lib/podlab/boot; cp pods.json pods.json.new",
    )
    mended = cluster.typed(cluster.converge(*BOOT))
    assert mended == {
        "node1": [f"# write /var/lib/podlab/boot/{name}.json: what a boot replays" for name in ("bridge", "pods")]
    }
    off = cluster.converge("--skip-tags", "verify", "--check")
    assert off.count("rm -r /var/lib/podlab/boot\n") == 3
    assert len(re.findall("changed=1 ", off)) == 3
    cluster.converge("--skip-tags", "verify")
    assert cluster.sh("node1", "ls -d /var/lib/podlab/boot", check=False) == ""

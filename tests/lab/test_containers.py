"""What a container sees, shares, and cannot touch."""

from __future__ import annotations

import base64
import platform
import re

import pytest
import yaml

from .conftest import agnhost, pod
from .preloaded import library

LOGGED = "/logged"
SPY = {
    "name": "c",
    "image": "busybox",
    "command": ["sh", "-c", "echo /spy/spy.so >/etc/ld.so.preload; exec sleep infinity"],
    "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}},
    "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
    "volumeMounts": [{"name": "spy", "mountPath": "/spy"}, {"name": "logged", "mountPath": LOGGED}],
}


@pytest.fixture(scope="module")
def pods(lab):
    shell = {"image": "nicolaka/netshoot", "command": ["sleep", "infinity"]}
    lab.write(
        ipc=pod("ipc", {"name": "one", **shell}, {"name": "two", **shell}, nodeName="node1"),
        once=pod(
            "once",
            {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo done"]},
            restartPolicy="Never",
            nodeName="node1",
        ),
        crash=agnhost("crash", "netexec", nodeName="node1"),
        library={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "spy"},
            "binaryData": {"spy.so": base64.b64encode(library(f"{LOGGED}/log")).decode()},
        },
        spy=pod(
            "spy",
            SPY,
            volumes=[{"name": "spy", "configMap": {"name": "spy"}}, {"name": "logged", "emptyDir": {}}],
            nodeName="node1",
        ),
    )
    lab.converge("--skip-tags", "verify")
    return lab


def wait(lab, script):
    """Until a script on node1 succeeds."""
    return lab.sh("node1", f"for i in $(seq 200); do ({script}) && exit 0; sleep 0.05; done; exit 1")


def inside(lab, pod_name, container, script):
    """Run a script in a container: its process 1 tells which namespaces are its own."""
    status = f"/run/podlab/services/default_{pod_name}.{container}/status"
    wait(lab, f"grep -q child-pid {status}")
    pid = lab.sh("node1", f"sed -n 's/.*\"child-pid\": \\([0-9]*\\).*/\\1/p' {status}")
    return lab.on("node1", "nsenter", "-t", pid, "-m", "-n", "-p", "-i", "-u", "sh", "-c", script, check=False)


def test_a_container_has_its_programs_and_not_the_machines_secrets(pods):
    assert inside(pods, "ipc", "one", "for p in curl dig ping ip python3; do command -v $p; done | wc -l") == "5"
    assert inside(pods, "ipc", "one", "ls /etc/shadow /var/lib/podlab /run/podlab 2>/dev/null; echo end") == "end"
    assert inside(pods, "ipc", "one", "cat /proc/1/comm") == "sleep"


def test_what_a_container_writes_lands_nowhere_else(pods):
    inside(pods, "ipc", "one", "echo mine > /tmp/mark; echo mine > /mark; echo mine > /var/lib/mark")
    assert inside(pods, "ipc", "two", "cat /tmp/mark /mark /var/lib/mark 2>/dev/null; echo end") == "end"
    assert pods.sh("node1", "ls /tmp/mark /mark /var/lib/mark 2>/dev/null; echo end") == "end"
    assert inside(pods, "ipc", "one", "touch /usr/mark 2>/dev/null || echo read-only") == "read-only"


def test_containers_of_a_pod_share_ipc_network_and_host_name_but_not_processes(pods):
    inside(pods, "ipc", "one", "echo shared > /dev/shm/note")
    assert inside(pods, "ipc", "two", "cat /dev/shm/note; hostname") == "shared\nipc"
    both = [
        inside(pods, "ipc", name, f"readlink /proc/1/ns/{kind}")
        for kind in ("net", "ipc", "uts")
        for name in ("one", "two")
    ]
    assert both[0::2] == both[1::2]
    assert inside(pods, "ipc", "one", "readlink /proc/1/ns/pid") != inside(
        pods, "ipc", "two", "readlink /proc/1/ns/pid"
    )


def test_what_a_pod_keeps_in_shm_fills_nothing_of_the_host(pods):
    fill = "dd if=/dev/zero of=/dev/shm/all bs=1M count=80 2>/dev/null; stat -c %a /dev/shm"
    assert inside(pods, "ipc", "one", fill) == "1777"
    assert inside(pods, "ipc", "two", "df --output=size,avail /dev/shm").split()[2:] == ["65536", "0"]
    inside(pods, "ipc", "two", "rm /dev/shm/all")
    kinds = pods.sh("node1", "stat -c %m /run/podlab/shm/default_ipc /run/podlab/pods/default_ipc/hosts").split()
    assert kinds[0] == "/run/podlab/shm/default_ipc" != kinds[1]


def test_a_container_may_not_change_its_network(pods):
    assert inside(pods, "ipc", "one", "grep CapEff /proc/1/status").split()[1] == "00000000a80425fb"  # containerd's


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the library is for x86_64")
def test_whoever_enters_a_container_runs_nothing_of_its_own_before_he_has_dropped_his_privileges(pods):
    """Every dynamic program runs what the container's /etc/ld.so.preload names: for a probe, and for ./lab exec."""
    service, log = "/run/podlab/services/default_spy.c", "/var/lib/podlab/volumes/default_spy/logged/log"
    wait(pods, f"grep -qs 'Name:.true' {log}")  # the probe
    pods.sh("node1", f"{service}/enter $(sed -n 's/.*\"child-pid\": \\([0-9]*\\).*/\\1/p' {service}/status) ls /")
    logged = pods.sh("node1", f"cat {log}")
    found = re.findall(r"^Name:\t(.*)$|^CapEff:\t(.*)$|^NoNewPrivs:\t(.*)$", logged, re.MULTILINE)
    words = ["".join(groups) for groups in found]
    programs = set(zip(words[::3], words[1::3], words[2::3], strict=True))
    dac_override = f"{2:016x}"
    assert {program[1:] for program in programs} == {(dac_override, "1")}, programs
    assert {program[0] for program in programs} >= {"sleep", "true", "ls"}


def test_a_taken_port_fails_in_the_containers_own_log(pods):
    server = {"image": "registry.k8s.io/e2e-test-images/agnhost", "args": ["netexec", "--http-port=80"]}
    clash = pod("clash", {"name": "first", **server}, {"name": "second", **server}, nodeName="node1")
    (pods.manifests / "clash.yml").write_text(yaml.safe_dump(clash))
    pods.play("--skip-tags", "verify")  # well or not: without a probe it is ready for an instant
    (pods.manifests / "clash.yml").unlink()
    wait(pods, "grep -rqs 'address already in use' /var/log/pods/default_clash/")
    logs = pods.sh("node1", "grep -rls 'address already in use' /var/log/pods/default_clash/")
    assert {line.split("/")[5] for line in logs.splitlines()} < {"first", "second"}  # one of them, not both


def test_restart_policy_never_is_kept(pods):
    wait(pods, "grep -qs '^0 ' /run/podlab/services/default_once.c/last")
    assert (
        pods.sh("node1", "cat /run/podlab/services/default_once.c/restarts /var/log/pods/default_once/c/0/current")
        == "0\ndone"
    )


def test_a_container_that_exits_comes_back_in_the_same_sandbox(pods):
    before = pods.sh("node1", "pgrep -xf 'catatonit -P podlab-pod default_crash'")
    address = pods.pod("node1", "crash")["address"].split("/")[0]
    wait(pods, f"curl -sfm 2 http://{address}:8080/healthz")
    pods.sh("node1", f"curl -sm 2 'http://{address}:8080/exit?code=7'", check=False)
    wait(pods, "grep -qs '^7 ' /run/podlab/services/default_crash.agnhost/last")
    wait(pods, f"curl -sfm 2 http://{address}:8080/healthz")
    assert pods.sh("node1", "cat /run/podlab/services/default_crash.agnhost/restarts") == "1"
    assert pods.sh("node1", "pgrep -xf 'catatonit -P podlab-pod default_crash'") == before


def test_a_changed_container_is_started_anew_and_its_neighbours_are_not(pods):
    before = pods.sh(
        "node1", "cat /run/podlab/services/default_once.*/started /run/podlab/services/default_ipc.one/status"
    )
    crash = agnhost("crash", "netexec", "--http-port=8888", nodeName="node1")
    (pods.manifests / "crash.yml").write_text(yaml.safe_dump(crash))
    typed = pods.lines(pods.converge("--skip-tags", "verify"))
    assert [line for line in typed if "default_ipc" in line or "default_once" in line] == []
    address = pods.pod("node1", "crash")["address"].split("/")[0]
    wait(pods, f"curl -sfm 2 http://{address}:8888/healthz")
    assert (
        pods.sh("node1", "cat /run/podlab/services/default_once.*/started /run/podlab/services/default_ipc.one/status")
        == before
    )


def test_a_new_address_is_announced(pods):
    """Gratuitous ARP: a neighbour that had another MAC for the address learns the new one at once."""
    listen = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))\n"
        "s.bind(('cbr0', 0)); s.settimeout(20); open('/run/listening', 'w').close()\n"
        "while True:\n"
        "    p = s.recv(100)\n"
        "    if p[28:32] == p[38:42]: open('/run/announced', 'w').write(socket.inet_ntoa(p[28:32])); break\n"
    )
    pods.sh(
        "node1",
        f'python3 -c "{listen}" >/dev/null 2>&1 & for i in $(seq 200); do [ -e /run/listening ] && exit 0; sleep 0.05; done; exit 1',
    )
    (pods.manifests / "new.yml").write_text(yaml.safe_dump(agnhost("new", "pause", nodeName="node1")))
    pods.converge("--skip-tags", "verify")
    wait(pods, "test -s /run/announced")
    assert pods.sh("node1", "cat /run/announced") + "/24" == pods.pod("node1", "new")["address"]


def test_what_is_no_longer_in_the_directory_goes_away_without_a_trace(pods):
    pods.write(empty={"apiVersion": "v1", "kind": "List", "items": []})
    pods.converge("--skip-tags", "verify")
    assert (
        pods.sh("node1", "ls -A /run/netns /run/podlab/pods /run/podlab/shm /var/log/pods | grep default_", check=False)
        == ""
    )
    # Nor in the namespaces of processes that stay: there a mount would hold what was in it.
    assert pods.sh("node1", "grep -l '/shm/default_' /proc/[0-9]*/mountinfo", check=False) == ""
    # What stays is the node's: kube-proxy's health checks.
    assert pods.sh("node1", "ls -A /run/podlab/services | grep -v '^[.]'", check=False) == "kube-proxy"
    assert pods.sh("node1", "ip -o link show type veth | grep -c podlab", check=False) == "0"
    assert (
        pods.sh(
            "node1",
            "pgrep -ax 's6-supervise|bwrap|sleep' | grep -v kube-proxy; pgrep -axf 'catatonit -P podlab-pod .*'",
            check=False,
        )
        == ""
    )
    assert pods.sh("node1", "pgrep -cx s6-log") == "1"


def test_neither_a_container_nor_a_host_can_change_what_is_the_machines(lab):
    lab.write(shell=pod("shell", {"name": "c", "image": "busybox", "command": ["sleep", "600"]}, nodeName="node1"))
    lab.converge("--skip-tags", "verify")
    attempt = "echo 60 2>/dev/null >/proc/sys/vm/swappiness && echo written"
    assert inside(lab, "shell", "c", f"({attempt}) 2>/dev/null; echo end") == "end"
    assert lab.sh("node1", f"({attempt}) 2>/dev/null; touch /sys/mark 2>/dev/null; echo end") == "end"
    assert lab.sh("node1", "echo 0 >/proc/sys/net/ipv4/conf/all/log_martians && echo its own") == "its own"

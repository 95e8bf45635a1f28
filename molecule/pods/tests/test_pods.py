"""Life inside of pods, seen from their hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = Path(__file__).resolve().parents[1] / "manifests"
SCAN_DIR = "/run/podlab/services"


@pytest.fixture(scope="session")
def sh(node):
    """Output of a script on a host: ``sh("node1", "uname")``."""

    def run(host: str, script: str) -> str:
        return node(host).run(script).stdout.strip()

    return run


@pytest.fixture(scope="session")
def inside(node):
    """Output of a script in a container, run as ``./lab exec`` runs it."""

    def run(host: str, pod: str, container: str, script: str) -> str:
        pid = pid_of(node(host), pod, container)
        enter = f"{SCAN_DIR}/default_{pod}.{container}/enter"
        return node(host).run(f"{enter} {pid} sh -c %s", script).stdout.strip()

    return run


def pid_of(host: Any, pod: str, container: str) -> str:
    """Process 1 of a container, as its host counts; empty while there is none."""
    status = host.run(f"cat {SCAN_DIR}/default_{pod}.{container}/status").stdout
    found = re.search(r'"child-pid": (\d+)', status)
    return found[1] if found else ""


def pause_of(host: Any, pod: str) -> str:
    return str(host.run(f"pgrep -xf 'catatonit -P podlab-pod default_{pod}'").stdout.strip())


def wait(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (said := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert said, "what was waited for has not come"
    return said


# --- order, files, identity -------------------------------------------------------------------------------


def test_everybody_comes_in_order(sh, pods):
    page = sh("gateway", f"curl -sm 5 http://{pods['order']['ip']}/")
    assert page.split("\n") == ["first", "beside", "then the hook"]


def test_files_and_variables_are_those_of_the_manifest(inside):
    said = inside("node2", "order", "web", "cat /etc/words/greeting; stat -L -c ' %a' /etc/words/greeting")
    assert said == "good morning 440"
    environment = inside("node2", "order", "web", "env").split("\n")
    assert {"WORD=xyzzy", "WHERE=node2"} <= set(environment)
    assert "size=4096k" in inside("node2", "order", "web", "grep ' /cache ' /proc/mounts")


def test_a_pod_is_who_its_manifest_says(inside):
    assert inside("node2", "order", "web", "hostname") == "nora"
    hosts = inside("node2", "order", "web", "cat /etc/hosts")
    assert "nora.family.default.svc.cluster.local\tnora" in hosts
    assert "192.0.2.7\tprinter.example" in hosts
    assert inside("node2", "order", "web", "cat /proc/sys/net/ipv4/ip_local_port_range").split() == ["40000", "40099"]


def test_a_stateful_set_takes_one_step_after_the_other(node, pods):
    starts = []
    for name in ("line-0", "line-1"):
        service = f"{SCAN_DIR}/default_{name}.shell"
        starts.append(float(node(pods[name]["node"]).check_output(f"stat -c %.Y {service}/started")))
    # The first is not ready before it has slept.
    assert starts[1] - starts[0] >= 1.2


def test_work_is_done_once(sh, pods):
    logs = [sh(pods[name]["node"], f"cat /var/log/pods/{pods[name]['netns']}/worker/*/current") for name in jobs(pods)]
    assert sorted(logs) == ["piece 0", "piece 1"]


def jobs(pods: dict[str, Any]) -> list[str]:
    return [name for name in pods if name.startswith("work-")]


# --- restart ----------------------------------------------------------------------------------------------


def test_a_container_that_dies_comes_back_by_itself(node, pods, sh):
    host, pod = node("node1"), pods["fragile"]
    identity = (
        f"stat -c %i /run/netns/{pod['netns']}; ip -n {pod['netns']} -o addr show eth0; "
        f"ip netns exec {pod['netns']} cat /sys/class/net/eth0/address; cat {SCAN_DIR}/default_fragile.neighbour/status"
    )
    before, pause, pid = sh("node1", identity), pause_of(host, "fragile"), pid_of(host, "fragile", "server")
    assert before and pause and pid
    sh("node1", f"kill -KILL {pid}")
    wait(lambda: pid_of(host, "fragile", "server") not in ("", pid))
    wait(lambda: sh("gateway", f"curl -sm 2 http://{pod['ip']}/hostname") == "fragile")
    assert sh("node1", f"cat {SCAN_DIR}/default_fragile.server/restarts") == "1"
    assert (sh("node1", identity), pause_of(host, "fragile")) == (before, pause)


# --- ports of the node ------------------------------------------------------------------------------------

ASK = (
    'python3 -c "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5); '
    "s.sendto(b'clientip', ('{}', 8080)); print(s.recv(100).decode())\""
)


def test_a_port_of_the_node_keeps_the_source_from_outside(sh):
    assert sh("outside", "curl -sm 5 http://10.100.0.2:8080/clientip").split(":")[0] == "198.51.100.10"
    assert sh("outside", ASK.format("10.100.0.2")).split(":")[0] == "198.51.100.10"


def test_a_port_of_the_node_keeps_the_source_of_other_pods(in_pod, pods):
    assert in_pod("order", "curl -sm 5 http://10.100.0.2:8080/clientip").stdout.split(":")[0] == pods["order"]["ip"]
    assert in_pod("fragile", "curl -sm 5 http://10.100.0.2:8080/clientip").stdout.split(":")[0] == pods["fragile"]["ip"]


def test_a_pod_reaches_itself_through_the_node(in_pod):
    assert in_pod("port", "curl -sm 5 http://10.100.0.2:8080/hostname").stdout == "port"


def test_the_node_reaches_it_at_localhost_and_nobody_else_does(sh, node):
    for url in ("http://127.0.0.1:8080/hostname", "http://127.0.0.1:8081/hostname"):
        assert sh("node1", f"curl -sm 5 {url}") == "port"
    assert sh("node1", ASK.format("127.0.0.1"))
    assert node("outside").run("curl -sm 5 http://10.100.0.2:8081/hostname").rc != 0


# --- the second run ---------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run with a killed pause and a changed template, and how many replicas answered meanwhile."""

    orphan: dict[str, str] = field(default_factory=dict)
    others: str = ""
    answering: list[int] = field(default_factory=list)
    output: str = ""


OTHERS = f"cat {SCAN_DIR}/default_port.server/status {SCAN_DIR}/default_fragile.*/status; cat {SCAN_DIR}/default_line-*.shell/status"


def rolling(node: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Rows of the Deployment's pods by name, as they are on the nodes now."""
    found = {}
    for name in ("node1", "node2"):
        text = node(name).run("cat /run/podlab/pods/default_rolling-*/pod.json 2>/dev/null").stdout.strip()
        while text:
            row, end = json.JSONDecoder().raw_decode(text)
            found[row["object"]["metadata"]["name"]] = row
            text = text[end:].lstrip()
    return found


def answering(node: Callable[[str], Any]) -> int:
    addresses = [row["address"].split("/")[0] for row in rolling(node).values()]
    calls = " ".join(f"curl -sfm 2 -o /dev/null http://{address}/healthz && echo ok &" for address in addresses)
    return node("gateway").run(f"{calls} wait").stdout.count("ok") if addresses else 0


@pytest.fixture(scope="session")
def second(node, pods, tmp_path_factory) -> Run:
    run = Run(others=node("node1").run(OTHERS).stdout + node("node2").run(OTHERS).stdout)
    host = node("node1")
    run.orphan = {"pause": pause_of(host, "orphan"), "pid": pid_of(host, "orphan", "shell"), "ip": pods["orphan"]["ip"]}
    host.run(f"kill -KILL {run.orphan['pause']}")
    manifests = tmp_path_factory.mktemp("second") / "manifests"
    shutil.copytree(MANIFESTS, manifests)
    template = manifests / "rolling.yml"
    template.write_text(template.read_text().replace("value: one", "value: two"))
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):  # or it takes a processor from the run that it watches
            count = answering(node)
            # Listing and calling are two moments: what looks like a gap is looked at once more.
            run.answering.append(count if count >= 2 else answering(node))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(
            [
                "ansible-playbook",
                "-i",
                "inventory/embedded",
                "-e",
                f"podlab_manifests={manifests}",
                "site.yml",
                "--skip-tags",
                "verify",
            ],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            capture_output=True,
            text=True,
        )
    finally:
        over.set()
        watcher.join()
    assert done.returncode == 0, done.stdout + done.stderr
    run.output = done.stdout
    return run


def test_a_killed_pause_is_a_new_sandbox_at_the_next_run(second, node, sh):
    host = node("node1")
    pause, pid = pause_of(host, "orphan"), pid_of(host, "orphan", "shell")
    assert pause and pid
    assert pause != second.orphan["pause"] and pid != second.orphan["pid"]
    assert f"inet {second.orphan['ip']}/24" in sh("node1", "ip -n default_orphan addr show eth0")
    ended = sh("node1", f"cat {SCAN_DIR}/default_orphan.first/last").split()
    assert ended[0] == "0"  # its init container has run anew, and well
    assert float(ended[3]) <= float(sh("node1", f"stat -c %.Y {SCAN_DIR}/default_orphan.shell/started"))


def test_others_are_left_alone(second, node):
    assert node("node1").run(OTHERS).stdout + node("node2").run(OTHERS).stdout == second.others


def test_a_new_template_replaces_every_pod(second, node):
    rows = rolling(node)
    assert len(rows) == 2
    assert {row["containers"]["web"]["env"]["VERSION"] for row in rows.values()} == {"two"}


def test_never_less_than_all_replicas_answer_meanwhile(second):
    assert len(second.answering) > 3
    assert min(second.answering) >= 2
    assert max(second.answering) <= 3  # maxSurge: 1


def test_work_is_not_done_again(second, sh, pods):
    for name in jobs(pods):
        there = sh(pods[name]["node"], f"ls /var/log/pods/{pods[name]['netns']}/worker").split()
        assert [log for log in there if log.isdigit()] == ["0"]  # beside it is how that start has ended

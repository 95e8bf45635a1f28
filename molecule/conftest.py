"""What the scenarios' tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from services_matrix import Answer, Cell, Question

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from podlab.embedded import ENVIRONMENT, Lab, enter
from tests.embedded_backend import ROOT
from tests.embedded_backend import host as embedded_host

CLIENT = Path(__file__).with_name("services_client.py")


@pytest.fixture(scope="session")
def node() -> Callable[[str], Any]:
    """A testinfra host by name: ``node("node1").interface("cbr0")``."""
    hosts: dict[str, Any] = {}

    def find(name: str) -> Any:
        return hosts.setdefault(name, embedded_host(name))

    return find


@pytest.fixture(scope="session")
def pods(node: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Every pod of node1 and node2 by name, with ``node``, ``netns`` and ``ip``. One on its node's own network has
    the network namespace of its node's init."""
    found = {}
    for name in ("node1", "node2"):
        rows = node(name).check_output("cat /run/podlab/pods/*/pod.json | tr '\\n' ' '")
        decoder, at = json.JSONDecoder(), 0
        while at < len(rows.rstrip()):
            row, at = decoder.raw_decode(rows, at)
            while at < len(rows) and rows[at] == " ":
                at += 1
            found[row["object"]["metadata"]["name"]] = {
                "node": name,
                "netns": row["netns"],
                "ip": row["address"].split("/")[0],
                "containers": list(row["containers"]),
                "host_network": row.get("host_network", False),
            }
    return found


@pytest.fixture(scope="session")
def in_pod(node: Callable[[str], Any], pods: dict[str, dict[str, Any]]) -> Callable[..., Any]:
    """Run a command in the network namespace of a pod: ``in_pod("toolbox", "ping -c 1 10.1.1.2")``."""

    def run(pod: str, command: str) -> Any:
        return node(pods[pod]["node"]).run(f"ip netns exec {pods[pod]['netns']} {command}")

    return run


# --- services: see services_matrix.py and services_client.py ----------------------------------------------


class Clients:
    """Runs ``services_client`` wherever a client is."""

    def __init__(self, pods: dict[str, dict[str, Any]]) -> None:
        self._pods = pods
        self._pids = Lab(str(ROOT), os.environ.get("PODLAB_LAB", "default")).hosts()
        self._environment = ENVIRONMENT | {"HOME": "/root"}

    def argv(self, client: str, *words: str) -> list[str]:
        """What runs the program there. In a pod on its node's network that is one of its containers."""
        program = ["/usr/bin/python3", "-IS", "-c", CLIENT.read_text(), *words]
        pod = self._pods.get(client)
        if pod is None:
            return [*enter(self._pids[client]), *program]
        if pod["host_network"]:
            return self._in_container(client, *program)
        return [*enter(self._pids[pod["node"]]), "ip", "netns", "exec", pod["netns"], *program]

    def _in_container(self, name: str, *argv: str) -> list[str]:
        """As ``./lab exec`` enters the first container of a pod."""
        pod = self._pods[name]
        host = enter(self._pids[pod["node"]])
        service = f"/run/podlab/services/{pod['netns']}.{pod['containers'][0]}"
        status = self._on(pod["node"], "cat", f"{service}/status")
        pid = next(json.loads(line)["child-pid"] for line in status.splitlines() if "child-pid" in line)
        return [*host, f"{service}/enter", str(pid), *argv]

    def exec(self, pod: str, *argv: str) -> None:
        done = subprocess.run(self._in_container(pod, *argv), env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def make_ready(self, pod: str, ready: bool) -> None:
        """Give or take away the file that the readiness probe of a pod looks for, and wait until that is noticed."""
        self.exec(pod, *(["touch", "/tmp/ready"] if ready else ["rm", "-f", "/tmp/ready"]))
        place = self._pods[pod]
        health = f"/run/podlab/services/{place['netns']}.{place['containers'][0]}/health"
        deadline = time.monotonic() + 30
        while json.loads(self._on(place["node"], "cat", health))["ready"] != ready:
            assert time.monotonic() < deadline, f"the kubelet has not noticed that {pod} is another"
            time.sleep(0.1)

    def _on(self, host: str, *argv: str) -> str:
        done = subprocess.run([*enter(self._pids[host]), *argv], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, questions: Mapping[Cell, Question]) -> dict[Cell, Answer]:
        """All of them at once."""

        def run(client: str) -> dict[Cell, Answer]:
            mine = [cell for cell in questions if cell.client == client]
            argv = self.argv(client, "ask", json.dumps([questions[cell] for cell in mine]))
            done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{client}: {done.stdout}{done.stderr}"
            return dict(zip(mine, json.loads(done.stdout), strict=True))

        names = {cell.client for cell in questions}
        with ThreadPoolExecutor(len(names)) as pool:
            return {cell: answer for met in pool.map(run, names) for cell, answer in met.items()}

    @contextmanager
    def watching(self, client: str, targets: Sequence[dict[str, Any]]) -> Iterator[list[list[tuple[float, str]]]]:
        """Ask on and on while the block lasts; after it the list holds the notes of each target."""
        argv = self.argv(client, "watch", json.dumps(targets))
        notes: list[list[tuple[float, str]]] = []
        watcher = subprocess.Popen(
            argv, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield notes
        finally:
            said, _ = watcher.communicate(timeout=60)
        notes += json.loads(said)


@pytest.fixture(scope="session")
def clients(pods: dict[str, dict[str, Any]]) -> Clients:
    return Clients(pods)


def controller() -> dict[str, str]:
    """The environment of what runs beside the lab."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


@pytest.fixture(scope="session")
def lab_get() -> Callable[[str], dict[str, dict[str, Any]]]:
    """Objects by name, as ``./lab get KIND -o json`` prints them."""

    def get(kind: str) -> dict[str, dict[str, Any]]:
        argv = [sys.executable, str(ROOT / "cli"), "get", kind, "-o", "json"]
        items = json.loads(subprocess.check_output(argv, env=controller(), text=True, timeout=60))["items"]
        return {item["metadata"]["name"]: item for item in items}

    return get


@pytest.fixture(scope="session")
def site() -> Callable[..., str]:
    """Run site.yml over this scenario's inventory once more; its output."""

    def run(scenario: Path, manifests: Path, *arguments: str) -> str:
        inventories = ["--inventory", "inventory/embedded"]
        if (scenario / "settings.yml").exists():
            inventories += ["--inventory", str(scenario / "settings.yml")]
        argv = ["ansible-playbook", *inventories, "--extra-vars", f"manifests={manifests}", "site.yml", *arguments]
        done = subprocess.run(argv, cwd=ROOT, env=controller(), capture_output=True, text=True, timeout=300)
        # Every test of a scenario may depend on this run, and each would print all of it.
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    return run

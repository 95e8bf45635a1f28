"""What the scenarios' tests share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from services_lab import Clients

from tests import preforked
from tests.conversation import Conversation
from tests.embedded_backend import host as embedded_host
from tests.lab.conftest import TestLab


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


@pytest.fixture(scope="session")
def lab() -> TestLab:
    """The scenario's lab, to run playbooks over with the scenario's own inventory and manifests."""
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")  # molecule's own one knows none of our modules
    scenario = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
    own = scenario / "manifests"
    manifests = own if own.is_dir() else scenario.with_name("manifests")
    return TestLab(os.environ["PODLAB_LAB"], scenario / "hosts.yml", manifests)


@pytest.fixture(scope="session")
def talk() -> Iterator[Callable[..., Conversation]]:
    """Let a pod of one host talk to one of another: ``talk(lab, ("node1", "calm"), ("node2", "calm"))``."""
    begun: list[Conversation] = []

    def begin(lab: TestLab, caller: tuple[str, str], callee: tuple[str, str], **how: Any) -> Conversation:
        ends = [(host, lab.pod(host, name)) for host, name in (caller, callee)]
        begun.append(Conversation(lab.name, ends[0], ends[1], **how))
        return begun[-1]

    yield begin
    for conversation in begun:
        conversation.close()


# --- services: see services_matrix.py, services_lab.py and services_client.py -------------------------------


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
        done = preforked.look(["get", kind, "-o", "json"], controller())
        assert done.returncode == 0, done.stderr
        return {item["metadata"]["name"]: item for item in json.loads(done.stdout)["items"]}

    return get


@pytest.fixture(scope="session")
def site() -> Callable[..., str]:
    """Run site.yml over this scenario's inventory once more; its output."""

    def run(scenario: Path, manifests: Path, *arguments: str) -> str:
        inventories = ["--inventory", "inventory/embedded"]
        if (scenario / "settings.yml").exists():
            inventories += ["--inventory", str(scenario / "settings.yml")]
        variables = ["--extra-vars", f"podlab_manifests={manifests}"]
        done = preforked.play(["ansible-playbook", *inventories, *variables, "site.yml", *arguments], controller())
        # Every test of a scenario may depend on this run, and each would print all of it.
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    return run

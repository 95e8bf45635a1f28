"""What the scenarios' tests share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.embedded_backend import host as embedded_host


@pytest.fixture(scope="session")
def node() -> Callable[[str], Any]:
    """A testinfra host by name: ``node("node1").interface("cbr0")``."""
    hosts: dict[str, Any] = {}

    def find(name: str) -> Any:
        return hosts.setdefault(name, embedded_host(name))

    return find


@pytest.fixture(scope="session")
def pods(node: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Every pod of node1 and node2 by name, with ``node``, ``netns`` and ``ip``."""
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
            }
    return found


@pytest.fixture(scope="session")
def in_pod(node: Callable[[str], Any], pods: dict[str, dict[str, Any]]) -> Callable[..., Any]:
    """Run a command in the network namespace of a pod: ``in_pod("toolbox", "ping -c 1 10.1.1.2")``."""

    def run(pod: str, command: str) -> Any:
        return node(pods[pod]["node"]).run(f"ip netns exec {pods[pod]['netns']} {command}")

    return run

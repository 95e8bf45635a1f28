"""A lab with services in it, for tests: clients in it that ask, and what has to be there before they do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services_matrix import Answers, Cell, Question

from podlab.embedded import ENVIRONMENT, Lab, enter
from tests.embedded_backend import ROOT

CLIENT = Path(__file__).with_name("services_client.py")

Node = Callable[[str], Any]
"""A testinfra host by name."""
Pods = dict[str, dict[str, Any]]
Get = Callable[[str], dict[str, dict[str, Any]]]
"""Objects of a kind, by name."""
Site = Callable[..., str]
"""Runs site.yml once more; its output."""
Notes = list[tuple[float, str]]
"""When a client has called, and who has answered, or a word for what happened instead."""
Forgotten = list[tuple[float, str]]
"""When a node has forgotten a connection, and how conntrack prints that."""


def prepare(node: Node, *networks: str) -> None:
    """Let the gateway send these networks to ENTRANCE, and let everybody be told who is refused.

    A kernel sends few ICMP messages to one address in a second, and none while it has redirects for it.
    """
    for network in networks:
        node("gateway").check_output(f"ip route replace {network} via 10.100.0.2")
    for name in ("gateway", "node1", "node2"):
        node(name).check_output("sysctl -qw net.ipv4.icmp_ratelimit=0")


# Ends with its input: a signal to what enters the namespaces would not get to it.
FORGETTING = "conntrack -E -e DESTROY -p udp -o timestamp & cat; kill $!"


class Clients:
    """Runs ``services_client`` wherever a client is."""

    def __init__(self, pods: Pods) -> None:
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

    def ask(self, questions: Mapping[Cell, Question]) -> Answers:
        """All of them at once."""

        def run(client: str) -> Answers:
            mine = [cell for cell in questions if cell.client == client]
            argv = self.argv(client, "ask", json.dumps([questions[cell] for cell in mine]))
            done = subprocess.run(argv, env=self._environment, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, f"{client}: {done.stdout}{done.stderr}"
            return dict(zip(mine, json.loads(done.stdout), strict=True))

        names = {cell.client for cell in questions}
        with ThreadPoolExecutor(len(names)) as pool:
            return {cell: answer for met in pool.map(run, names) for cell, answer in met.items()}

    @contextmanager
    def forgetting(self, node: str) -> Iterator[Forgotten]:
        """After the block the list holds what the node has forgotten of UDP connections while it lasted."""
        argv = [*enter(self._pids[node]), "sh", "-c", FORGETTING]
        found: Forgotten = []
        with subprocess.Popen(
            argv, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as watcher:
            try:
                yield found
            finally:
                said, _ = watcher.communicate(timeout=60)
        found += [(float(at), line) for at, line in re.findall(r"^\[([\d.]+)\]\s*(.*)$", said, re.MULTILINE)]

    @contextmanager
    def watching(self, client: str, targets: Sequence[dict[str, Any]]) -> Iterator[list[Notes]]:
        """Ask on and on while the block lasts; after it the list holds the notes of each target."""
        argv = self.argv(client, "watch", json.dumps(targets))
        notes: list[Notes] = []
        watcher = subprocess.Popen(
            argv, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield notes
        finally:
            said, _ = watcher.communicate(timeout=60)
        notes += json.loads(said)

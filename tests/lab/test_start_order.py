"""Pods that wait for others through Services: these lead to whoever is ready while the rest still starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, as_nobody

# The first waits in an init container for the second, whose probe asks the third: each on another node than whom it
# waits for. Everybody is called by what Kubernetes puts into the environment.
CHAIN = """
apiVersion: v1
kind: Pod
metadata: {name: first}
spec:
  nodeName: node1
  initContainers:
    - {name: until, image: busybox, command: [sh, -c, "until nc -z -w 1 $SECOND_SERVICE_HOST $SECOND_SERVICE_PORT; do sleep 0.2; done"]}
  containers: [{name: c, image: busybox, command: [sleep, infinity]}]
---
apiVersion: v1
kind: Service
metadata: {name: second}
spec: {selector: {app: second}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: second}
spec:
  serviceName: second
  replicas: 2
  selector: {matchLabels: {app: second}}
  template:
    metadata: {labels: {app: second}}
    spec:
      nodeName: node2
      containers:
        - name: c
          image: busybox
          command: [httpd, -f, -p, "80"]
          readinessProbe: {periodSeconds: 1, exec: {command: [sh, -c, "wget -q -T 1 -O /dev/null http://$THIRD_SERVICE_HOST/"]}}
---
apiVersion: v1
kind: Service
metadata: {name: third}
spec: {selector: {app: third}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: third, labels: {app: third}}
spec:
  nodeName: node1
  containers:
    - {name: c, image: registry.k8s.io/e2e-test-images/agnhost, args: [netexec, --http-port=80], readinessProbe: {periodSeconds: 1, tcpSocket: {port: 80}}}
"""

Play = Callable[..., str]


@pytest.fixture(params=["root", "an ordinary user"] if os.getuid() == 0 else ["an ordinary user"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    """Plays site.yml over the chain, in a lab of its own."""
    # Not pytest's own directory: that is closed to everybody else.
    with tempfile.TemporaryDirectory(prefix="podlab-order-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        (home / "manifests").mkdir()
        (home / "manifests" / "chain.yml").write_text(CHAIN, "utf-8")
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PODLAB_LAB": f"order-{uuid.uuid4().hex[:8]}",
            "ANSIBLE_NOCOLOR": "1",
        }
        prefix: list[str] = []
        if os.getuid() == 0 and request.param != "root":
            prefix, words = as_nobody(home)
            environment |= words

        def run(*argv: str) -> subprocess.CompletedProcess[str]:
            settings = {"capture_output": True, "text": True, "cwd": ROOT, "env": environment, "timeout": 300}
            return subprocess.run([*prefix, *argv], stdin=subprocess.DEVNULL, check=False, **settings)  # type: ignore[call-overload,no-any-return]

        def play(*options: str) -> str:
            given = ("-e", f"podlab_manifests={home}/manifests", "-e", "podlab_ready_timeout=30")
            done = run("ansible-playbook", "site.yml", *given, *options)
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
            return done.stdout

        try:
            yield play
        finally:
            run(sys.executable, "cli", "down")


def test_a_chain_of_pods_that_wait_for_each_other_through_services_comes_up(play: Play) -> None:
    said = play("--check")
    assert re.findall(r"unreachable=(\d+) +failed=(\d+)", said) == [("0", "0")] * 4
    said = play()
    assert "ways to Services are as planned, source addresses included" in said
    for options in ((), ("--check",)):
        again = play("--skip-tags", "verify", *options)
        assert re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", again) == [("0", "0", "0")] * 4, again

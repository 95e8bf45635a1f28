"""A lab for tests: the sample cluster, lit once for a test file, and a way into its hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.develop.test import NOBODY_UID, _opened
from podlab.embedded import ENVIRONMENT, Lab, enter
from tests import preforked

ROOT = Path(__file__).resolve().parents[2]
TYPED = (
    *("ip ", "bridge ", "nsenter ", "iptables ", "sysctl ", "tc ", "unshare ", "setsid ", "s6-", "mkdir ", "umount "),
    *("mount ", "pkill ", "conntrack ", "chmod ", "# "),
)


@dataclass
class TestLab:
    """One lab of its own, by name."""

    __test__ = False
    name: str
    inventory: Path
    manifests: Path
    log: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}  # molecule forces colours, which win
        return os.environ | plain | {"PATH": path, "PODLAB_LAB": self.name}

    def argv(self, playbook: str, *arguments: str) -> list[str]:
        options = ("-i", str(self.inventory), "-e", f"podlab_manifests={self.manifests}")
        return ["ansible-playbook", *options, playbook, *arguments]

    def play(self, *arguments: str, playbook: str = "site.yml") -> subprocess.CompletedProcess[str]:
        """Run a playbook over this lab's inventory and manifests."""
        return preforked.play(self.argv(playbook, *arguments), self.environment())

    def converge(self, *arguments: str) -> str:
        """Run site.yml, which has to succeed; its output."""
        done = self.play(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def on(self, host: str, *argv: str, check: bool = True) -> str:
        """Output of a command on a host."""
        pid = Lab(str(ROOT), self.name).find(host)
        environment = ENVIRONMENT | {"HOME": "/root"}
        done = subprocess.run([*enter(pid), *argv], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def sh(self, host: str, script: str, check: bool = True) -> str:
        return self.on(host, "sh", "-c", script, check=check)

    def pod(self, host: str, name: str) -> dict[str, Any]:
        """The row of the one pod of a host whose name begins so."""
        rows = self.sh(host, f"cat /run/podlab/pods/default_{name}*/pod.json")
        found: dict[str, Any] = json.loads(rows)
        return found

    def write(self, **objects: Any) -> None:
        """Make the manifest directory hold these objects, a file each."""
        for file in self.manifests.iterdir():
            file.unlink()
        for name, body in objects.items():
            (self.manifests / f"{name}.yml").write_text(body if isinstance(body, str) else yaml.safe_dump(body))

    def lines(self, output: str) -> list[str]:
        """The commands that a run shows it has typed."""
        return [line for line in output.splitlines() if line.startswith(TYPED)]

    def typed(self, output: str) -> dict[str, list[str]]:
        """The same host by host; a diff comes before the word of whom it is."""
        typed: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in output.splitlines():
            changed = re.match(r"changed: \[([^\]]*)\]", line)
            if changed:
                typed.setdefault(changed[1], []).extend(lines)
            lines = [] if changed or line.startswith(("PLAY", "TASK")) else [*lines, *self.lines(line)]
        return typed


def as_nobody(home: Path) -> tuple[list[str], dict[str, str]]:
    """What makes root's command an ordinary user's, and that user's environment; ``home`` is open to everybody."""
    nest = home / "nest"
    nest.mkdir()
    os.chown(nest, NOBODY_UID, NOBODY_UID)
    words = {"USER": "nobody", "LOGNAME": "nobody", **dict.fromkeys(("HOME", "TMPDIR", "XDG_RUNTIME_DIR"), str(nest))}
    change = ["setpriv", f"--reuid={NOBODY_UID}", f"--regid={NOBODY_UID}", "--clear-groups", "--"]
    return [*_opened(str(home)), *change], words


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestLab]:
    home = tmp_path_factory.mktemp("lab")
    manifests = home / "manifests"
    manifests.mkdir()
    for file in (ROOT / "manifests").iterdir():
        (manifests / file.name).write_text(file.read_text())
    inventory = home / "hosts.yml"
    inventory.write_text((ROOT / "inventory" / "embedded" / "hosts.yml").read_text())
    test_lab = TestLab(f"test-{uuid.uuid4().hex[:8]}", inventory, manifests)
    yield test_lab
    Lab(str(ROOT), test_lab.name).power_off()


@pytest.fixture(scope="module")
def sample(lab: TestLab) -> TestLab:
    """The lab with the sample cluster in it."""
    lab.converge("--skip-tags", "verify")
    return lab


def agnhost(name: str, *args: str, **spec: Any) -> dict[str, Any]:
    """A pod with one agnhost container."""
    container = {"name": "agnhost", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": list(args)}
    return pod(name, container, **spec)


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A bare pod as a manifest."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": list(containers), **spec},
    }

"""The machines of this directory's tests: a gateway, a host beyond it, two nodes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.vm import cloud, images, machines, needs, packages
from tests.vm.machines import Machine

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "PODLAB_VM_OUTSIDE"
"""A descriptor of the network namespace that ``./lab test --vm`` came from."""
IMAGE = "PODLAB_VM_IMAGE"
"""The path of a cloud image, instead of Debian's own releases."""


def pytest_ignore_collect() -> bool | None:
    """These run by ``./lab test --vm`` alone, which gives them a network."""
    return None if OUTSIDE in os.environ else True


def say(words: str) -> None:
    print(f"  {words}", flush=True)


@dataclass
class Class:
    """The machines, and ``./lab`` over them."""

    machines: dict[str, Machine]
    inventory: Path

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def lab(self, *words: str, code: int = 0) -> str:
        """Output of ``./lab``, which has to end with a code."""
        argv, began = [str(ROOT / "lab"), *words, "-i", str(self.inventory)], time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, env=machines.environment(), capture_output=True, text=True, check=False)
        say(f"./lab {' '.join(words)}: {time.monotonic() - began:.0f} s")
        assert done.returncode == code, f"it ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def play(self, playbook: str) -> str:
        """Output of a playbook that ``./lab`` has no verb for."""
        words = {**machines.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
        argv, began = ["ansible-playbook", "-i", str(self.inventory), playbook], time.monotonic()
        done = subprocess.run(argv, cwd=ROOT, env=words, capture_output=True, text=True, check=False)
        say(f"{playbook}: {time.monotonic() - began:.0f} s")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *words: str, code: int = 0) -> str:
        return self.lab("up", *words, code=code)

    def check_run(self, *words: str) -> None:
        """Everything reaches everything, and a second run finds nothing to do."""
        for output in (self.up(*words), again := self.up(*words)):
            assert "36 of 36 connections are as planned" in output, output
            assert "28 of 28 ways to Services are as planned" in output, output
        assert changed(again) == {"gateway": 0, "node1": 0, "node2": 0, "outside": 0}, again


def changed(output: str) -> dict[str, int]:
    """Host -> how many tasks of a run changed anything there."""
    return {name: int(count) for name, count in re.findall(r"^(\S+)\s+: ok=\d+ +changed=(\d+)", output, re.MULTILINE)}


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    home = tmp_path_factory.mktemp("machines")
    key, mirror, custom = home / "key", needs.mirror(), os.environ.get(IMAGE)
    print(flush=True)
    made = [cloud.image(Path(custom))] if custom else [images.image(suite) for suite in images.SUITES]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    machines.network()
    server = packages.serve(mirror, int(os.environ[OUTSIDE]))
    plan = {
        "gateway": (made[0], ["10.100.0.1", "198.51.100.1"]),
        "outside": (made[0], ["198.51.100.10"]),
        "node1": (made[0], ["10.100.0.2"]),
        "node2": (made[-1], ["10.100.0.3"]),
    }
    found = {name: Machine(name, image, addresses, home / name, key) for name, (image, addresses) in plan.items()}
    try:
        for machine in found.values():
            if machine.image.kernel is None:
                cloud.write_seed(machine)
            machine.boot()
        how = "KVM" if needs.has_kvm() else "emulation: that takes minutes"
        say(f"starting {', '.join(found)} by {how}")
        for machine in found.values():
            say(f"{machine.name} after {machine.wait():.0f} s: {machine.run('uname', '-r')}")
        machines.write_inventory(home / "hosts.yml", found)
        yield Class(found, home / "hosts.yml")
    finally:
        for machine in found.values():
            machine.unplug()
        server.shutdown()

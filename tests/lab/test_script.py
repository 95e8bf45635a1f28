"""Hosts that a person has made with the scripts are those that podlab makes, and the other scripts leave them bare."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import preforked

from .conftest import ROOT, TYPED, as_nobody, pod

HOSTS = ("gateway", "node1", "node2")
THIRTY = ROOT / "tests" / "manifests"
LATER = ("28-stateful-sets", "29-jobs")  # their pods come one after the other, and one script is one step
ELSEWHERE = ("26-tolerations",)  # needs a node that is not here
NEEDS_IDS = "podlab.test/needs-ids"

STATE = """
ip -o link; ip -4 -o addr; ip route; ip rule; ip netns
iptables-save | grep '^-A\\|^:.* - '
sysctl net.ipv4.ip_forward net.bridge net.ipv4.conf
ls -d /run/podlab /var/lib/podlab /var/log/pods 2>/dev/null
cut -d' ' -f5 /proc/self/mountinfo
ps -eo comm= | sort | grep -vx 'sh\\|ps\\|sort\\|grep'
"""


def said_well(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, ""), f"{done.args}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@dataclass
class User:
    """Somebody at the command line, with a lab of two nodes that is off."""

    home: Path
    way: str
    prefix: Sequence[str]
    environment: dict[str, str]
    verbs: preforked.Loaded
    playbooks: preforked.Loaded

    def run(self, *argv: str) -> str:
        command = [*self.prefix, *argv]
        settings = {"capture_output": True, "text": True, "cwd": ROOT, "env": self.environment, "timeout": 300}
        return said_well(subprocess.run(command, stdin=subprocess.DEVNULL, **settings))  # type: ignore[call-overload]

    def lab(self, verb: str, *words: str, text: str = "") -> str:
        if verb in preforked.QUICK:
            return said_well(self.verbs.run(verb, *words, text=text))
        return self.run(sys.executable, "cli", verb, *words)

    def play(self, playbook: str, *options: str) -> str:
        return said_well(self.playbooks.run(playbook, "-e", f"@{self.home}/settings.yml", *options))

    def scripts(self) -> Path:
        """Those of all hosts at once, of what the manifests say now."""
        directory = Path(self.environment["TMPDIR"], "scripts")
        self.run("mkdir", "-p", str(directory))
        self.play("playbooks/script.yml", "--check", "-e", f"podlab_scripts={directory}")
        return directory

    def on(self, host: str, *argv: str, text: str = "") -> str:
        return self.lab("node", host, "--", *argv, text=text)

    def state(self) -> list[str]:
        return [f"{host}: {line}" for host in HOSTS for line in self.on(host, "sh", "-c", STATE).splitlines()]

    def nothing_to_do(self) -> None:
        """As a normal run says it."""
        said = self.play("site.yml", "--check", "--skip-tags", "verify")
        assert re.findall(r"changed=(\d+) +unreachable=(\d+) +failed=(\d+)", said) == [("0", "0", "0")] * 4, said
        assert [line for line in said.splitlines() if line.startswith(TYPED)] == []

    def place(self, name: str) -> tuple[str, str]:
        """The node of a pod, and its address."""
        found = json.loads(self.lab("get", "pod", name, "-o", "json"))
        return found["spec"]["nodeName"], found["status"]["podIP"]


def wait(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (well := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return well


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "by-hand"},
    "spec": {
        "type": "NodePort",
        "clusterIP": "10.96.0.80",
        "selector": {"app": "pair"},
        "ports": [{"port": 80, "targetPort": "http", "nodePort": 30090}],
    },
}
CASES = [("gateway", "root"), ("vxlan", "root"), ("host-gw", "an ordinary user")]


def manifests(way: str, *, ids: bool) -> Iterator[Path]:
    """The sample with a port of the host, and in all ways but the first what Kubernetes' documentation shows."""
    yield from (ROOT / "manifests").glob("*.yml")
    for file in THIRTY.glob("*.yml"):
        is_wanted = file.stem not in (*LATER, *ELSEWHERE) and (ids or NEEDS_IDS not in file.read_text("utf-8"))
        if file.stem == "24-host-port" or (way != CASES[0][0] and is_wanted):
            yield file


@pytest.fixture(
    params=[case for case in CASES if os.getuid() == 0 or case[1] != "root"],
    ids=lambda case: f"{case[0]}, {case[1]}",
)
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    way, who = request.param
    # Not pytest's own directory: that is closed to everybody else.
    with tempfile.TemporaryDirectory(prefix="podlab-script-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        (home / "manifests").mkdir()
        for file in manifests(way, ids=who == "root"):
            (home / "manifests" / file.name).write_text(file.read_text("utf-8"), "utf-8")
        crash = pod("crash", {"name": "main", "image": "busybox", "command": ["sh", "-c", "exit 3"]})
        (home / "manifests" / "crash.yml").write_text(yaml.safe_dump(crash), "utf-8")
        (home / "manifests" / "service.yml").write_text(yaml.safe_dump(SERVICE), "utf-8")
        settings = {"podlab_manifests": str(home / "manifests"), "podlab_pod_routing": way}
        (home / "settings.yml").write_text(yaml.safe_dump(settings), "utf-8")
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PODLAB_LAB": f"script-{uuid.uuid4().hex[:8]}",
            "ANSIBLE_INVENTORY": str(ROOT / "inventory" / "embedded"),
            "ANSIBLE_NOCOLOR": "1",
            "TMPDIR": directory,
        }
        prefix: list[str] = []
        if os.getuid() == 0 and who != "root":
            prefix, words = as_nobody(home)
            environment |= words
        with (
            preforked.lab(environment, prefix, environment["TMPDIR"]) as verbs,
            preforked.lab(environment, prefix, environment["TMPDIR"], "ansible-playbook") as playbooks,
        ):
            made = User(home, way, prefix, environment, verbs, playbooks)
            try:
                yield made
            finally:
                made.lab("down")


def test_hosts_made_by_hand_are_podlabs_and_go_by_hand(user: User) -> None:
    scripts = user.scripts()
    assert user.lab("down").startswith("the lab was off already"), "nothing is lit, and nothing remembered"
    user.play("playbooks/power_on.yml")
    bare = user.state()

    for host in HOSTS:
        user.on(host, "sh", text=(scripts / f"{host}.sh").read_text("utf-8"))
    user.nothing_to_do()
    (server, address), (client, _) = user.place("host-port"), user.place("toolbox")
    assert (server, client) == ("node1", "node2")
    ask = ["exec", "toolbox", "--", "curl", "-sm", "5", "--retry", "9", "--retry-connrefused"]
    for url in (f"http://{address}/", "http://10.100.0.2:8080/"):
        assert "nginx" in user.lab(*ask, url)
    for url in ("http://10.96.0.80/", "http://10.100.0.3:30090/"):
        assert user.lab(*ask, url).strip() == "pair"
    assert wait(lambda: "CrashLoopBackOff" in user.lab("get", "pod", "crash"))

    for host in reversed(HOSTS):
        user.on(host, "sh", text=(scripts / f"{host}-undo.sh").read_text("utf-8"))
    wait(lambda: user.state() == bare, 20.0)
    assert user.state() == bare

"""A lab of its own for a benchmark: started when it is needed, stopped in the end, however that comes about."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.over_ssh import OverSsh
from podlab.controller import module_bundle
from podlab.embedded import ENVIRONMENT, Lab, PowerError, enter

from .processes import Done, Failed, run

ROOT = Path(__file__).resolve().parent.parent
GATEWAY, NODE = "10.100.0.1", "10.100.0.{}"  # as in inventory/embedded
CONTROLLER, CONTROLLERS_ADDRESS = "controller", "10.100.0.254"  # for runs over SSH


@dataclass(frozen=True)
class BenchLab:
    """Its inventory and manifests lie in ``directory``; the names are those of the sample cluster."""

    name: str
    directory: Path

    # --- what it shall be

    def has_nodes(self, count: int, **settings: Any) -> None:
        """Write an inventory of so many nodes and the gateway.

        :param settings: as in an inventory.
        """
        nodes = {f"node{number}": {"ansible_host": NODE.format(number + 1)} for number in range(1, count + 1)}
        gateway = {"ansible_host": GATEWAY, "interfaces": [f"{GATEWAY}/24"]}
        embedded = {
            "vars": {"ansible_connection": "embedded", "ansible_python_interpreter": "/usr/bin/python3"},
            "children": {"gateways": {"hosts": {"gateway": gateway}}, "nodes": {"hosts": nodes}},
        }
        inventory = {"all": {"vars": settings, "children": {"embedded": embedded}}}
        self.inventory.write_text(json.dumps(inventory), "utf-8")  # JSON is YAML, too

    def wants(self, *objects: Mapping[str, Any]) -> None:
        """Write the manifests."""
        self.manifests.mkdir(exist_ok=True)
        body = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        (self.manifests / "all.json").write_text(json.dumps(body), "utf-8")

    @property
    def inventory(self) -> Path:
        return self.directory / "hosts.yml"

    @property
    def manifests(self) -> Path:
        return self.directory / "manifests"

    # --- runs

    def site(self) -> tuple[float, int]:
        """Run ``site.yml`` without verify; seconds, and how many tasks have changed anything."""
        done = self.site_with()
        return done.seconds, changed(done.out)

    def site_with(self, *options: str) -> Done:
        """The same with options of ansible-playbook's."""
        return run(self.site_argv(self.inventory, *options), None, self.environment(), ROOT)

    def site_over(self, ssh: OverSsh, inventory: Path) -> float:
        """The same over SSH; seconds."""
        return run(ssh.argv(*self.site_argv(inventory)), None, self.environment(), ROOT).seconds

    def site_argv(self, inventory: Path, *options: str) -> list[str]:
        options = ("-i", str(inventory), "-e", f"podlab_manifests={self.manifests}", "--skip-tags", "verify", *options)
        return [_program("ansible-playbook"), *options, "site.yml"]

    def play(self, playbook: Path) -> float:
        """Run a playbook that is none of podlab's; seconds."""
        argv = [_program("ansible-playbook"), "-i", str(self.inventory), str(playbook)]
        return run(argv, None, self.environment(), ROOT).seconds

    def verb(self, *words: str) -> Done:
        """``./lab`` as a person types it."""
        environment = self.environment() | {"ANSIBLE_INVENTORY": str(self.inventory)}
        return run([str(ROOT / "lab"), *words], None, environment, ROOT)

    def environment(self) -> dict[str, str]:
        given = {name: word for name, word in os.environ.items() if not name.startswith(("ANSIBLE_", "PODLAB_"))}
        path = f"{Path(sys.executable).parent}:{given.get('PATH', '')}:/usr/sbin:/sbin"
        ansible = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        return {**given, "PATH": path, "PODLAB_LAB": self.name, **ansible}

    # --- hosts

    @property
    def _lab(self) -> Lab:
        return Lab(str(ROOT), self.name)

    def start(self, *hosts: str) -> None:
        """Power on bare hosts, by names of the inventory's kind."""
        order = [{"name": name, "interfaces": [f"{address(name)}/24"], "gateway": None} for name in hosts]
        try:
            self._lab.power_on(order, check=False, until_exit_of=os.getpid())
        except PowerError as error:
            raise Failed(str(error)) from error

    def over_ssh(self, directory: Path) -> OverSsh:
        """The way into hosts that are on, the controller among them."""
        return OverSsh(self._lab, directory, CONTROLLER)

    def stop(self) -> bool:
        return self._lab.power_off()

    def lab_init(self) -> int:
        """Pid of the process below which all of the lab is."""
        pid = self._lab.lab_init()
        if pid is None:
            raise Failed(f"lab {self.name} is off")
        return pid

    def entering(self, host: str, *argv: str) -> list[str]:
        """What to run here so that a command runs there."""
        words = [f"{key}={word}" for key, word in {**ENVIRONMENT, "HOME": "/root"}.items()]
        return [*enter(self._lab.hosts()[host]), "/usr/bin/env", "-i", "-C", "/root", *words, *argv]

    def on(self, host: str, *argv: str, text: str | None = None) -> Done:
        return run(self.entering(host, *argv), text)

    def pod(self, host: str, name: str) -> dict[str, Any]:
        """The row of a pod of the namespace ``default``, as the host has applied it."""
        row: dict[str, Any] = json.loads(self.on(host, "cat", f"/run/podlab/pods/default_{name}/pod.json").out)
        return row

    def module(self, host: str, name: str, params: Mapping[str, Any], *, library: Path = ROOT / "library") -> Any:
        """The answer of one of podlab's modules, or of a program of ours that looks like one."""
        program = module_bundle.checked_program(library / f"{name}.py", params)
        return json.loads(self.on(host, "/usr/bin/python3", "-IS", "-", text=program).out)


def address(host: str) -> str:
    known = {"gateway": GATEWAY, CONTROLLER: CONTROLLERS_ADDRESS}
    return known.get(host) or NODE.format(int(host.removeprefix("node")) + 1)


def changed(output: str) -> int:
    """How many changes ansible-playbook's recap counts."""
    counts = re.findall(r"\bchanged=(\d+)", output)
    if not counts:
        raise Failed(f"ansible-playbook has printed no recap:\n{output[-2000:]}")
    return sum(map(int, counts))


@contextlib.contextmanager
def lab(name: str) -> Iterator[BenchLab]:
    """A lab that is off, with a directory. Both are gone in the end."""
    with tempfile.TemporaryDirectory(prefix="podlab-bench-") as directory:
        made = BenchLab(f"bench-{name}-{os.getpid()}", Path(directory))
        try:
            yield made
        finally:
            made.stop()


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


# --- manifests ------------------------------------------------------------------------------------------


SLEEPER = {"name": "sleeper", "image": "busybox", "command": ["sleep", "infinity"]}
NETEXEC = {"name": "netexec", "image": "registry.k8s.io/e2e-test-images/agnhost:2.53", "args": ["netexec"]}


def pod(name: str, container: Mapping[str, Any] = SLEEPER, **spec: Any) -> dict[str, Any]:
    """Its label ``app`` is its name."""
    spec = {"containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def deployment(name: str, replicas: int, container: Mapping[str, Any] = SLEEPER) -> dict[str, Any]:
    """Replicas spread evenly over the nodes."""
    labels = {"app": name}
    # As Kubernetes' own load tests have it: the variables of 10,000 Services are more than execve(2) takes.
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "enableServiceLinks": False}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str, app: str, port: int = 80) -> dict[str, Any]:
    """Of one port, with an address that the plan gives it."""
    spec = {"selector": {"app": app}, "ports": [{"port": port, "targetPort": 7000}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def own_endpoints(name: str, *addresses: str) -> list[dict[str, Any]]:
    """A Service without a selector, and the EndpointSlice that says what is behind it."""
    plain = service(name, "")
    del plain["spec"]["selector"]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"port": 7000}],
    }
    return [plain, slice_]

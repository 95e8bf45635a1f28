"""What docs/security.md promises: each promise is attacked from a host and from a pod with SYS_ADMIN, in the lab of
root and in that of an ordinary user."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cli.check import NOBODY

from .attack import CALLS
from .conftest import as_nobody, pod

ROOT = Path(__file__).resolve().parents[2]
ATTACK = Path(__file__).with_name("attack.py").read_text()
INVENTORY = """
all:
  vars: {ansible_connection: embedded, ansible_python_interpreter: /usr/bin/python3}
  children:
    embedded:
      children:
        nodes:
          hosts:
            node1: {ansible_host: 10.100.0.2}
"""
PLACES = {"host": ("node", "node1"), "pod": ("exec", "attacker")}
JOIN_SESSION_KEYRING, SESSION_KEYRING = 1, -3
libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Attacked:
    """A lab, the machine's things that are not the lab's, and what attacks from within have achieved."""

    name: str
    home: Path
    prefix: list[str]
    words: dict[str, str]
    mark: str = field(default_factory=lambda: f"podlab-canary-{uuid.uuid4().hex[:8]}")
    achieved: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def canaries(self) -> Path:
        return self.home / "canaries"

    def owned_by(self, owner: int, undone: contextlib.ExitStack) -> None:
        """The machine's things: files, and sockets and pipes with somebody who listens, also in /opt, of which a host
        sees something."""
        for directory in (self.canaries, self.home / "opt"):
            directory.mkdir()
            listener = undone.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(directory / "socket"))
            listener.listen()
            os.mkfifo(directory / "pipe")
            undone.callback(os.close, os.open(directory / "pipe", os.O_RDONLY | os.O_NONBLOCK))
            (directory / "file").write_text("secret")
            for path in (directory, *directory.iterdir()):
                os.chown(path, owner, owner)
            (directory / "socket").chmod(0o777)
            (directory / "pipe").chmod(0o666)
        abstract = undone.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{self.mark}")
        abstract.listen()
        for path in self.traces():
            undone.callback(subprocess.run, ["rm", "-rf", str(path)])

    def traces(self) -> list[Path]:
        """What attacks would leave on the machine."""
        inside = [
            ROOT / "made",
            ROOT / "file",
            *(Path(place) / self.mark for place in ("/usr", "/etc", "/opt", "/var", "/")),
        ]
        return [*inside, *Path("/sys/fs/cgroup").glob(self.mark), *Path("/sys/fs/cgroup").glob(f"*/{self.mark}")]

    def light(self) -> None:
        (self.home / "hosts.yml").write_text(INVENTORY)
        (self.home / "manifests").mkdir()
        container = {"name": "main", "image": "debian", "command": ["sleep", "infinity"]}
        container["securityContext"] = {"capabilities": {"add": ["SYS_ADMIN"]}}
        manifest = pod("attacker", container, terminationGracePeriodSeconds=0)
        (self.home / "manifests" / "attacker.yml").write_text(yaml.safe_dump(manifest))
        script = 'mount --bind "$0" /opt && exec "$@"'
        before = ["unshare", "--mount", "sh", "-c", script, str(self.home / "opt")] if os.getuid() == 0 else []
        up = self.run("up", "--manifests", str(self.home / "manifests"), "--skip-tags", "verify", before=before)
        assert up.returncode == 0, up.stdout + up.stderr

    def run(self, *words: str, before: list[str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        environment = os.environ | {"PATH": path, "PODLAB_LAB": self.name, "ANSIBLE_NOCOLOR": "1"} | self.words
        environment["ANSIBLE_INVENTORY"] = str(self.home / "hosts.yml")
        argv = [*(before or []), *self.prefix, str(ROOT / "lab"), *words]
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, **options)  # type: ignore[call-overload,no-any-return]

    def attack(self, place: str) -> dict[str, list[str]]:
        order = {"canaries": str(self.canaries), "clone": str(ROOT), "mark": self.mark}
        if place == "pod":
            order["impostor"] = ["catatonit", "-P", "podlab-host", str(ROOT), self.name, "impostor", "192.0.2.1/24"]  # type: ignore[assignment]
        verb, where = PLACES[place]
        with (self.canaries / "file").open() as stream:
            left_open = os.open(self.canaries, os.O_RDONLY)
            done = self.run(
                *(verb, where, *(["-i"] if verb == "exec" else []), "--"),
                *("python3", "-IS", "-c", ATTACK, json.dumps(order)),
                stdin=stream,
                pass_fds=(left_open,),
                preexec_fn=self.hold_a_key,
            )
            os.close(left_open)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, list[str]] = json.loads(done.stdout)
        return found

    def hold_a_key(self) -> None:
        """In a session keyring, as pam_keyinit(8) gives one to everybody who logs in."""
        add, _, keyctl, *_ = CALLS[platform.machine()]
        libc.syscall(keyctl, JOIN_SESSION_KEYRING, None)
        libc.syscall(add, b"user", self.mark.encode(), b"secret", 6, SESSION_KEYRING)

    def hosts(self) -> dict[str, int]:
        """As the lab's user finds them."""
        program = f"import json; from podlab.embedded import Lab; print(json.dumps(Lab({str(ROOT)!r}, {self.name!r}).hosts()))"
        argv = [*self.prefix, sys.executable, "-c", program]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "module_utils")}
        found: dict[str, int] = json.loads(subprocess.check_output(argv, env=environment))
        return found


@pytest.fixture(scope="module", params=["root", "an ordinary user"] if os.getuid() == 0 else ["an ordinary user"])
def attacked(request: pytest.FixtureRequest) -> Iterator[Attacked]:
    with tempfile.TemporaryDirectory(prefix="podlab-attacked-") as directory, contextlib.ExitStack() as undone:
        home = Path(directory)
        home.chmod(0o755)
        prefix, words = as_nobody(home) if os.getuid() == 0 and request.param != "root" else ([], {})
        found = Attacked(f"attacked-{uuid.uuid4().hex[:8]}", home, prefix, words)
        owner = NOBODY if prefix else os.getuid()
        found.owned_by(owner, undone)
        caller = undone.enter_context(
            subprocess.Popen([sys.executable, "-c", "input()", found.mark], stdin=subprocess.PIPE, user=owner)
        )
        undone.callback(caller.kill)
        undone.callback(found.run, "down")
        found.light()
        for place in PLACES:
            found.achieved[place] = found.attack(place)
        yield found
        assert caller.poll() is None


@pytest.mark.parametrize("place", PLACES)
class TestNothing:
    """Of what an attack tries, nothing is achieved."""

    def test_is_written_to_the_machines_files(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["files"] == []
        assert (attacked.canaries / "file").read_text() == "secret"
        assert sorted(path.name for path in attacked.canaries.iterdir()) == ["file", "pipe", "socket"]
        assert [path for path in attacked.traces() if path.exists()] == []

    def test_is_brought_along_by_who_enters(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["descriptors"] == []
        assert attacked.achieved[place]["keys"] == []

    def test_is_set_on_the_machine(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["settings"] == []

    def test_is_known_of_its_cgroups(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["cgroups"] == []

    def test_is_known_of_its_processes(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["processes"] == []

    def test_listens_there(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["sockets"] == []

    def test_answers_that_no_namespace_parts(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["calls"] == []


def test_who_calls_himself_a_host_is_none(attacked: Attacked) -> None:
    listing = subprocess.check_output(["ps", "-eo", "args"], text=True)
    assert f"{attacked.name} impostor" in listing
    assert set(attacked.hosts()) == {"node1"}


REWRITE = """
with open("/proc/1/stat") as stat:
    start, end = map(int, stat.read().rpartition(")")[2].split()[45:47])
with open("/proc/1/mem", "r+b", buffering=0) as memory:
    memory.seek(start)
    memory.write(b"x" * (end - start))
with open("/proc/1/cmdline") as line:
    print(line.read())
"""


def test_a_host_that_changes_the_words_of_its_init_is_who_it_was(attacked: Attacked) -> None:
    before = attacked.hosts()
    done = attacked.run("node", "node1", "--", "python3", "-IS", "-c", REWRITE)
    assert done.stdout.startswith("xxxx"), done.stderr
    assert attacked.hosts() == before and attacked.run("node", "node1", "--", "hostname").stdout == "node1\n"

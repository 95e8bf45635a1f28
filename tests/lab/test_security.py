"""What docs/security.md promises: each promise is attacked from a host and from a pod with SYS_ADMIN, in the lab of
root and in that of an ordinary user."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cli.develop.test import NOBODY_UID

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
# Print which terminal can be had, and make that of the user, by its numbers, everybody's.
TERMINALS = """
import ctypes, os, sys
PIDFD_OPEN, PIDFD_GETFD = 434, 438
libc = ctypes.CDLL(None)
found = set()
def had(descriptor):
    kind = os.fstat(descriptor)
    if f"{kind.st_dev} {kind.st_ino}" == sys.argv[1]:
        found.add("the user's")
        os.fchmod(descriptor, 0o666)
try:
    os.open("/dev/tty", os.O_RDWR)
    found.add("controlling")
except OSError:
    pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    process = libc.syscall(PIDFD_OPEN, int(pid), 0)
    for number in range(8):
        descriptor = libc.syscall(PIDFD_GETFD, process, number, 0)
        try:
            had(descriptor)
            had(os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
        except OSError:
            pass
print("found", sorted(found))
"""
# Open every stream anew, and take from it or write into it what the caller would see; then do as was asked.
STREAMS = """#!/usr/bin/python3 -IS
import contextlib, os, socket, sys
for number in range(3):
    with contextlib.suppress(OSError):
        end = os.open(f"/proc/self/fd/{number}", os.O_RDWR | os.O_NONBLOCK)
        os.write(end, b"injected") if number == 0 else os.read(end, 64)
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as end:
        end.send(b"injected", socket.MSG_DONTWAIT) if number == 0 else end.recv(64, socket.MSG_DONTWAIT)
if sys.argv[1:]:
    os.execv(sys.argv[1], sys.argv[1:])
"""
# Stop whoever comes into the container, for a minute.
STOPPER = """
import contextlib, os, signal, time
end = time.monotonic() + 60
while time.monotonic() < end:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) not in (1, os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGSTOP)
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
    def owner(self) -> int:
        return NOBODY_UID if self.prefix else os.getuid()

    @property
    def canaries(self) -> Path:
        return self.home / "canaries"

    @property
    def surroundings(self) -> Path:
        """From where the attack's way in is called: a directory with something to know it by."""
        return self.home / "surroundings"

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
        self.surroundings.mkdir()
        (self.surroundings / f"{self.mark}-here").touch()
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

    def start(self) -> None:
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

    def command(self, *words: str, before: list[str] | None = None) -> tuple[list[str], dict[str, str]]:
        """``./lab``, and its environment."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        environment = (
            os.environ | {"PATH": path, "PODLAB_LAB": self.name, "ANSIBLE_NOCOLOR": "1", "MARK": self.mark} | self.words
        )
        environment["ANSIBLE_INVENTORY"] = str(self.home / "hosts.yml")
        return [*(before or []), *self.prefix, str(ROOT / "lab"), *words], environment

    def run(self, *words: str, before: list[str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        argv, environment = self.command(*words, before=before)
        options = {"cwd": ROOT} | options
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=90, **options)  # type: ignore[call-overload,no-any-return]

    def on_terminal(self, *words: str, streams: tuple[str, ...] = ("stdin", "stdout", "stderr")) -> tuple[str, int]:
        """What is said by a command at the terminal of its user, as after a login, and the terminal's mode after
        that."""
        ours, terminal = os.openpty()
        os.fchmod(terminal, 0o600)
        os.fchown(terminal, self.owner, -1)
        kind = os.fstat(terminal)
        argv, environment = self.command(*words, "python3", "-IS", "-c", TERMINALS, f"{kind.st_dev} {kind.st_ino}")

        def log_in() -> None:
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

        with tempfile.TemporaryFile() as said:
            ends = {"stdin": terminal, "stdout": said, "stderr": said} | dict.fromkeys(streams, terminal)
            process = subprocess.Popen(argv, cwd=ROOT, env=environment, preexec_fn=log_in, **ends)  # type: ignore[call-overload]
            seen = b""
            while process.poll() is None or select.select([ours], [], [], 0)[0]:
                if select.select([ours], [], [], 0.05)[0]:
                    seen += os.read(ours, 4096)
            said.seek(0)
            seen += said.read()
        mode = stat.S_IMODE(os.fstat(terminal).st_mode)
        os.close(ours)
        os.close(terminal)
        return seen.decode(), mode

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
                cwd=self.surroundings,
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
        found.owned_by(found.owner, undone)
        caller = undone.enter_context(
            subprocess.Popen([sys.executable, "-c", "input()", found.mark], stdin=subprocess.PIPE, user=found.owner)
        )
        undone.callback(caller.kill)
        undone.callback(found.run, "down")
        found.start()
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

    def test_is_known_of_the_surroundings_of_who_enters(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["surroundings"] == []

    def test_is_achieved_from_a_user_namespace_of_its_own(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["nested"] == []

    def test_answers_that_no_namespace_parts(self, attacked: Attacked, place: str) -> None:
        assert attacked.achieved[place]["calls"] == []


ALL = ("stdin", "stdout", "stderr")
WAYS = {
    "exec": (("exec", "attacker", "--"), ALL),
    "exec -it": (("exec", "-it", "attacker", "--"), ALL),
    "node": (("node", "node1", "--"), ALL),
    "node into a file": (("node", "node1", "--"), ("stdin",)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_terminal_of_the_machine_is_had(attacked: Attacked, way: str) -> None:
    """Neither as the controlling one nor as a stream of any process that is seen."""
    words, streams = WAYS[way]
    seen, mode = attacked.on_terminal(*words, streams=streams)
    controlling = ["controlling"] if way in ("exec -it", "node") else []  # made for it
    assert f"found {controlling}" in seen
    assert mode == 0o600


def test_a_named_pipe_that_is_a_stream_stays_as_it_is(attacked: Attacked) -> None:
    pipe = attacked.home / "stream"
    os.mkfifo(pipe, 0o600)
    os.chown(pipe, attacked.owner, -1)
    program = (
        "import os; print(os.read(0, 9)); os.chmod('/proc/self/fd/0', 0o666); os.close(os.open('/proc/self/fd/0', 1))"
    )
    with pipe.open("r+b", buffering=0) as stream:
        stream.write(b"x")
        done = attacked.run("node", "node1", "--", "python3", "-c", program, stdin=stream)
    assert "b'x'" in done.stdout
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o600


@pytest.mark.parametrize("place", PLACES)
def test_a_process_group_of_the_machine_hears_nothing(attacked: Attacked, place: str) -> None:
    """Signals to one go across pid namespaces, to all that are the same user's."""
    argv, environment = attacked.command(*PLACES[place], "--", "python3", "-c", "import os; os.kill(0, 9)")
    script = 'sleep infinity & "$@"; kill -0 $! && echo lives; kill $!'
    words = [*attacked.prefix, "setsid", "sh", "-c", script, "sh", *argv[len(attacked.prefix) :]]
    done = subprocess.run(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.stdout == "lives\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_a_command_ends_with_who_has_run_it(attacked: Attacked, number: signal.Signals) -> None:
    argv, environment = attacked.command("exec", "attacker", "--", "sh", "-c", f"echo here; exec sleep {9000 + number}")
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        assert process.wait() == -number
        assert process.stdout.read() == b""  # nobody has it any more


def test_who_calls_himself_a_host_is_none(attacked: Attacked) -> None:
    listing = subprocess.check_output(["ps", "-eo", "args"], text=True)
    assert f"{attacked.name} impostor" in listing
    assert set(attacked.hosts()) == {"node1"}


@dataclass
class Ends:
    """Two ends of a stream of the caller's: what the command gets, and where its caller sees what has been in it."""

    given: int
    seen: int

    def left(self) -> bytes:
        os.set_blocking(self.seen, False)
        return b"".join(iter(lambda: self._next(), b""))

    def _next(self) -> bytes:
        try:
            return os.read(self.seen, 4096)
        except BlockingIOError:
            return b""


@contextlib.contextmanager
def ends(kind: str, owner: int) -> Iterator[list[Ends]]:
    """Of standard input, output and error. In the latter two are words that are nobody's but the caller's."""
    with contextlib.ExitStack() as opened:
        made: list[Ends] = []
        for number in range(3):
            if kind == "pipes":
                out, into = os.pipe()
                os.fchown(out, owner, -1)
                made.append(Ends(into if number else out, out))
                if number:
                    os.write(into, b"secret")
            else:
                near, far = (opened.enter_context(end) for end in socket.socketpair())
                out, into = os.dup(near.fileno()), os.dup(far.fileno())
                made.append(Ends(out, into))
                os.write(into, b"secret")
            opened.callback(os.close, out)
            opened.callback(os.close, into)
        yield made


@pytest.fixture(scope="module")
def replaced(attacked: Attacked) -> Attacked:
    """Programs of the pod, and of the host, that ``./lab`` runs there have become others."""
    put = "cat >/root/program && chmod 755 /root/program"
    assert attacked.run("exec", "-i", "attacker", "--", "sh", "-c", put, input=STREAMS).returncode == 0
    assert attacked.run("node", "node1", "--", "sh", "-c", put, input=STREAMS).returncode == 0
    script = '#!/bin/sh\n/root/program </dev/null\nexec /usr/bin/python3 "$@"\n'
    put = "cat >/root/python && chmod 755 /root/python"
    assert attacked.run("node", "node1", "--", "sh", "-c", put, input=script).returncode == 0
    words = INVENTORY.replace("/usr/bin/python3", "/root/python")
    (attacked.home / "replaced.yml").write_text(words)
    return attacked


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pipes", ("exec", "-i", "attacker", "--", "/root/program")),
        ("sockets", ("exec", "-i", "attacker", "--", "/root/program")),
        ("pipes", ("node", "node1", "--", "/root/program")),
        ("pipes", ("logs", "attacker")),
        ("sockets", ("cp", "attacker:/etc/hostname", "/dev/null")),
    ],
    ids=lambda words: words if isinstance(words, str) else words[0],
)
def test_a_stream_of_who_calls_is_not_opened_anew(replaced: Attacked, kind: str, words: tuple[str, ...]) -> None:
    """Neither written into where it is read, nor read where it is written."""
    argv, environment = replaced.command(*words)
    environment["ANSIBLE_INVENTORY"] = str(replaced.home / "replaced.yml")
    with ends(kind, replaced.owner) as (stdin, stdout, stderr):
        given = {"stdin": stdin.given, "stdout": stdout.given, "stderr": stderr.given}
        done = subprocess.run(argv, cwd=ROOT, env=environment, timeout=90, **given)  # type: ignore[call-overload]
        seen = [end.left() for end in (stdin, stdout, stderr)]
        kept = b"" if kind == "pipes" else os.read(stdout.given, 64) + os.read(stderr.given, 64)
    assert done.returncode == 0, seen
    assert b"injected" not in seen[0]
    assert kept == b"secretsecret" or (seen[1][:6], seen[2][:6]) == (b"secret", b"secret")


def test_who_stops_all_that_enters_keeps_nobody(attacked: Attacked) -> None:
    stopper = ["sh", "-c", 'python3 -IS -c "$0" >/dev/null 2>&1 </dev/null & echo $!', STOPPER]
    attacked.run("exec", "attacker", "--", *stopper)
    try:
        argv, environment = attacked.command("exec", "attacker", "--", "sleep", "infinity")
        words = [*attacked.prefix, "timeout", "-k60", "3", *argv[len(attacked.prefix) :]]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 124, done.stderr
    finally:
        attacked.run("node", "node1", "--", "pkill", "-KILL", "-f", "Stop whoever|signal.SIGSTOP")


def test_who_was_stopped_and_goes_on_is_seen_to_end(attacked: Attacked) -> None:
    done = attacked.run("node", "node1", "--", "sh", "-c", "kill -STOP $$; echo on; exit 5")
    assert (done.stdout, done.returncode) == ("on\n", 5)


def test_a_kill_closes_the_streams_of_the_command(attacked: Attacked) -> None:
    """It is not ended by that, as with kubectl; the caller's own end of its input is still open."""
    argv, environment = attacked.command("exec", "-i", "attacker", "--", "sh", "-c", "echo $$; cat; echo >/root/ended")
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline().strip().isdigit()
        process.kill()
        process.wait()
        waiting = "for at in $(seq 100); do [ -e /root/ended ] && exit 0; sleep 0.1; done; exit 1"
        assert attacked.run("exec", "attacker", "--", "sh", "-c", waiting).returncode == 0


ARCHIVE = """#!/usr/bin/python3 -IS
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    def add(name, kind=tarfile.REGTYPE, link=""):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = kind, link, 0o6777
        words = b"evil" if kind == tarfile.REGTYPE else b""
        entry.size = len(words)
        archive.addfile(entry, io.BytesIO(words))
    add("report", tarfile.DIRTYPE)
    for name in ("Makefile", ".bashrc", "../Makefile", "../../Makefile", "a/../../Makefile"):
        add(f"report/{name}")
    add("report/way", tarfile.SYMTYPE, "..")
    add("report/way/Makefile")
    add("report/hard", tarfile.LNKTYPE, "Makefile")
    add("report/hard", tarfile.LNKTYPE, "report/../Makefile")
    add("report/device", tarfile.CHRTYPE)
    add("report/pipe", tarfile.FIFOTYPE)
"""


def test_what_is_copied_out_touches_nothing_beside_it(attacked: Attacked) -> None:
    """A pod in which a directory has taken the place of a file, and whose tar(1) lies."""
    put = "cat >/root/tar && chmod 755 /root/tar && mount --bind /root/tar /usr/bin/tar"
    assert attacked.run("exec", "-i", "attacker", "--", "sh", "-c", put, input=ARCHIVE).returncode == 0
    here = attacked.home / "copied"
    here.mkdir()
    (here / "Makefile").write_text("mine")
    for path in (here, here / "Makefile"):
        os.chown(path, attacked.owner, -1)
    done = attacked.run("cp", "attacker:/report", ".", cwd=here)
    assert done.returncode == 1, done.stderr
    found = {str(path.relative_to(here)): path for path in here.rglob("*")}
    assert {name: path.read_text() for name, path in found.items() if path.is_file()} == {
        "Makefile": "mine",
        **dict.fromkeys(("report/Makefile", "report/.bashrc", "report/way/Makefile"), "evil"),
    }
    assert set(found) - {"Makefile", "report/Makefile", "report/.bashrc", "report/way/Makefile"} == {
        "report",
        "report/way",
    }
    assert {path.stat().st_mode & 0o7000 for path in found.values()} == {0}


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

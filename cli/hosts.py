"""How to run something on a host: an embedded one, one over SSH, this machine.

A host turns the argument vector of a command into a call that runs it there. What becomes of input, terminal
and exit code is then left to the programs made for it: nsenter, script and ssh.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from podlab import entry, packed
from podlab.controller import process, status_line
from podlab.embedded import ENVIRONMENT
from podlab.printable import printable
from podlab.records import sound_answer

from .failure import Failure
from .look.shown import showable
from .output import complain
from .session import STREAMS, Copied

FILTER = Path(__file__).resolve().parent.parent / "module_utils" / "podlab" / "seccomp.py"
ASKPASS = Path(__file__).with_name("askpass.py")
STATUS = Path(__file__).resolve().parent.parent / "module_utils" / "podlab" / "host" / "pods" / "status.py"
PATIENCE_OF_PEOPLE = 1.5  # seconds, before they want to know what it waits for
NEEDS = "password is required"  # sudo's words


class Silent(Failure):
    """A host does not answer; the text says why."""


class Said(NamedTuple):
    """What a command has said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Call:
    """What to run here so that a command runs there: none of these without the others.

    :param environment: None: this process's own.
    :param prepare: what a child does before it becomes the program, which is in a lab then.
    :param terminal: it makes a terminal there, and looks for the size of one here.
    :param host: whose name there is to tell if it cannot be run.
    :param password: what it reads before the words that it is told.
    """

    argv: list[str]
    environment: Mapping[str, str] | None = None
    prepare: Callable[[], None] | None = None
    terminal: bool = False
    host: str = ""
    password: str = field(default="", repr=False)

    def start(self, *, apart: Iterable[int] = (), **options: Any) -> Copied:
        """:param apart: streams that it shall not have itself; a lab gets none."""
        apart = STREAMS if self.prepare else {*apart}
        terminal = self.terminal and self.prepare is not None
        with process.deferred(), self._entering():
            return Copied(self.argv, apart, terminal=terminal, prepare=self.prepare, env=self.environment, **options)

    def succeeds(self) -> bool:
        """Whether it ends with 0, without a word. :raises Silent: the host has just ended."""
        with self._entering():
            nothing = subprocess.DEVNULL
            code = subprocess.call(
                self.argv,
                env=self.environment,
                preexec_fn=self.prepare,
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
            )
        return code == 0

    def ask(self, words: str = "", *, patience: float) -> Said:
        """Run it to its end with these words as its input.

        :param patience: seconds.
        :raises Silent: the host does not answer in time, has just ended, or says more than anybody wants to know.
        """
        pipe = subprocess.PIPE
        with self._entering():
            child = subprocess.Popen(
                self.argv, env=self.environment, preexec_fn=self.prepare, stdin=pipe, stdout=pipe, stderr=pipe
            )
        with child:
            try:
                out, err = process.communicate(child, (self.password + words).encode(), patience)
            except process.TooLong as error:
                child.kill()
                raise Silent(str(error)) from None
            except subprocess.TimeoutExpired:
                child.kill()
                raise Silent(f"not within {patience:g} s") from None
            except BaseException:
                child.kill()
                raise
        return Said(child.returncode, out.decode(errors="replace"), err.decode(errors="replace").strip())

    @contextlib.contextmanager
    def _entering(self) -> Iterator[None]:
        """Who enters a host that has ended since it was found cannot begin; nor who has no ssh."""
        try:
            yield
        except FileNotFoundError:
            raise Silent(f"there is no program {self.argv[0]} on this machine") from None
        except subprocess.SubprocessError:  # all that Popen tells of what ``prepare`` raises
            raise Silent(f"host {self.host} has just ended, or cannot be entered") from None

    def become(self) -> NoReturn:
        """In the place of this process; who enters a lab cannot be in it."""
        os.execvpe(self.argv[0], self.argv, os.environ if self.environment is None else self.environment)


@dataclass(frozen=True)
class Host(ABC):
    """A host of the inventory; ``variables`` are Ansible's, as text."""

    name: str
    role: str
    variables: Mapping[str, str]
    password: str | None = field(default=None, repr=False, kw_only=True)

    @abstractmethod
    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        """What to run here so that ``command`` runs there, as root.

        :param tty: give it a terminal of its own there.
        :raises Silent: the host is off.
        """

    def login(self, *, tty: bool) -> Call:
        """What to run here for a shell there."""
        return self.call(["bash", "-l"], tty=tty)

    def question(self, command: Sequence[str]) -> Call:
        """As ``call``, for a command that nobody attends to."""
        return self.call(command)

    @property
    def python(self) -> str:
        """Interpreter discovery, Ansible's default, would cost a connection of its own."""
        given = self.variables.get("ansible_python_interpreter", "auto")
        return "/usr/bin/python3" if given.startswith("auto") else given

    def filtered(self, command: Sequence[str]) -> list[str]:
        """Run a command there under the filter that containers have: who joins their namespaces brings his own."""
        return [self.python, "-IS", "-c", FILTER.read_text("utf-8"), *command]

    @property
    def patience(self) -> float:
        """How long an answer may take, in seconds."""
        return float(os.environ.get("PODLAB_TIMEOUT") or 10)

    @property
    def becomes(self) -> bool:
        """Whether commands there are run by sudo."""
        return self.variables.get("ansible_become", "").lower() in ("true", "yes", "1", "on")

    def _become(self) -> list[str]:
        if not self.becomes:
            return []
        if self.password is None:
            return ["sudo", "-n", *self._user()]
        return ["env", f"SUDO_ASKPASS={_askpass(self)}", "sudo", "-A", *self._user()]

    def _become_asking(self, command: Sequence[str]) -> list[str]:
        """The same for a command whose input is ours: the password comes before it, with no connection of its own."""
        if not self.becomes or self.password is None:
            return [*self._become(), *command]
        return [self.python, "-IS", "-c", ASKPASS.read_text("utf-8"), "sudo", "-A", *self._user(), *command]

    def _user(self) -> list[str]:
        user = self.variables.get("ansible_become_user")
        return [*(["-u", user] if user else []), "--"]

    def _first_line(self) -> str:
        return f"{self.password}\n" if self.becomes and self.password is not None else ""

    def as_login_user(self, command: Sequence[str]) -> list[str]:
        """What to run here so that ``command`` runs there by whom the connection leads to, with nobody to ask."""
        return list(command)


@dataclass(frozen=True)
class Embedded(Host):
    """A host made of namespaces; ``pid`` is that of its init, None while it is off."""

    lab: str
    pid: int | None

    def filtered(self, command: Sequence[str]) -> list[str]:
        return list(command)  # as all that enters the lab is

    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        if self.pid is None:
            raise Silent("it is off")
        # From the start: who is in the host already can read the environment of who comes in.
        words = {**ENVIRONMENT, "HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
        inside = ["/usr/bin/env", "--default-signal", "-C", "/root", *(on_terminal(command) if tty else command)]
        return Call([*entry.command(self.pid), *inside], words, entry.seal(self.pid), tty, self.name)


@dataclass(frozen=True)
class Local(Host):
    """This machine, with ``ansible_connection: local``."""

    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        return Call([*self._become(), *command])

    def question(self, command: Sequence[str]) -> Call:
        return Call(self._become_asking(command), password=self._first_line())


@dataclass(frozen=True)
class Ssh(Host):
    """A host over SSH. The far shell takes one line, so this is the one place where words are quoted."""

    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        return Call([*self._ssh("-t" if tty else "-T"), shlex.join([*self._become(), *command])])

    def login(self, *, tty: bool) -> Call:
        become = self._become()
        return Call([*self._ssh("-t" if tty else "-T"), *([shlex.join([*become[:-1], "-i"])] if become else [])])

    def question(self, command: Sequence[str]) -> Call:
        return Call(self.as_login_user(self._become_asking(command)), password=self._first_line())

    def as_login_user(self, command: Sequence[str]) -> list[str]:
        return [*self._ssh("-T", "-o", "BatchMode=yes"), shlex.join(command)]

    @property
    def patience(self) -> float:
        """As long as Ansible waits for a connection, unless something else is said."""
        told = _CONNECT_TIMEOUT.findall(" ".join(self._arguments()))[:1]
        known = map(self.variables.get, ("ansible_timeout", "ansible_ssh_timeout"))
        return float(next(filter(None, [os.environ.get("PODLAB_TIMEOUT"), *told, *known]), 10))

    def _arguments(self) -> list[str]:
        names = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
        return [word for name in names for word in shlex.split(self.variables.get(name, ""))]

    def _ssh(self, *options: str) -> list[str]:
        known = self.variables
        # Of what ssh is told twice it takes the first.
        argv = ["ssh", *options, "-o", "LogLevel=ERROR", *self._arguments()]
        argv += ["-o", f"ConnectTimeout={max(round(self.patience), 1)}"]
        if "ansible_port" in known:
            argv += ["-p", known["ansible_port"]]
        if "ansible_user" in known:
            argv += ["-l", known["ansible_user"]]
        key = known.get("ansible_ssh_private_key_file") or known.get("ansible_private_key_file")
        if key:
            argv += ["-i", os.path.expanduser(key)]
        return [*argv, "--", known.get("ansible_host", self.name)]


_CONNECT_TIMEOUT = re.compile(r"(?i)ConnectTimeout[ =]+(\d+)")


_askpasses: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
_one_at_a_time = threading.Lock()


def _askpass(host: Host) -> str:
    """Leave the password with a process on the host, in its memory, for as long as this one lives, also as the ssh that
    it may become. What is told is the program there that gives it to sudo.

    :raises Silent: the host does not answer.
    """
    with _one_at_a_time:
        if host.name not in _askpasses:
            _askpasses[host.name] = _leave_password(host)
        return _askpasses[host.name][0]


def _leave_password(host: Host) -> tuple[str, subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    argv = host.as_login_user([host.python, "-IS", "-c", ASKPASS.read_text("utf-8")])
    # Of the keys that are pressed here it hears nothing: Ctrl-C is for the command.
    child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with contextlib.suppress(BrokenPipeError):  # its last words say why
        child.stdin.write(f"{host.password}\n".encode())
        child.stdin.flush()
    _keep_open()
    if not select.select([child.stdout], [], [], host.patience)[0]:
        child.kill()
        raise Silent(f"not within {host.patience:g} s")
    if path := child.stdout.readline().decode().strip():
        return path, child
    raise Silent((child.stderr.read().decode(errors="replace").splitlines() or ["it ends without a word"])[-1])


def _keep_open() -> None:
    """What is open here, until this process ends, whatever program it is by then: ssh closes what it does not know."""
    ended = os.pidfd_open(os.getpid())
    if os.fork() == 0:
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in STREAMS:
                os.dup2(nothing, stream)
            select.select([ended], [], [])
        finally:
            os._exit(0)
    os.close(ended)


def on_terminal(command: Sequence[str]) -> list[str]:
    """Give a command a terminal that exists where it runs: nsenter passes on one that does not.

    script(1) makes it, hands on keys, signals and the window's size, and ends as the command does. It takes one
    line for a shell, so every word is quoted.
    """
    return ["/usr/bin/script", "-qec", "exec " + shlex.join(command), "/dev/null"]


def ask(hosts: Sequence[Host]) -> dict[str, dict[str, Any] | None]:
    """The status of every host, all side by side; None, and a warning, for one that does not answer."""
    program = STATUS.read_text("utf-8")
    answers: dict[str, dict[str, Any] | None] = {}
    with ThreadPoolExecutor(max_workers=len(hosts) or 1) as pool:
        asked = {host.name: pool.submit(_status, host, program) for host in hosts}
        _wait(asked)
    for name, answer in ((name, future.result()) for name, future in asked.items()):
        answers[name] = None
        if isinstance(answer, str):
            complain(f"warning: {name} does not answer: {answer}")
            continue
        sound, damage = sound_answer(answer)
        if sound is not None:
            answers[name], odd = showable(sound)
            damage += odd
        for words in damage:
            complain(f"warning: {name}: {words}")
    return answers


def _wait(asked: Mapping[str, Future[Any]]) -> None:
    """Until all have answered; whoever looks on sees whom it waits for."""
    terminal, began = sys.stderr.fileno() if sys.stderr and sys.stderr.isatty() else None, time.monotonic()
    left = wait(asked.values(), timeout=PATIENCE_OF_PEOPLE).not_done
    while left:
        names = [name for name, future in asked.items() if future in left]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        status_line.write_over(terminal, printable(f"waiting for {names[0]}{more}, {time.monotonic() - began:.0f} s"))
        left = wait(left, timeout=1.0).not_done
        if not left:
            status_line.write_over(terminal, "")


def _status(host: Host, program: str) -> dict[str, Any] | str:
    """What ``host/pods/status.py`` prints on a host, or why it does not."""
    try:
        said = host.question([host.python, "-IS", "-"]).ask(program, patience=host.patience)
    except Silent as error:
        hint = " (ansible_ssh_timeout or PODLAB_TIMEOUT sets another limit)"
        return f"{error}{hint}" if str(error).startswith("not within") else str(error)
    try:
        answer: dict[str, Any] = packed.loads(said.out)
    except packed.TooMuch as error:
        return str(error)
    except (ValueError, RecursionError):
        words = (said.err.splitlines() or [f"exit code {said.code}"])[-1]
        return f"{words}; -K asks for it" if host.becomes and host.password is None and NEEDS in words else words
    return answer

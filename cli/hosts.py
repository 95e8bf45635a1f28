"""How to run something on a host: an embedded one, one over SSH, this machine.

A host turns the argument vector of a command into a call that runs it there. What becomes of input, terminal
and exit code is then left to the programs made for it: nsenter, script and ssh.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from podlab import entry
from podlab.controller import process
from podlab.embedded import ENVIRONMENT
from podlab.records import sound_answer

from .failure import Failure
from .output import complain
from .session import STREAMS, Copied

FILTER = Path(__file__).resolve().parent.parent / "module_utils" / "podlab" / "seccomp.py"
STATUS = Path(__file__).resolve().parent.parent / "module_utils" / "podlab" / "host" / "status.py"


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
    """

    argv: list[str]
    environment: Mapping[str, str] | None = None
    prepare: Callable[[], None] | None = None
    terminal: bool = False
    host: str = ""

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
                out, err = process.communicate(child, words.encode(), patience)
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
class Host:
    """A host of the inventory; ``variables`` are Ansible's, as text."""

    name: str
    role: str
    variables: Mapping[str, str]

    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        """What to run here so that ``command`` runs there, as root.

        :param tty: give it a terminal of its own there.
        :raises Silent: the host is off.
        """
        raise NotImplementedError

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
        return 10.0

    def _become(self) -> list[str]:
        if self.variables.get("ansible_become", "").lower() not in ("true", "yes", "1", "on"):
            return []
        user = self.variables.get("ansible_become_user")
        return ["sudo", "-n", *(["-u", user] if user else []), "--"]


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


@dataclass(frozen=True)
class Ssh(Host):
    """A host over SSH. The far shell takes one line, so this is the one place where words are quoted."""

    def call(self, command: Sequence[str], *, tty: bool = False) -> Call:
        return Call([*self._ssh("-t" if tty else "-T"), shlex.join([*self._become(), *command])])

    def login(self, *, tty: bool) -> Call:
        become = self._become()
        return Call([*self._ssh("-t" if tty else "-T"), *([shlex.join([*become[:-1], "-i"])] if become else [])])

    def question(self, command: Sequence[str]) -> Call:
        options = ("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=1")
        return Call([*self._ssh(*options), shlex.join([*self._become(), *command])])

    @property
    def patience(self) -> float:
        """A dead host must not keep the others waiting: ``get`` answers within 1.5 s."""
        return float(os.environ.get("PODLAB_TIMEOUT") or 0.9)

    def _ssh(self, *options: str) -> list[str]:
        known = self.variables
        argv = ["ssh", *options, "-o", "LogLevel=ERROR"]
        for name in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
            argv += shlex.split(known.get(name, ""))
        if "ansible_port" in known:
            argv += ["-p", known["ansible_port"]]
        if "ansible_user" in known:
            argv += ["-l", known["ansible_user"]]
        key = known.get("ansible_ssh_private_key_file") or known.get("ansible_private_key_file")
        if key:
            argv += ["-i", os.path.expanduser(key)]
        return [*argv, "--", known.get("ansible_host", self.name)]


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
        for host, answer in zip(hosts, pool.map(lambda host: _status(host, program), hosts), strict=True):
            answers[host.name] = None
            if isinstance(answer, str):
                complain(f"warning: {host.name} does not answer: {answer}")
                continue
            answers[host.name], damage = sound_answer(answer)
            for words in damage:
                complain(f"warning: {host.name}: {words}")
    return answers


def _status(host: Host, program: str) -> dict[str, Any] | str:
    """What ``host/status.py`` prints on a host, or why it does not."""
    try:
        said = host.question([host.python, "-IS", "-"]).ask(program, patience=host.patience)
    except Silent as error:
        return f"{error} (PODLAB_TIMEOUT sets another limit)" if str(error).startswith("not within") else str(error)
    try:
        answer: dict[str, Any] = json.loads(said.out)
    except (ValueError, RecursionError):
        return (said.err.splitlines() or [f"exit code {said.code}"])[-1]
    return answer

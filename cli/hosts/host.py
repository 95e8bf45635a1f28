"""The hosts of an inventory: embedded ones, this machine, and those over SSH."""

from __future__ import annotations

import os
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podlab import entry
from podlab.embedded import ENVIRONMENT

from . import sudo
from .call import Call, HostUnreachable, on_terminal

FILTER = Path(__file__).resolve().parents[2] / "module_utils" / "podlab" / "seccomp.py"


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
        :raises HostUnreachable: the host is off.
        """

    def login(self, *, tty: bool) -> Call:
        """What to run here for a shell there."""
        return self.call(["bash", "-l"], tty=tty)

    def question(self, command: Sequence[str]) -> Call:
        """As ``call``, for a command without a person at its terminal."""
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
        keeper = self.as_login_user([self.python, "-IS", "-c", sudo.ASKPASS.read_text("utf-8")])
        program = sudo.askpass(self.name, keeper, self.password, self.patience)
        return ["env", f"SUDO_ASKPASS={program}", "sudo", "-A", *self._user()]

    def _become_asking(self, command: Sequence[str]) -> list[str]:
        """The same for a command whose input is ours: the password comes before it, with no connection of its own."""
        if not self.becomes or self.password is None:
            return [*self._become(), *command]
        return [self.python, "-IS", "-c", sudo.ASKPASS.read_text("utf-8"), "sudo", "-A", *self._user(), *command]

    def _user(self) -> list[str]:
        user = self.variables.get("ansible_become_user")
        return [*(["-u", user] if user else []), "--"]

    def _first_line(self) -> str:
        return f"{self.password}\n" if self.becomes and self.password is not None else ""

    def as_login_user(self, command: Sequence[str]) -> list[str]:
        """What to run here so that ``command`` runs there as the user who logs in, without a prompt."""
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
            raise HostUnreachable("it is off")
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

"""What has to be done on a host, as a list of actions. The diff prints the list and the host runs it, so the two
cannot disagree: an action holds the fields that both its commands and its runner (``host/actions.py``) are made of."""

from __future__ import annotations

import posixpath
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from ..frozen import Frozen
from . import script_text
from .script_text import Typed
from .system import sysctls


class Action(Frozen, ABC):
    """One thing to do. An empty list of actions means that all is as it should be.

    Neighbours of one kind in a list are run together, so a hundred lines of ip(8) are one ``ip -batch``.
    """

    @abstractmethod
    def commands(self) -> list[Typed]:
        """What a person would type for the same effect."""


def lines(actions: Iterable[Action]) -> list[str]:
    """The lines of a diff."""
    return script_text.summary(line for action in actions for line in action.commands())


class BatchLine(Action):
    """A line for a program that takes many of them in one call."""

    words: str
    program: ClassVar[str]

    def commands(self) -> list[Typed]:
        return [f"{self.program} {self.words}"]


class Ip(BatchLine):
    program = "ip"


class Bridge(BatchLine):
    program = "bridge"


class Tc(BatchLine):
    program = "tc"


class NetnsIp(Action):
    """A line for ip(8) in a named network namespace."""

    netns: str
    words: str

    def commands(self) -> list[Typed]:
        return [f"ip -n {self.netns} {self.words}"]


class Sysctl(Action):
    key: str
    value: str

    def commands(self) -> list[Typed]:
        return [sysctls.line(self.key, self.value)]


class OpenSysctl(Action):
    """A setting that a rule guards. What it was before is in the record by now, but where somebody has left the
    component
    *node* out: then it is written there first."""

    key: str
    value: str

    def commands(self) -> list[Typed]:
        return [sysctls.line(self.key, self.value)]


class Run(Action):
    """A command that has nothing in common with its neighbours."""

    argv: Sequence[str]

    def commands(self) -> list[Typed]:
        return [shlex.join(self.argv)]


class Require(Action):
    """What is lacking for the actions behind it, in sentences: nothing is done then. It is no change, and nothing in
    check mode, where what an earlier task would have brought is not there."""

    lacking: Sequence[str]

    def commands(self) -> list[Typed]:
        return []


# --- files ------------------------------------------------------------------------------------------------


class WriteFile(Action):
    """A file of the host's own directories, which everybody may read."""

    path: str
    text: str

    def commands(self) -> list[Typed]:
        home, name = posixpath.split(self.path)
        return [f"mkdir -p {home}", *script_text.files(home, {name: self.text}).lines]


class SetMode(Action):
    path: str
    mode: int

    def commands(self) -> list[Typed]:
        return [f"chmod {self.mode:o} {self.path}"]


class RemoveFile(Action):
    path: str

    def commands(self) -> list[Typed]:
        return [f"rm {self.path}"]


class RemoveEmptyDirectory(Action):
    """One that holds files of others stays."""

    path: str

    def commands(self) -> list[Typed]:
        return [f"rmdir --ignore-fail-on-non-empty {self.path}"]


class RemoveTree(Action):
    path: str

    def commands(self) -> list[Typed]:
        return [f"rm -r {self.path}"]


def set_sysctls(values: Mapping[str, str]) -> list[Sysctl]:
    return [Sysctl(key, value) for key, value in values.items()]

"""What to run here so that a command runs on a host.

Input, terminal and exit code are left to the programs made for them: nsenter, script and ssh.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from podlab.controller import process

from ..errors import CommandError
from ..session import STREAMS, Copied


class HostUnreachable(CommandError):
    """A host does not answer; the text says why."""


class CommandResult(NamedTuple):
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
        """Whether it ends with 0, without a word. :raises HostUnreachable: the host has just ended."""
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

    def ask(self, words: str = "", *, patience: float) -> CommandResult:
        """Run it to its end with these words as its input.

        :param patience: seconds.
        :raises HostUnreachable: the host does not answer in time, has just ended, or its output is too long.
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
                raise HostUnreachable(str(error)) from None
            except subprocess.TimeoutExpired:
                child.kill()
                raise HostUnreachable(f"not within {patience:g} s") from None
            except BaseException:
                child.kill()
                raise
        return CommandResult(child.returncode, out.decode(errors="replace"), err.decode(errors="replace").strip())

    @contextlib.contextmanager
    def _entering(self) -> Iterator[None]:
        """Who enters a host that has ended since it was found cannot begin; nor who has no ssh."""
        try:
            yield
        except FileNotFoundError:
            raise HostUnreachable(f"there is no program {self.argv[0]} on this machine") from None
        except subprocess.SubprocessError:  # all that Popen tells of what ``prepare`` raises
            raise HostUnreachable(f"host {self.host} has just ended, or cannot be entered") from None

    def become(self) -> NoReturn:
        """In the place of this process; who enters a lab cannot be in it."""
        os.execvpe(self.argv[0], self.argv, os.environ if self.environment is None else self.environment)


def on_terminal(command: Sequence[str]) -> list[str]:
    """Give a command a terminal that exists where it runs: nsenter passes on one that does not.

    script(1) makes it, hands on keys, signals and the window's size, and ends as the command does. It takes one
    line for a shell, so every word is quoted.
    """
    return ["/usr/bin/script", "-qec", "exec " + shlex.join(command), "/dev/null"]

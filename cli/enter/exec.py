"""``./lab exec``: a command in a container."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from podlab.controller import process

from .. import arguments
from ..errors import CommandError
from ..hosts import Local, on_terminal
from ..output import print_error
from ..session import STREAMS
from .become import replace_process
from .target import find


def main(words: list[str], command: list[str]) -> None:
    # -i is kubectl's here.
    parser = arguments.parser(
        "exec",
        "[-it] [-n NS] POD [-c CONTAINER] -- COMMAND [ARGUMENT]...",
        "Run a command in a container.",
        inventory=("--inventory",),
    )
    arguments.pod(parser)
    parser.add_argument("-i", "--stdin", action="store_true", help="pass standard input on")
    parser.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    arguments.container(parser)
    arguments.namespace(parser)
    known, rest = parser.parse_known_args(words)
    if rest and rest[0].startswith("-"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        parser.error("the command stands after --: exec POD -- COMMAND")
    execute(
        known.pod,
        command,
        container=known.container,
        namespace=known.namespace,
        stdin=known.stdin,
        tty=known.tty,
        sources=known.sources,
    )


def execute(
    word: str,
    command: Sequence[str],
    *,
    container: str,
    namespace: str,
    stdin: bool,
    tty: bool,
    sources: Sequence[str],
) -> NoReturn:
    """Run a command in a container.

    :param word: ``POD``, ``pod/POD`` or a workload such as ``deploy/NAME``, whose first pod it is then.
    """
    if not command:
        raise CommandError("error: you must specify at least one command for the container")
    target = find(word, namespace, sources)
    name = target.container(container)
    if tty and not (stdin and os.isatty(0)):
        if stdin:
            print_error("Unable to use a TTY - input is not a terminal or the right kind of file")
        tty = False
    process.forget_the_shell()
    call = target.host.call(target.entering(name, on_terminal(command) if tty else command), tty=tty)
    if not stdin:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # In a container of this machine's it could open them anew; over SSH there are none of ours.
    replace_process(call, () if tty else STREAMS if isinstance(target.host, Local) else filter(os.isatty, STREAMS))

"""``./lab node``: a command, or a shell, on a host."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from podlab.controller import process

from .. import arguments, inventory
from ..errors import CommandError
from ..hosts import Embedded, HostUnreachable
from ..look.cluster import must_be_on, not_found
from .become import replace_process


def main(words: list[str], command: list[str]) -> None:
    parser = arguments.parser(
        "node",
        "HOST [-i INVENTORY] [-- COMMAND [ARGUMENT]...]",
        "Run a command on a host of the inventory; without one, a shell.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("host", metavar="HOST")
    known = parser.parse_args(words)
    node(known.host, command, sources=known.sources)


def node(name: str, command: Sequence[str], *, sources: Sequence[str]) -> NoReturn:
    """Run a command, or without one a shell, on a host."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    host = next((host for host in hosts if host.name == name), None)
    if host is None:
        raise CommandError(not_found("nodes", name))
    if isinstance(host, Embedded):
        process.forget_the_shell()
    tty = os.isatty(0) and os.isatty(1)
    try:
        replace_process(host.call(command, tty=tty) if command else host.login(tty=tty))
    except HostUnreachable as error:
        raise CommandError(f"error: {name} does not answer: {error}") from error

"""``./lab logs``: what a container has printed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .. import arguments
from ..errors import CommandError
from ..hosts import Call
from ..session import wait_for_all
from .become import replace_process
from .target import Target, find

FOLLOW = Path(__file__).with_name("follow.py")


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "logs",
        "[-f | -p] [-n NS] POD [-c CONTAINER | --all-containers] [--tail N]",
        "Print the log of a container.",
        inventory=arguments.INVENTORY,
    )
    arguments.pod(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more, across restarts, until Ctrl-C")
    parser.add_argument("-p", "--previous", action="store_true", help="of the start before the present one")
    arguments.container(parser)
    parser.add_argument("--all-containers", action="store_true", help="of all, init containers among them")
    parser.add_argument("--tail", type=int, default=-1, metavar="N", help="the last N lines alone; -1: all")
    arguments.namespace(parser)
    known = parser.parse_args([*words, *command])
    return logs(
        known.pod,
        container=known.container,
        namespace=known.namespace,
        follow=known.follow,
        previous=known.previous,
        every=known.all_containers,
        tail=known.tail,
        sources=known.sources,
    )


def logs(
    word: str,
    *,
    container: str,
    namespace: str,
    follow: bool,
    previous: bool,
    every: bool,
    tail: int,
    sources: Sequence[str],
) -> int:
    """Print the log of a container's present start, or of its last one if it does not run.

    :param previous: of the start before that.
    :param every: of all containers of the pod, one after another; followed, side by side.
    """
    if every and container:
        raise CommandError("error: --all-containers=true should not be specified with container name " + container)
    if follow and previous:
        raise CommandError("error: only one of follow (-f) or previous (-p) is allowed")
    target = find(word, namespace, sources)
    names = list(target.row["containers"]) if every else [target.container(container)]
    # Of several containers each begins a line; the last words of a single one are left as it wrote them.
    words = [*(["follow"] if follow else []), *(["line"] if every else [])]
    calls = [_log_reader(target, name, _starts_back(target, name, previous), tail, words) for name in names]
    if not every:
        replace_process(calls[0], stdin=_program())
    started = []
    for call in calls:
        program = _program()
        started.append(call.start(stdin=program))
        os.close(program)
        if not follow:
            wait_for_all(started[-1])
    return wait_for_all(*started)


def _program() -> int:
    """The program is small enough for a pipe's buffer: no process has to stay to write it."""
    program, feed = os.pipe()
    os.write(feed, FOLLOW.read_bytes())
    os.close(feed)
    return program


def _log_reader(target: Target, container: str, back: int, tail: int, words: Sequence[str]) -> Call:
    directory = f"/var/log/pods/{target.row['netns']}/{container}"
    return target.host.call([target.host.python, "-IS", "-", directory, str(tail), str(back), *words])


def _starts_back(target: Target, container: str, previous: bool) -> int:
    """How many starts before the newest one the log lies that is asked for.

    The kubelet's rules (pkg/kubelet/kubelet_pods.go, validateContainerLogStatus): while a container waits for
    its next start, its end before that is the previous one and the one to be read at once.

    :raises CommandError: it has not been started yet, or not twice.
    """
    status = target.status(container)
    state, has_ended_before = status["state"], "terminated" in status["lastState"]
    if previous:
        if not has_ended_before:
            raise CommandError(
                "Error from server (BadRequest): "
                f'previous terminated container "{container}" in pod "{target.name}" not found'
            )
        return 0 if "waiting" in state else 1
    if "waiting" in state and not has_ended_before:
        raise CommandError(
            f'Error from server (BadRequest): container "{container}" in pod "{target.name}" is waiting to start: '
            + state["waiting"]["reason"]
        )
    return 0

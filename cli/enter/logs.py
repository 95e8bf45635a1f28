"""``./lab logs``: what a container has printed."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import arguments
from ..errors import CommandError
from ..hosts import Call
from ..session import wait_for_all
from .become import replace_process
from .target import Target, find, find_all

FOLLOW = Path(__file__).with_name("follow.py")
LAST_OF_SELECTED = 10  # lines of each pod, where a selector chooses them and nothing else is said
MOST_FOLLOWED = 5
SEE = "See './lab logs --help' for help and examples"
USAGE = f"""error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.
POD or TYPE/NAME is a required argument for the logs command
{SEE}"""
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Wanted:
    """Which part of the logs, and how it is shown."""

    container: str = ""
    every: bool = False  # all containers of a pod
    follow: bool = False
    previous: bool = False  # of the start before the present one
    tail: int = -1
    since: float | None = None  # seconds
    timestamps: bool = False
    prefix: bool = False
    most: int = MOST_FOLLOWED

    def check(self) -> None:
        """:raises CommandError: in the words of kubectl and of the API server."""
        if self.every and self.container:
            raise CommandError(
                "error: --all-containers=true should not be specified with container name " + self.container
            )
        if self.follow and self.previous:
            raise CommandError("error: only one of follow (-f) or previous (-p) is allowed")
        if self.tail < -1:
            raise CommandError("error: --tail must be greater than or equal to -1")
        if self.since is not None and self.since < 0:
            raise CommandError("error: --since must be greater than 0")


def main(words: list[str], command: list[str]) -> int:
    known = _parser().parse_args([*words, *command])
    if not known.pod and not known.selector:
        raise CommandError(USAGE)
    if known.pod and known.selector:
        raise CommandError(f"error: only a selector (-l) or a POD name is allowed\n{SEE}")
    tail = known.tail if known.tail is not None else LAST_OF_SELECTED if known.selector else -1
    wanted = Wanted(
        container=known.container,
        every=known.all_containers,
        follow=known.follow,
        previous=known.previous,
        tail=tail,
        since=None if known.since is None else seconds(known.since),
        timestamps=known.timestamps,
        prefix=known.prefix,
        most=known.max_log_requests,
    )
    wanted.check()
    if known.selector:
        return of_selected(known.selector, known.namespace, wanted, known.sources)
    target = find(known.pod, known.namespace, known.sources)
    return show(_readers(target, wanted), wanted)


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser(
        "logs",
        "[-f | -p] [-n NS] (POD | TYPE/NAME | -l SELECTOR) [-c CONTAINER | --all-containers] [OPTION]...",
        "Print the log of a container.",
        inventory=arguments.INVENTORY,
    )
    parser.add_argument("pod", metavar="POD", nargs="?", help="or deploy/NAME, svc/NAME, ...: one of its pods")
    arguments.selector(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="wait for more, across restarts, until Ctrl-C")
    parser.add_argument("-p", "--previous", action="store_true", help="of the start before the present one")
    arguments.container(parser)
    parser.add_argument("--all-containers", action="store_true", help="of all, init containers among them")
    parser.add_argument("--tail", type=int, metavar="N", help="the last N lines alone; -1: all, the default without -l")
    parser.add_argument("--since", metavar="TIME", help="lines not older than this: 30s, 5m, 2h")
    parser.add_argument("--timestamps", action="store_true", help="each line with when it was printed")
    parser.add_argument("--prefix", action="store_true", help="each line with its pod and container")
    parser.add_argument(
        "--max-log-requests", type=int, default=MOST_FOLLOWED, metavar="N", help="with -l and -f: how many logs; 5"
    )
    arguments.namespace(parser)
    return parser


def seconds(text: str) -> float:
    """A duration as Go writes it: 300ms, 1.5h, 2h45m.

    :raises CommandError: it is none.
    """
    terms = r"(\d+\.?\d*|\.\d+)(h|m(?!s)|s|ms|us|\u00b5s|ns)"
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if bare == "0":
        return 0.0
    if not re.fullmatch(f"({terms})+", bare):
        why = f'time: missing unit in duration "{text}"' if re.fullmatch(r"\d+", bare) else ""
        why = why or f'time: invalid duration "{text}"'
        raise CommandError(
            f'error: invalid argument "{text}" for "--since" flag: {why}\nSee \'./lab logs --help\' for usage.'
        )
    return sign * sum(float(number) * UNITS[unit] for number, unit in re.findall(terms, bare))


def of_selected(selector: str, namespace: str, wanted: Wanted, sources: Sequence[str]) -> int:
    """The logs of all pods with these labels; in the end why some have none."""
    calls: list[Call] = []
    failures = []
    for target in find_all(selector, namespace, sources):
        try:
            if isinstance(target, CommandError):
                raise target
            calls += _readers(target, wanted)
        except CommandError as failure:
            failures.append(str(failure))
    if wanted.follow and len(calls) > wanted.most:
        raise CommandError(
            f"error: you are attempting to follow {len(calls)} log streams, but maximum allowed concurrency is "
            f"{wanted.most}, use --max-log-requests to increase the limit"
        )
    code = show(calls, wanted, alone=False) if calls else 0
    if failures:
        raise CommandError("\n".join(failures))
    return code


def show(calls: Sequence[Call], wanted: Wanted, *, alone: bool = True) -> int:
    """Print logs, one after another; followed, side by side.

    :param alone: a single one may take this process's place.
    """
    if alone and len(calls) == 1:
        replace_process(calls[0], stdin=_program())
    started, codes = [], [0]
    for call in calls:
        program = _program()
        started.append(call.start(stdin=program))
        os.close(program)
        if not wanted.follow:
            codes.append(wait_for_all(started[-1]))
    return wait_for_all(*started) if wanted.follow else max(codes)


def _readers(target: Target, wanted: Wanted) -> list[Call]:
    """What prints the log of each container that is meant: of its present start, or of its last one if it does not run.

    :raises CommandError: one has no such start.
    """
    names = list(target.row["containers"]) if wanted.every else [target.container(wanted.container)]
    return [_log_reader(target, name, _starts_back(target, name, wanted.previous), wanted) for name in names]


def _program() -> int:
    """The program is small enough for a pipe's buffer: no process has to stay to write it."""
    program, feed = os.pipe()
    os.write(feed, FOLLOW.read_bytes())
    os.close(feed)
    return program


def _log_reader(target: Target, container: str, back: int, wanted: Wanted) -> Call:
    directory = f"/var/log/pods/{target.row['netns']}/{container}"
    words = [
        *(["follow"] if wanted.follow else []),
        # Of several containers each begins a line; the last words of a single one are left as it wrote them.
        *(["line"] if wanted.every or wanted.prefix else []),
        *([f"since={wanted.since}"] if wanted.since is not None else []),
        *(["timestamps"] if wanted.timestamps else []),
        *([f"prefix=[pod/{target.name}/{container}] "] if wanted.prefix else []),
    ]
    return target.host.call([target.host.python, "-IS", "-", directory, str(wanted.tail), str(back), *words])


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

"""``./lab exec``, ``node`` and ``logs``: become the program that runs over there.

Outside of a lab the command replaces this process where it can, so input, output, signals and the exit code need
nobody to hand them on; what is in a lab gets copies of them, see ``session.py``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from podlab.controller import process

from .. import inventory
from ..failure import Failure
from ..hosts import Call, Embedded, Local, Silent, on_terminal
from ..look.get import must_be_on, not_found
from ..output import complain
from ..session import STREAMS, lead
from .target import Target, find

FOLLOW = Path(__file__).with_name("follow.py")


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
        raise Failure("error: you must specify at least one command for the container")
    target = find(word, namespace, sources)
    name = target.container(container)
    if tty and not (stdin and os.isatty(0)):
        if stdin:
            complain("Unable to use a TTY - input is not a terminal or the right kind of file")
        tty = False
    process.forget_the_shell()
    call = target.host.call(target.entering(name, on_terminal(command) if tty else command), tty=tty)
    if not stdin:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # In a container of this machine's it could open them anew; over SSH there are none of ours.
    _become(call, () if tty else STREAMS if isinstance(target.host, Local) else filter(os.isatty, STREAMS))


def node(name: str, command: Sequence[str], *, sources: Sequence[str]) -> NoReturn:
    """Run a command, or without one a shell, on a host."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    host = next((host for host in hosts if host.name == name), None)
    if host is None:
        raise Failure(not_found("nodes", name))
    if isinstance(host, Embedded):
        process.forget_the_shell()
    tty = os.isatty(0) and os.isatty(1)
    try:
        _become(host.call(command, tty=tty) if command else host.login(tty=tty))
    except Silent as error:
        raise Failure(f"error: {name} does not answer: {error}") from error


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
        raise Failure("error: --all-containers=true should not be specified with container name " + container)
    if follow and previous:
        raise Failure("error: only one of follow (-f) or previous (-p) is allowed")
    target = find(word, namespace, sources)
    names = list(target.row["containers"]) if every else [target.container(container)]
    # Of several containers each begins a line; the last words of a single one are left as it wrote them.
    words = [*(["follow"] if follow else []), *(["line"] if every else [])]
    calls = [_log_reader(target, name, _starts_back(target, name, previous), tail, words) for name in names]
    if not every:
        _become(calls[0], stdin=_program())
    started = []
    for call in calls:
        program = _program()
        started.append(call.start(stdin=program))
        os.close(program)
        if not follow:
            lead(started[-1])
    return lead(*started)


def _program() -> int:
    """The program is small enough to lie in a pipe until it is read: nobody has to stay to feed it."""
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

    :raises Failure: it has not been started yet, or not twice.
    """
    status = target.status(container)
    state, has_ended_before = status["state"], "terminated" in status["lastState"]
    if previous:
        if not has_ended_before:
            raise Failure(
                "Error from server (BadRequest): "
                f'previous terminated container "{container}" in pod "{target.name}" not found'
            )
        return 0 if "waiting" in state else 1
    if "waiting" in state and not has_ended_before:
        raise Failure(
            f'Error from server (BadRequest): container "{container}" in pod "{target.name}" is waiting to start: '
            + state["waiting"]["reason"]
        )
    return 0


def _become(call: Call, apart: Iterable[int] = (), stdin: int | None = None) -> NoReturn:
    """Replace this process, or stay to hand on what the command shall not have itself: signals as well, if it is in a
    lab.

    :param apart: streams that it shall not have.
    :param stdin: what it reads instead of our input, if it does.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):  # a closed one is none
        stream.flush()
    apart, session = set(apart), None
    try:
        if call.prepare or apart:
            session = call.start(apart=apart, stdin=stdin)
        else:
            if stdin is not None:
                os.dup2(stdin, 0)
            # Python ignores SIGPIPE, and what is ignored stays so in the next program.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            call.become()
    except OSError as error:
        raise Failure(f"error: {call.argv[0]}: {error.strerror or error}") from error
    except Silent as error:
        raise Failure(f"error: {error}") from error
    raise SystemExit(lead(session))

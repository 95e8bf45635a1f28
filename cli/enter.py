"""``./lab exec``, ``node`` and ``logs``: become the program that runs over there.

The command replaces this process where it can, so input, output, signals and the exit code need nobody to hand
them on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from . import inventory, objects
from .failure import Failure
from .get import must_be_on, not_found
from .hosts import Host, Silent, ask, in_container

STREAMS = (0, 1, 2)
FOLLOW = Path(__file__).with_name("follow.py")


def execute(
    target: str,
    command: Sequence[str],
    *,
    container: str,
    namespace: str,
    stdin: bool,
    tty: bool,
    sources: Sequence[str],
) -> NoReturn:
    """Run a command in a container.

    :param target: ``POD``, ``pod/POD`` or ``deploy/NAME``, whose first pod it is then.
    """
    if not command:
        raise Failure("error: you must specify at least one command for the container")
    host, live = _find(target, namespace, sources)
    name = container or _default_container(live["row"])
    pid = live["containers"].get(name, {}).get("pid")
    if pid is None:
        raise Failure(f'error: unable to upgrade connection: container not found ("{name}")')
    if tty and not (stdin and os.isatty(0)):
        if stdin:
            print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)
        tty = False
    argv = host.argv(in_container(live["row"], name, pid, command, tty=tty), tty=tty)
    if not stdin:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if tty or not any(map(os.isatty, STREAMS)):
        _become(argv)
    raise SystemExit(_behind_pipes(argv))


def node(name: str, command: Sequence[str], *, sources: Sequence[str]) -> NoReturn:
    """Run a command, or without one a shell, on a host."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    host = next((host for host in hosts if host.name == name), None)
    if host is None:
        raise Failure(not_found("nodes", name))
    tty = os.isatty(0) and os.isatty(1)
    try:
        _become(host.argv(command, tty=tty) if command else host.login(tty=tty))
    except Silent as error:
        raise Failure(f"error: {name} does not answer: {error}") from error


def logs(target: str, *, container: str, namespace: str, follow: bool, tail: int, sources: Sequence[str]) -> NoReturn:
    """Print the log of a container's present start, or of its last one if it does not run."""
    host, live = _find(target, namespace, sources)
    name = container or _default_container(live["row"])
    if name not in live["containers"]:
        raise Failure(f"error: container {name} is not valid for pod {live['row']['object']['metadata']['name']}")
    # The program is small enough to lie in a pipe until it is read: nobody has to stay to feed it.
    program, feed = os.pipe()
    os.write(feed, FOLLOW.read_bytes())
    os.close(feed)
    directory = f"/var/log/pods/{live['row']['netns']}/{name}"
    os.dup2(program, 0)
    _become(host.argv([host.python, "-IS", "-", directory, str(tail), *(["follow"] if follow else [])]))


def _find(target: str, namespace: str, sources: Sequence[str]) -> tuple[Host, Mapping[str, Any]]:
    """The host of a pod, and what it tells of it."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    nodes = {host.name: host for host in hosts if host.role == "node"}
    answers = ask(list(nodes.values()))
    state = objects.state_of(answers, list(nodes))
    pods = [pod for pod in objects.pods(state) if pod["metadata"]["namespace"] == namespace]
    resource, _, name = target.rpartition("/")
    if resource in ("deploy", "deployment", "deployment.apps", "deployments"):
        if not any(
            (item["namespace"], item["name"]) == (namespace, name) for item in state.record.get("deployments", [])
        ):
            raise Failure(not_found("deployments.apps", name))
        # A pod that runs, if there is one: kubectl as well prefers what is ready.
        replicas = sorted(
            (pod for pod in pods if objects.is_replica(pod, name)), key=lambda pod: not objects.is_ready(pod)
        )
        name = replicas[0]["metadata"]["name"] if replicas else name
    elif resource not in ("", "po", "pod", "pods"):
        raise Failure(f"error: cannot attach to {target}: it is neither a pod nor a deployment")
    pod = next((pod for pod in pods if pod["metadata"]["name"] == name), None)
    if pod is None:
        raise Failure(not_found("pods", name))
    where = pod["spec"].get("nodeName")
    for live in (answers.get(where) or {}).get("pods", []):
        if live["row"]["object"]["metadata"] == pod["metadata"]:
            return nodes[where], live
    if where is None:
        raise Failure(f"error: pod {name} does not have a host assigned")
    raise Failure(f"error: pod {name} is not running on {where}")


def _default_container(row: Mapping[str, Any]) -> str:
    """The first one, said aloud where there are others."""
    first, *others = row["containers"]
    if others:
        print(f'Defaulted container "{first}" out of: {", ".join([first, *others])}', file=sys.stderr)
    return str(first)


def _become(argv: Sequence[str]) -> NoReturn:
    """Replace this process. Python ignores SIGPIPE, and what is ignored stays so in the next program."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        raise Failure(f"error: {argv[0]}: {error.strerror}") from error


def _behind_pipes(argv: Sequence[str]) -> int:
    """Run a command that shall not see our terminal: without ``-t`` programs write plain text, as on Kubernetes."""
    ends = [subprocess.PIPE if os.isatty(stream) else None for stream in STREAMS]
    try:
        process = subprocess.Popen(argv, stdin=ends[0], stdout=ends[1], stderr=ends[2])
    except OSError as error:
        raise Failure(f"error: {argv[0]}: {error.strerror}") from error
    if process.stdin:  # left alone in the end: it may be waiting for a key
        threading.Thread(target=_copy, args=(0, process.stdin.fileno(), process.stdin), daemon=True).start()
    copies = [
        threading.Thread(target=_copy, args=(pipe.fileno(), stream))
        for stream, pipe in ((1, process.stdout), (2, process.stderr))
        if pipe
    ]
    for copy in copies:
        copy.start()
    code = process.wait()
    for copy in copies:
        copy.join()
    return code if code >= 0 else 128 - code


def _copy(source: int, target: int, close: IO[bytes] | None = None) -> None:
    with contextlib.suppress(OSError):
        while block := os.read(source, 65536):
            os.write(target, block)
    if close:
        close.close()

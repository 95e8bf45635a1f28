"""``./lab`` and ``ansible-playbook`` without a start of Python for each call: most of a short call's time goes into
imports.

One process has a program loaded and forks for every call. That child has the caller's own streams, directory and
environment, and runs the program's own ``main``. How a program starts, and what signals do to it, is asked of the
real ones: ``test_lab_command.py``, ``test_interrupted.py`` and others call them as a person does.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("get", "describe", "exec", "logs", "node", "rules")
"""Verbs of ``./lab`` that play no playbook."""
PLAYING = ("up", "down", "reset", "script")
CLIENT = """
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as wire:
    wire.connect(sys.argv[1])
    call = {"argv": sys.argv[2:], "cwd": os.getcwd(), "environment": dict(os.environ)}
    wire.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
    wire.sendall(json.dumps(call).encode())
    wire.shutdown(socket.SHUT_WR)
    sys.exit(int(wire.recv(10)))
"""
Main = Callable[[Sequence[str]], Any]


# --- the process that has it all loaded -----------------------------------------------------------------


def _lab() -> Main:
    sys.path[:1] = [str(ROOT / "cli"), str(ROOT)]  # cli puts its own directories into the place of the first one
    import cli.__main__ as program
    from cli import inventory, verbs
    from cli.errors import CommandError

    for verb in QUICK:
        verbs.main_of(verb)
    with contextlib.suppress(CommandError):  # Ansible's plugins, too, which it loads as it reads
        inventory.read(())
    return program.run


def _playing() -> Main:
    """Not Ansible's plugins: it sets them up once in a process, and a run does that by itself."""
    sys.path[:1] = [str(ROOT / "cli"), str(ROOT)]
    import cli.__main__ as program
    from cli import verbs

    for verb in PLAYING:
        verbs.main_of(verb)
    _planner()
    return program.run


def _planner() -> None:
    """What a run loads beside Ansible, but for what remembers the process that has loaded it: each call has to do
    that."""
    import ansible.cli.playbook  # noqa: F401

    import podlab.controller.manifests
    import podlab.controller.schema
    import podlab.controller.transport
    import podlab.planner.plan  # noqa: F401

    assert "podlab.controller.caller" not in sys.modules


def _playbook() -> Main:
    """Ansible and the planner."""
    sys.path[:1] = [str(ROOT / "module_utils"), str(ROOT)]
    _planner()
    from ansible.cli import playbook

    def main(argv: Sequence[str]) -> None:
        sys.argv = ["ansible-playbook", *argv]
        playbook.main(sys.argv)

    return main


PROGRAMS = {"lab": _lab, "lab up": _playing, "ansible-playbook": _playbook}


def serve(program: str, path: str) -> NoReturn:
    """Say ``ready`` as soon as somebody may call, and end with standard input."""
    main = PROGRAMS[program]()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    threading.Thread(target=_end_with_input, args=(path,), daemon=True).start()
    print("ready", flush=True)
    while True:
        wire, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(wire, main)
        wire.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _end_with_input(path: str) -> None:
    os.read(0, 1)  # not by a Python file: each fork would find the lock of that taken
    shutil.rmtree(os.path.dirname(path), ignore_errors=True)
    os._exit(0)


def _answer(wire: socket.socket, main: Main) -> NoReturn:
    """In a process of the call's own."""
    _, rights, _, _ = wire.recvmsg(1, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    streams = array.array("i", rights[0][2])
    call = json.loads(b"".join(iter(lambda: wire.recv(1 << 16), b"")))
    child = os.fork()
    if child == 0:
        wire.close()
        _become(call, streams, main)
    for stream in (*streams, 0, 1, 2):  # or who reads the other end of it waits for this process
        os.close(stream)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wire.sendall(b"%d" % (code if code >= 0 else 128 - code))
    os._exit(0)


def _become(call: Mapping[str, Any], streams: Sequence[int], main: Main) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    code: Any = 1
    try:
        code = main(call["argv"])
    except SystemExit as end:
        code = end.code
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


# --- who calls ------------------------------------------------------------------------------------------


class Loaded:
    """A program that is loaded."""

    def __init__(self, program: str, environment: Mapping[str, str], prefix: Sequence[str], directory: str) -> None:
        self.home = tempfile.mkdtemp(prefix="preforked-", dir=directory or None)
        if prefix:
            os.chmod(self.home, 0o1777)
        self.path = f"{self.home}/socket"
        self.environment = dict(environment)
        argv = [*prefix, sys.executable, str(Path(__file__)), program, self.path]
        self.server = subprocess.Popen(
            argv, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == b"ready\n"

    def argv(self, *argv: str) -> list[str]:
        """What calls it."""
        return [sys.executable, "-IS", "-c", CLIENT, self.path, *argv]

    def run(
        self, *argv: str, text: str = "", environment: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run`` of the program with these words."""
        own = self.environment if environment is None else dict(environment)
        streams: dict[str, Any] = {"input": text, "capture_output": True, "text": True}
        return subprocess.run(self.argv(*argv), cwd=cwd, env=own, timeout=600, check=False, **streams)

    def close(self) -> None:
        with self.server:
            assert self.server.stdin is not None
            self.server.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(10)
            self.server.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def _settled(environment: Mapping[str, str]) -> dict[str, str]:
    """As the shell script ``lab`` has it."""
    return {**environment, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


@contextlib.contextmanager
def lab(
    environment: Mapping[str, str], prefix: Sequence[str] = (), directory: str = "", program: str = "lab"
) -> Iterator[Loaded]:
    """``./lab``, for its quick verbs.

    :param prefix: makes a command an ordinary user's.
    :param directory: where that user may write.
    :param program: ``lab up`` is for the verbs that play a playbook; or ``ansible-playbook``.
    """
    loaded = Loaded(program, _settled(environment), prefix, directory)
    try:
        yield loaded
    finally:
        loaded.close()


READ_ONCE = ("ANSIBLE_", "PYTHON", "LC_", "LANG", "XDG_", "HOME", "USER", "TMPDIR", "NO_COLOR")
"""How the variables begin that a program reads when it is loaded."""


@functools.cache
def _kept(program: str, read_once: tuple[tuple[str, str], ...]) -> Loaded:
    """One with these variables, as long as this process runs."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(READ_ONCE)}
    loaded = Loaded(program, others | dict(read_once), (), "")
    atexit.register(loaded.close)
    return loaded


def _kept_for(program: str, environment: Mapping[str, str]) -> Loaded:
    return _kept(program, tuple(sorted(item for item in environment.items() if item[0].startswith(READ_ONCE))))


def _run(
    program: str, argv: Sequence[str], environment: Mapping[str, str], text: str = "", cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return _kept_for(program, environment).run(*argv, environment=environment, text=text, cwd=cwd)


def play(argv: Sequence[str], environment: Mapping[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of this command. What does not begin with ``ansible-playbook`` is run just so."""
    if argv[0] == "ansible-playbook":
        return _run(argv[0], argv[1:], environment, cwd=cwd)
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    return subprocess.run(argv, cwd=cwd, env=environment, check=False, **streams)


def look(argv: Sequence[str], environment: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of ``./lab`` with one of its quick verbs."""
    return _run("lab", argv, _settled(environment), text)


def up(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of ``./lab`` with a verb that plays a playbook."""
    return _run("lab up", argv, _settled(environment))


def on_path(directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """These variables for a program that calls ``ansible-playbook`` by its name: in ``directory`` it finds this one."""
    call = directory / "ansible-playbook"
    call.write_text(f'#!/bin/sh\nexec {shlex.join(_kept_for(call.name, environment).argv())} "$@"\n', "utf-8")
    call.chmod(0o755)
    return {**environment, "PATH": f"{directory}:{environment['PATH']}"}


if __name__ == "__main__":
    serve(*sys.argv[1:])

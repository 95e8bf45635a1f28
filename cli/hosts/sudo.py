"""sudo's password for a command whose own input is not podlab's: a process on the host keeps it, in its memory."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from ..session import STREAMS
from .call import HostUnreachable

ASKPASS = Path(__file__).with_name("askpass.py")
_askpasses: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
_one_at_a_time = threading.Lock()


def askpass(name: str, command: Sequence[str], password: str, patience: float) -> str:
    """The program on a host that gives the password to sudo (SUDO_ASKPASS).

    A process there keeps the password for as long as this one lives, also as the ssh that it may become.

    :param command: what to run here so that ``askpass.py`` runs there.
    :param patience: seconds.
    :raises HostUnreachable: the host does not answer.
    """
    with _one_at_a_time:
        if name not in _askpasses:
            _askpasses[name] = _leave_password(command, password, patience)
        return _askpasses[name][0]


def _leave_password(command: Sequence[str], password: str, patience: float) -> tuple[str, subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    # In a session of its own it gets no signal from keys: Ctrl-C is for the command.
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    with contextlib.suppress(BrokenPipeError):  # its last words say why
        child.stdin.write(f"{password}\n".encode())
        child.stdin.flush()
    _keep_open()
    if not select.select([child.stdout], [], [], patience)[0]:
        child.kill()
        raise HostUnreachable(f"not within {patience:g} s")
    if path := child.stdout.readline().decode().strip():
        return path, child
    raise HostUnreachable((child.stderr.read().decode(errors="replace").splitlines() or ["it ends without a word"])[-1])


def _keep_open() -> None:
    """What is open here, until this process ends, whatever program it is by then: ssh closes what it does not know."""
    ended = os.pidfd_open(os.getpid())
    if os.fork() == 0:
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in STREAMS:
                os.dup2(nothing, stream)
            select.select([ended], [], [])
        finally:
            os._exit(0)
    os.close(ended)

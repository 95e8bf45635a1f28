"""What a run is to the shell that it was started from, and its workers to the run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MOST_FILES = 1048576  # as podlab's unit has it under systemd

_libc = ctypes.CDLL(None, use_errno=True)


def end_workers_with_run() -> None:
    """Let every process that this one forks from now on end as it does, however that is: Ansible hands on TERM and INT,
    but a run that is killed, or hung up, would leave workers behind that wait for it on a pipe for ever.

    Not from an action plugin's ``run``: a worker may wait before it comes to that, and other modules' tasks have none.
    Ansible's own handler of TERM takes along what the worker has started: nsenter, ssh, the module.
    """
    if not _registered:
        os.register_at_fork(after_in_child=_end_with_parent)
        _registered.append(True)


_registered: list[bool] = []
_run = os.getpid()


def _end_with_parent() -> None:
    if os.getppid() == _run:  # a grandchild has somebody else to care for it
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != _run:  # it has ended in this very moment
            os._exit(1)


def forget_the_shell() -> None:
    """Give what this process starts in a lab the umask, limit of open files and priority that it would have at boot,
    as far as the user may: containers live on with them."""
    os.umask(0o022)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, MOST_FILES), most):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            break
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)

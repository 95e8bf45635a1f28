"""The supervisor of this host, s6-svscan, and whether it looks after a service directory."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

from ... import seccomp
from ...changes.pods.paths import SCAN_DIR
from ...changes.pods.s6_commands import SUPERVISOR, UNIT
from ..kubelet import s6
from ..record import make_directory
from ..run import HostError, daemon, run, wait_until
from . import lost_supervisors


def is_supervised(service: str) -> bool:
    """Whether a supervisor listens at a service directory: what s6-svok asks, without a process for it."""
    return _fifo_has_reader(f"{service}/supervise/control")


def is_running() -> bool:
    return _fifo_has_reader(f"{SCAN_DIR}/.s6-svscan/control")


def _fifo_has_reader(path: str) -> bool:
    try:
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def ensure() -> None:
    """s6-svscan watches over every container of this host. Under systemd it is a unit of its own, so that
    it belongs to no login session; elsewhere a daemon. Both run the same command."""
    if is_running():
        return
    lost_supervisors.end()
    make_directory(SCAN_DIR)
    if os.path.isdir("/run/systemd/system"):
        run(["systemctl", "reset-failed", "podlab.service"]) if _unit_failed() else None
        run([*UNIT, *SUPERVISOR])
    else:
        daemon(SUPERVISOR, seccomp.installer(os.uname().machine))
    wait_until(is_running, seconds=10.0)
    if not is_running():
        raise HostError(f"s6-svscan does not answer at {SCAN_DIR}")


def _unit_failed() -> bool:
    return subprocess.run(["systemctl", "is-failed", "--quiet", "podlab.service"]).returncode == 0


def stop() -> None:
    if is_running():
        run(["s6-svscanctl", "-t", SCAN_DIR])
        wait_until(lambda: not is_running(), seconds=10.0)


def stop_daemon(directory: str) -> None:
    """End one of podlab's own daemons, whether or not its supervisor can still be told to, and take it away."""
    if is_supervised(directory):
        s6.control(directory, b"dx")
        wait_until(lambda: not is_supervised(directory), seconds=10.0)
        if is_running():
            run(["s6-svscanctl", "-an", SCAN_DIR])
    shutil.rmtree(directory, ignore_errors=True)
    lost_supervisors.end()

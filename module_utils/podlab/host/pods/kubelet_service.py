"""The kubelet of this host, as a service of the supervisor's."""

from __future__ import annotations

import os
import shutil
import sys

from ...changes.pods.containers import kubelet_script
from ...changes.pods.paths import IMAGES, SCAN_DIR
from ...changes.pods.s6_commands import KUBELET
from ..kubelet import s6
from ..record import make_directory
from ..run import HostError, run, wait_until
from . import supervisor
from .containers import write


def lives() -> bool:
    """Whether the kubelet is supervised, and meant to run: its supervisor sees to the rest."""
    return supervisor.is_supervised(KUBELET) and s6.is_wanted(KUBELET)


def start() -> None:
    """Put the kubelet under supervision, in place of one that was stopped by hand.

    :raises HostError: its program is not there.
    """
    program = f"{IMAGES}/kubelet"
    if not os.path.exists(program):
        raise HostError(f"{program}: not found; pods with init containers, probes or hooks need it")
    stop()
    building = f"{SCAN_DIR}/.new/kubelet"
    shutil.rmtree(building, ignore_errors=True)
    make_directory(f"{building}/logs")
    write(f"{building}/run", kubelet_script(sys.executable or "/usr/bin/python3", program))
    os.rename(building, KUBELET)
    supervisor.ensure()
    run(["s6-svscanctl", "-a", SCAN_DIR])
    wait_until(lives, seconds=60.0)


def reload() -> None:
    """Tell it that rows have changed. It would see it within a second by itself."""
    s6.control(KUBELET, b"h")


def restart() -> None:
    """Let it run the program that is there now. What it knows is in files."""
    s6.control(KUBELET, b"t")


def stop() -> None:
    supervisor.stop_daemon(KUBELET)  # with TERM: it takes its probes along

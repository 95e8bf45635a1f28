"""This run, as hosts are told of it, and whether another one is still at work (``host.lease``)."""

from __future__ import annotations

import getpass
import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping

from ..host.lease import TIMEOUT, Caller
from ..host.record import text_of
from ..planner.inputs.host import Host
from ..records.observation import ObservedLease
from ..shapes import misfit

_process = os.getpid()  # Ansible loads this before it forks its workers
_run = uuid.uuid4().hex
_began = time.strftime("%H:%M:%S")


def _machine() -> str:
    """This machine since it was started, and the processes that are seen here."""
    boot = (text_of("/proc/sys/kernel/random/boot_id") or "").strip()
    return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"


def _beginning(process: int) -> str:
    """When a process began, in the kernel's words; empty if there is none (proc(5), field 22 of stat)."""
    fields = (text_of(f"/proc/{process}/stat") or "").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""


def told(seen: str | None) -> Caller:
    """:param seen: the stamp of the lease that this run has found on the host, for ``host.lease.take``."""
    user = os.environ.get("SUDO_USER") or _user()
    return {
        "run": _run,
        "who": f"{user}@{socket.gethostname()} (process {_process}, since {_began})",
        "machine": _machine(),
        "process": _process,
        "began": _beginning(_process),
        "seen": seen,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name
        return str(os.getuid())


def at_work(lease: ObservedLease | None) -> str:
    """Which other run is at work on a host with this lease; empty if none is."""
    if not lease or lease["run"] == _run:
        return ""
    if lease["machine"] == _machine():
        return str(lease["who"]) if _beginning(lease["process"]) == lease["began"] else ""
    # Less than nothing: the host's clock was set back, as that of a machine out of a snapshot is.
    return str(lease["who"]) if 0 <= lease["age"] < TIMEOUT else ""


def leases_of(hosts: Iterable[Host]) -> dict[str, ObservedLease | None]:
    """What the hosts have told of it that answer and take part: so ``--limit`` leaves out one that lies."""
    told = {host.name: host.observation for host in hosts if host.in_run}
    seen = {name: found.get("lease") for name, found in told.items() if isinstance(found, dict)}
    return {name: None if misfit(lease, ObservedLease) else lease for name, lease in seen.items()}


def refusal(leases: Mapping[str, ObservedLease | None]) -> str:
    """In words, which other runs are at work where; empty if none is."""
    found: dict[str, list[str]] = {}
    for name, lease in leases.items():
        if who := at_work(lease):
            found.setdefault(who, []).append(name)
    lines = [f"{who} is at work on {', '.join(names)}" for who, names in found.items()]
    return "\n".join([*lines, "nothing was changed; wait for its end, and run this again"]) if lines else ""

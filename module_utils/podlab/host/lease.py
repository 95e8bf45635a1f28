"""Which run is at work on this host: of two at once, from whatever machines, one is refused.

A run that has something to write says so here, and writes on only as long as nobody else has said so since it looked at
the host. So a plan that is out of date changes nothing, however long its run was silent. Whether another run is still
at work is for that run's plan to say, which knows if its process is alive (``controller.caller``): a lease is only a
file, and nobody has to take it away. A lock that a process here holds was rejected: Ansible has none that lives as long
as a run.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ..records.observation import Lease, ObservedLease, Run
from ..shapes import misfit
from . import record
from .run import HostError

PATH = f"{record.HOME}/lease.json"
TIMEOUT = 60.0
"""Seconds after its last word that a run counts as at work, where nothing else is known of it."""


class Caller(Run):
    """A run as it comes to a host (``controller.caller``). ``seen`` is the stamp that it has found there, or None where
    it has not looked (a role that is used alone)."""

    seen: str | None


def read() -> Lease | None:
    """What the last run has said; None where there is none, or it is damaged."""
    try:
        found: Any = json.loads(record.text_of(PATH) or "null")
    except (ValueError, RecursionError):
        return None
    return None if misfit(found, Lease) else found


def observe() -> ObservedLease | None:
    """That, with the seconds since then by this host's clock."""
    found = read()
    return None if found is None else {**found, "age": time.time() - found["renewed"]}


def stamp(found: Lease | None) -> str:
    return "" if found is None else f"{found['run']} {found['renewed']}"


def take(caller: Caller | None) -> None:
    """:param caller: None: somebody runs a module by hand.
    :raises HostError: another run has begun to write since.
    """
    if caller is None:
        return
    found, seen = read(), caller["seen"]
    if found and found["run"] != caller["run"] and seen not in (None, stamp(found)):
        raise HostError(
            f"{found['who']} is at work on this host, or was since this run has looked at it; "
            "nothing was changed here: wait for its end, and run this again"
        )
    lease: Lease = {
        "run": caller["run"],
        "who": caller["who"],
        "machine": caller["machine"],
        "process": caller["process"],
        "began": caller["began"],
        "renewed": time.time(),
    }
    record.make_directory(record.HOME)
    record.write_file(PATH, json.dumps(lease) + "\n")

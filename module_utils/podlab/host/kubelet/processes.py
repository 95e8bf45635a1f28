"""What the kernel tells of processes: proc(5)."""

from __future__ import annotations

import signal

from .files import read_text

DEAD = ("", "Z", "X")  # states of a process


def name_and_state(pid: int) -> tuple[str, str]:
    """Empty if there is no such process; the name, whatever it holds, stands in brackets."""
    head, _, tail = read_text(f"/proc/{pid}/stat").rpartition(") ")
    return head.partition("(")[2], tail[:1]


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    return name_and_state(pid)[1] not in DEAD


def children(pid: int) -> list[int]:
    return [int(child) for child in read_text(f"/proc/{pid}/task/{pid}/children").split()]


def sigterm_disposition(pid: int) -> str:
    """``caught``, ``blocked`` or ``ignored``: the kernel gives process 1 of a PID namespace only signals that it has a
    handler for (SigCgt), or may read from a descriptor (SigBlk). Any other process dies of SIGTERM or has chosen not
    to, and counts as one that has caught it."""
    facts = dict(line.split(":\t", 1) for line in read_text(f"/proc/{pid}/status").splitlines() if ":\t" in line)
    bit = 1 << (signal.SIGTERM - 1)
    if int(facts.get("SigCgt", "0"), 16) & bit or facts.get("NSpid", "1").split()[-1] != "1":
        return "caught"
    return "blocked" if int(facts.get("SigBlk", "0"), 16) & bit else "ignored"

"""The machine is the same before, during and after, also when a run is killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12
LONGEST = 3.5  # seconds within which the kills fall: about what a whole `up` takes

# What changes by itself, whatever runs on the machine.
RESTLESS = ("kernel.random.", "kernel.ns_last_pid", "fs.", "kernel.pty.nr", "net.netfilter.nf_conntrack_count")


def snapshot() -> dict[str, list[str]]:
    """Links, addresses, routes, rules, sysctls and mounts of the machine."""
    questions = {
        "links": ["ip", "-o", "link", "show"],
        "addresses": ["ip", "-o", "addr", "show"],
        "routes": ["ip", "route", "show", "table", "all"],
        "rules": ["ip", "rule", "show"],
        "namespaces": ["ip", "netns", "list"],
        "sysctls": ["sysctl", "-a"],
        "mounts": ["cat", "/proc/self/mounts"],
    }
    if os.getuid() == 0:
        questions["iptables"] = ["iptables-save"]
    found = {}
    for name, question in questions.items():
        answer = subprocess.run(question, capture_output=True, text=True, check=False, env=with_sbin()).stdout
        found[name] = sorted(
            line
            for line in answer.splitlines()
            if not line.startswith(RESTLESS) and not line.startswith("#") and "valid_lft" not in line
        )
    return found


def processes(lab: str) -> list[str]:
    """Command lines of everything that belongs to the lab, or was started by it."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if f"{ROOT} {lab}" in line or f"PODLAB_LAB={lab}" in line]


def with_sbin() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"}


@pytest.fixture
def lab() -> Iterator[str]:
    name = f"sealed-{os.getpid()}"
    yield name
    down(name)


def command(lab: str, verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(ROOT / "lab"), verb],
        cwd=ROOT,
        env=with_sbin() | {"PODLAB_LAB": lab},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def down(lab: str) -> None:
    finish(command(lab, "down"))


def wait_for_group(group: int) -> None:
    """Until the last process of a killed group is gone."""
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def test_up_and_down_leave_the_machine_as_it_was(lab):
    before = snapshot()
    finish(command(lab, "up"))
    assert snapshot() == before  # sealed while it is on, too
    down(lab)
    assert snapshot() == before
    assert processes(lab) == []


# One in each part of that time, where chance alone leaves gaps.
MOMENTS = [round((n + random.Random(n).random()) * LONGEST / KILLS, 2) for n in range(KILLS)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment_can_be_taken_away_or_finished(lab, moment):
    before = snapshot()
    process = command(lab, "up")
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for_group(process.pid)
    if MOMENTS.index(moment) % 4 == 3:  # every fourth one is finished instead
        finish(command(lab, "up"))
    down(lab)
    assert snapshot() == before
    assert processes(lab) == []

"""A run that is interrupted while it starts a lab leaves no part of one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podlab.embedded import Lab

from .conftest import ROOT

INVENTORY = """
all:
  vars: {ansible_connection: embedded, ansible_python_interpreter: /usr/bin/python3}
  children:
    embedded:
      children:
        nodes:
          hosts:
            node1: {ansible_host: 10.100.0.2}
            node2: {ansible_host: 10.100.0.3}
"""
TIMEOUT = 30.0


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def children(pid: int) -> list[int]:
    try:
        texts = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it, or one of its threads, has ended meanwhile
        return []
    return [int(word) for text in texts for word in text.split()]


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return [*below, *(deeper for child in below for deeper in descendants(child))]


def booting(pid: int) -> list[int]:
    """Of a run: the process that makes hosts in the lab, seen by the beginning of its program."""
    found = []
    for child in descendants(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"/usr/bin/python3\0-IS\0-c\0"):
            found.append(child)
    return found


@pytest.fixture
def name() -> Iterator[str]:
    name = f"interrupted-{uuid.uuid4().hex[:8]}"
    yield name
    Lab(str(ROOT), name).power_off()


@contextlib.contextmanager
def lighting(name: str, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A run, and the boot of its lab, which is held back by a stop, so that it is under way."""
    (home / "hosts.yml").write_text(INVENTORY)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = os.environ | {"PODLAB_LAB": name, "PATH": path}
    argv = [str(ROOT / "lab"), "up", "-i", str(home / "hosts.yml")]
    null = subprocess.DEVNULL
    with subprocess.Popen(argv, env=environment, stdin=null, stdout=null, stderr=null, start_new_session=True) as run:
        try:
            wait_for(lambda: booting(run.pid) or run.poll() is not None)
            (boot,) = booting(run.pid)
            os.kill(boot, signal.SIGSTOP)
            yield run, boot
            assert run.wait(TIMEOUT) != 0
        finally:
            run.kill()
    wait_for(lambda: not Path(f"/proc/{boot}").exists())
    wait_for(lambda: Lab(str(ROOT), name).lab_init() is None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_while_it_lights_a_lab_leaves_none(
    name: str, tmp_path: Path, number: signal.Signals
) -> None:
    with lighting(name, tmp_path) as (run, _):
        os.killpg(run.pid, number)  # as the terminal does it


def test_a_worker_that_is_killed_while_it_lights_a_lab_leaves_none(name: str, tmp_path: Path) -> None:
    """As Ansible does with one that does not end in time."""
    with lighting(name, tmp_path) as (run, boot):
        worker = next(child for child in children(run.pid) if boot in descendants(child))
        nsenter = [child for child in descendants(worker) if boot in children(child)]
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: Lab(str(ROOT), name).lab_init() is None)
        for stopped in nsenter:  # nsenter stops with what it has entered for, and would never hear of its end
            os.kill(stopped, signal.SIGCONT)

"""Which processes hold the namespaces of this host's pods, whoever else bears their words."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.host import status

OWN = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else [])]


@pytest.fixture
def netns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(status, "PODS", str(tmp_path))
    name = f"default_{uuid.uuid4().hex[:8]}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "pid").touch()
    return name


@contextlib.contextmanager
def running(*argv: str, netns: str) -> Iterator[int]:
    """A command that ends in a pause, or in what looks like one: the pid of that."""
    words = "\0".join([*status.PAUSE, netns, ""]).encode()
    with subprocess.Popen([*argv, *status.PAUSE, netns]) as process:
        try:
            while not (found := [pid for pid in filter(str.isdigit, os.listdir("/proc")) if cmdline(pid) == words]):
                assert process.poll() is None
                time.sleep(0.01)
            yield int(found[0])
        finally:
            process.kill()
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)


def cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def sharing(netns: str) -> list[str]:
    return ["unshare", f"--pid={status.PODS}/{netns}/pid", "--fork"]


def test_that_of_a_plain_pod_is_in_the_hosts_pid_namespace(netns: str) -> None:
    with running(netns=netns) as pid:
        assert status.pauses()[netns] == pid


def test_that_of_a_pod_that_shares_its_processes_is_below_the_one_that_has_made_their_namespace(netns: str) -> None:
    with running(*OWN, *sharing(netns), netns=netns) as pid:
        assert status.pauses()[netns] == pid


@pytest.mark.parametrize("way", ["process 1", "not process 1", "sharing"])
def test_a_container_that_calls_itself_one_is_none(netns: str, way: str) -> None:
    words = {"process 1": [], "not process 1": ["sh", "-c", '"$@"; exit', "sh"], "sharing": sharing(netns)}[way]
    with running(*OWN, "--pid", "--fork", "--mount-proc", *words, netns=netns):
        assert netns not in status.pauses()

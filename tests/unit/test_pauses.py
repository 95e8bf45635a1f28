"""Which processes hold the namespaces of this host's pods, whoever else bears their words."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from podlab.host.pods import status

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


# --- what a process says of itself -------------------------------------------------------------------

ENDLESS = """
import ctypes, mmap, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.sbrk.restype = ctypes.c_void_p
size = 1 << 44
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
start = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, flags, -1, 0)
with open("/proc/self/stat") as file:
    field = [0, 0, 0, *map(int, file.read().rpartition(") ")[2].split()[1:])]  # of proc(5), from the fourth on
code, stack, data, environ = field[25:27], field[27], field[44:46], field[49:51]
brk = field[46], libc.sbrk(0)


class Map(ctypes.Structure):
    _fields_ = [("places", ctypes.c_uint64 * 12), ("auxv_size", ctypes.c_uint32), ("exe", ctypes.c_uint32)]


places = (ctypes.c_uint64 * 12)(*code, *data, *brk, stack, start, start + size, *environ, 0)
told = Map(places, 0, 0xFFFFFFFF)
if libc.prctl(35, 14, ctypes.byref(told), ctypes.c_ulong(ctypes.sizeof(told)), 0):  # PR_SET_MM, PR_SET_MM_MAP
    raise SystemExit(f"no such kernel: {os.strerror(ctypes.get_errno())}")
print("told", flush=True)
signal.pause()
"""


def test_a_command_line_without_end_is_not_read_to_its_end() -> None:
    """A program of a pod makes one without any privilege; every process of the machine is looked at, though."""
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "told\n"
            assert len(status.command_line(process.pid)) < 1 << 17
        finally:
            process.kill()


def test_a_command_line_that_is_cut_is_no_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel hands one out where its process changes the last byte meanwhile: no test has that when it wants."""
    read = status.command_line
    lines = {str(os.getpid()): list(status.PAUSE)}
    monkeypatch.setattr(status, "command_line", lambda pid: lines.get(pid) or read(pid))
    before = status.pauses()
    lines[str(os.getpid())] = [*status.PAUSE, "a_b"]
    assert set(status.pauses()) - set(before) == {"a_b"}

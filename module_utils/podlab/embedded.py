"""The embedded lab seen from the machine: find it, start it, enter it, stop it.

A lab is one process tree and nothing else. Its root, the lab's init, is ``catatonit -P`` in a user
namespace; below it every embedded host is another ``catatonit -P`` in namespaces of its own. Who
they are stands in their command lines, so there is no state file that could be stale: what ``ps``
shows is what there is, and killing the lab's init takes everything with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import entry, user_namespace
from .controller.process import run_attended
from .controller.single_file import join
from .entry import enter as enter
from .host.pods.status import command_line

# What every process of the lab starts with: nothing of the caller's environment leaks in.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
KILL_AFTER = """
import select, signal, sys
other, process = map(int, sys.argv[1:])
select.select([other], [], [])
signal.pidfd_send_signal(process, signal.SIGKILL)
"""


# As systemd has them for containerd; what limits a pod is its own business.
LIMITS = {
    **dict.fromkeys(
        (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC),
        resource.RLIM_INFINITY,
    ),
    resource.RLIMIT_NOFILE: 1048576,
}


class PowerError(RuntimeError):
    """The lab cannot be lit; the text says why and what to do."""


@dataclass(frozen=True)
class Lab:
    """One lab: it belongs to a clone and to the user who asks; the name tells two of them apart."""

    clone: str
    name: str = "default"

    @property
    def _holder_argv(self) -> tuple[str, ...]:
        return ("catatonit", "-P", "podlab-lab", self.clone, self.name)

    @property
    def _host_argv(self) -> tuple[str, ...]:
        return ("catatonit", "-P", "podlab-host", self.clone, self.name)

    def lab_init(self) -> int | None:
        """Pid of the lab's init, or None while the lab is off."""
        for process in _own_processes():
            # The first process of a pid namespace right below ours: nobody in a lab can be that.
            if process.argv == self._holder_argv and process.pids[1:] == (1,):
                return process.pids[0]
        return None

    def hosts(self) -> dict[str, int]:
        """Embedded hosts that are on: name -> pid of their init, as the machine counts pids."""
        return {name: pid for name, pid, _ in self._booted()}

    def find(self, name_or_address: str) -> int | None:
        """Pid of the init of the host with this name, or with this address on one of its interfaces."""
        # A host's init is older than all that it holds: with a thousand pods most of /proc is never read.
        for name, pid, interfaces in self._booted():
            if name_or_address == name or name_or_address in {interface.split("/")[0] for interface in interfaces}:
                return pid
        return None

    def _booted(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """Name, pid of the init and interfaces of each host, by its keeper: what an init says of itself its host can
        change.

        The word of a process is not enough for a keeper, either: any pod may call itself so. A child of the lab's init,
        in the lab init's pid namespace, it cannot be.
        """
        depth, lab_init = len(self._host_argv), None
        for process in _own_processes():
            argv = process.argv
            if argv[:depth] != self._host_argv or len(argv) == depth or len(process.pids) != 2:
                continue
            lab_init = lab_init or self.lab_init()
            if process.parent == lab_init and (init := _child_of(process.pids[0])):
                yield argv[depth], init, argv[depth + 1 :]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One power switch at a time in one clone. The directory itself is the lock: no file is left."""
        directory = os.open(self.clone, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def power_on(self, hosts: Sequence[Mapping[str, Any]], *, check: bool, until_exit_of: int) -> list[str]:
        """Make the lab hold exactly ``hosts``; return what was done, a sentence each.

        ``hosts`` are ``{"name", "interfaces": ["10.0.0.1/24"], "gateway": "10.0.0.254" | None}``. In check mode a
        running lab is only compared. One that is off is lit for the length of the run (until the process
        ``until_exit_of`` ends), so that the run has bare hosts to look at; it leaves nothing behind.
        """
        usual_limits()
        with self.lock():
            lab_init = self.lab_init()
            if lab_init is not None:
                return self._wire(lab_init, hosts, check=check)
            lab_init = self._start()
            if check:
                _kill_after(until_exit_of, lab_init)
            # Half a lab is none, also where this process is killed, as Ansible kills a worker that is late to end.
            with _kill_after(os.getpid(), lab_init) as guard:
                try:
                    return self._wire(lab_init, hosts, check=False)
                except BaseException:  # Ctrl-C as well
                    _kill(lab_init)
                    raise
                finally:
                    guard.kill()

    def power_off(self) -> bool:
        """Kill the lab's init and wait until the kernel has taken it away; False if the lab was off."""
        with self.lock():
            lab_init = self.lab_init()
            if lab_init is None:
                return False
            _kill(lab_init)
            return True

    def _start(self) -> int:
        """Start the lab's init: first the user namespace and its id maps, then all others inside of it."""
        # It only keeps the user namespace until the lab's init is in it. (unshare --map-users needs newuidmap and
        # /etc/subuid.)
        first = subprocess.Popen(
            ["unshare", "--user", "sh", "-c", "read -r _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
            text=True,
        )
        try:
            _wait_for(lambda: user_namespace.is_own(first.pid) or first.poll() is not None)
            user_namespace.map_ids(first.pid)
            second = self._start_holder(first.pid)
            _wait_for(lambda: self.lab_init() is not None or second.poll() is not None)
        except (OSError, subprocess.SubprocessError) as error:
            first.kill()
            raise PowerError(user_namespace.why_none(first, error)) from error
        finally:
            assert first.stdin is not None
            first.stdin.close()
        first.wait()
        lab_init = self.lab_init()
        if lab_init is None:
            raise PowerError(user_namespace.why_none(second, None))
        return lab_init

    def _start_holder(self, pid: int) -> subprocess.Popen[str]:
        namespaces = ["--net", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--mount-proc"]
        return subprocess.Popen(
            ["unshare", *namespaces, "--kill-child", "--", *self._holder_argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=entry.seal(pid),
            cwd="/",
            env=ENVIRONMENT,
            text=True,
        )

    def _wire(self, lab_init: int, hosts: Sequence[Mapping[str, Any]], *, check: bool) -> list[str]:
        # Its text, as the clone may lie where the lab cannot read it.
        program = join(Path(self.clone, "embedded", "boot"))
        order = {"identity": list(self._host_argv), "hosts": list(hosts), "check": check}
        code, out, err = run_attended(
            [*entry.command(lab_init, "mnpiuC"), "/usr/bin/python3", "-IS", "-c", program],
            json.dumps(order),
            text=True,
            env=ENVIRONMENT,
            preexec_fn=entry.seal(lab_init),
        )
        if code in (-signal.SIGINT, -signal.SIGTERM):
            raise PowerError("The embedded hosts were not powered on: interrupted")
        if code:
            words = err.strip()
            raise PowerError(
                f"The embedded hosts could not be powered on: {words}{user_namespace.more_namespaces(words)}"
            )
        done: list[str] = json.loads(out)
        return done


def usual_limits() -> None:
    """Give this process, and so all that it starts in a lab, the limits of a service and not those of a shell in which
    somebody has typed ``ulimit``. Root may raise all of them; anybody else what he has lowered softly."""
    for what, wanted in LIMITS.items():
        _, hard = resource.getrlimit(what)
        with contextlib.suppress(ValueError, OSError):  # fs.nr_open is lower, or this is a container
            if os.getuid() == 0:
                resource.setrlimit(what, (wanted, wanted))
                continue
        _, hard = resource.getrlimit(what)
        soft = hard if wanted == resource.RLIM_INFINITY or -1 < hard < wanted else wanted
        resource.setrlimit(what, (soft, hard))


@dataclass(frozen=True)
class _Process:
    """One that calls itself catatonit: its pids from our pid namespace down to its own, its parent, its words."""

    pids: tuple[int, ...]
    parent: int
    argv: tuple[str, ...]


def _own_processes() -> Iterator[_Process]:
    """Those of this user's labs. Those of others are never looked at."""
    me = os.getuid() or user_namespace.UNUSED_IDS
    for found in os.scandir("/proc"):
        if not found.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            argv = command_line(found.name)
            if argv[:1] != ["catatonit"]:
                continue
            # As bytes: a process names itself, with any of them but the one that ends a line.
            lines = Path(f"/proc/{found.name}/status").read_bytes().split(b"\n")
            status = {key: value for key, _, value in (line.partition(b":") for line in lines)}
            if int(status[b"Uid"].split()[1]) == me:
                yield _Process(tuple(map(int, status[b"NSpid"].split())), int(status[b"PPid"]), tuple(argv))


def _child_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return next(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()), None)
    return None


def _wait_for(condition: Any, seconds: float = 10.0) -> None:
    """Poll a fact of /proc, for which the kernel offers nothing to wait on."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def _kill(pid: int) -> None:
    """Kill one process and wait until it is gone: the kernel ends its pid namespace with it."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], 10)
        finally:
            os.close(descriptor)


def _kill_after(other: int, pid: int) -> subprocess.Popen[bytes]:
    """Kill ``pid`` once the process ``other`` has ended, however it ended, unless the returned one has ended before.

    By descriptors, not by numbers: somebody else may have a number by then.
    """
    watched = [os.pidfd_open(other), os.pidfd_open(pid)]
    try:
        return subprocess.Popen(
            [sys.executable, "-IS", "-c", KILL_AFTER, *map(str, watched)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=watched,
        )
    finally:
        for descriptor in watched:
            os.close(descriptor)

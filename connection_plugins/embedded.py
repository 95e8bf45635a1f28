"""How Ansible enters an embedded host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "module_utils"))

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

from podlab import entry
from podlab.controller import process
from podlab.embedded import ENVIRONMENT, Lab, usual_limits

DOCUMENTATION = """
name: embedded
short_description: Enter an embedded host of podlab
description:
  - Runs commands in the namespaces of an embedded host with C(nsenter), which is what SSH is to a real one.
  - The host is found by the command line of its init process; there is no file to go stale.
author: podlab
options:
  remote_addr:
    description: Name of the embedded host, or an address of one of its interfaces.
    default: inventory_hostname
    vars: [{name: inventory_hostname}, {name: ansible_host}]
  lab:
    description: Which lab of this clone and user the host belongs to.
    default: default
    env: [{name: PODLAB_LAB}]
    vars: [{name: podlab_lab}]
  silence:
    description: Seconds after which a host is given up whose processes are stopped while it is to run something.
    type: float
    default: 15
    env: [{name: PODLAB_SILENCE}]
    vars: [{name: podlab_silence}]
"""


class Connection(ConnectionBase):
    """A connection is the pid of the host's init, looked up once."""

    transport = "embedded"
    has_pipelining = True

    def _connect(self) -> Connection:
        if not self._connected:
            usual_limits()
            # The play's context, not the option: the option does not follow delegate_to.
            name, lab = self._name, self.get_option("lab")
            self._pid = Lab(ROOT, lab).find(name)
            if self._pid is None:
                raise AnsibleConnectionFailure(
                    f"The embedded host {name} of lab {lab} is off. ./lab up (or playbooks/power_on.yml) starts it."
                )
            process.forget_the_shell()
            self._connected = True
        return self

    def _run(self, argv: list[str], stdin: bytes | None = None) -> tuple[int, bytes, bytes]:
        self._connect()
        environment = ENVIRONMENT | {"HOME": "/root", "TERM": os.environ.get("TERM", "dumb")}
        started: list[subprocess.Popen[bytes]] = []
        with process.handing_on(started, (signal.SIGINT, signal.SIGTERM), former=True):
            try:
                with process.deferred():
                    child = subprocess.Popen(
                        [*entry.command(self._pid), *argv],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        preexec_fn=entry.seal(self._pid),
                        env=environment,
                    )
                    started.append(child)
            except subprocess.SubprocessError:  # all that Popen tells of what ``seal`` raises
                raise self._gone("cannot be entered") from None
            with child:
                try:
                    out, err = process.communicate(child, stdin or b"", watch=self._watch(child.pid))
                except process.TooLong as error:
                    child.kill()
                    raise AnsibleConnectionFailure(f"The embedded host {self._name}: {error}") from None
                except BaseException:
                    child.kill()
                    raise
        if child.returncode and not os.path.exists(f"/proc/{self._pid}/ns/net"):  # a zombie has none
            raise self._gone("has ended while something ran there")
        return child.returncode, out, err

    @property
    def _name(self) -> str:
        return str(self._play_context.remote_addr)

    def _gone(self, words: str) -> AnsibleConnectionFailure:
        """To Ansible a host is then unreachable, and the others go on."""
        self._connected = False
        return AnsibleConnectionFailure(f"The embedded host {self._name} {words}. ./lab up starts it anew.")

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as file:
            code, _, err = self._run(["/bin/sh", "-c", 'cat > "$1"', "sh", out_path], file.read())
        if code:
            raise AnsibleError(f"Copying {in_path} to {out_path} failed: {err.decode(errors='replace')}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        code, out, err = self._run(["cat", "--", in_path])
        if code:
            raise AnsibleError(f"Fetching {in_path} failed: {err.decode(errors='replace')}")
        with open(out_path, "wb") as file:
            file.write(out)

    def close(self) -> None:
        self._connected = False

    def _watch(self, nsenter: int) -> Callable[[], None]:
        """What is to be called now and then while something runs there. It may take its time, if only it can: SSH's
        keepalive is this to a real host.

        :raises AnsibleConnectionFailure: it, or the host's init, was stopped all the time that is allowed.
        """
        silence, seen = float(self.get_option("silence")), [time.monotonic()]

        def look() -> None:
            if not self._is_stopped(nsenter):
                seen[0] = time.monotonic()
            elif time.monotonic() - seen[0] > silence:
                words = f"The embedded host {self._name} does not answer: its processes are stopped."
                raise AnsibleConnectionFailure(words)

        return look

    def _is_stopped(self, nsenter: int) -> bool:
        """nsenter stops itself when what it has started is stopped, and does not go on when that does."""
        if _state(nsenter) == "T" and not any(_state(pid) == "T" for pid in _children(nsenter)):
            os.kill(nsenter, signal.SIGCONT)
            return False
        return "T" in (_state(nsenter), _state(self._pid))


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return list(map(int, file.read().split()))
    except OSError:
        return []


def _state(pid: int) -> str:
    """The kernel's letter for what a process does (proc(5)); none for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""

"""A TCP connection between two pods that goes on while hosts are changed under it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from podlab.embedded import ENVIRONMENT, Lab, enter

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300.0  # seconds for one word and its echo

LISTENER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7007))
print("ready", flush=True)
there, _ = server.accept()
while word := there.recv(100):
    there.sendall(word)
"""
SPEAKER = """
import select, socket, sys
there, said = socket.create_connection((sys.argv[1], 7007), timeout=float(sys.argv[2])), 0
pause = float(sys.argv[3]) or None
while True:
    there.sendall(b".")
    if there.recv(100) != b".":
        sys.exit("the other end has hung up")
    said += 1
    if select.select([sys.stdin], [], [], pause)[0]:
        if not sys.stdin.readline():
            break
        print(said, flush=True)
"""


def inside(lab: str, host: str, netns: str, program: str, *words: str) -> subprocess.Popen[str]:
    """A Python program in a pod's network namespace, with pipes."""
    pid = Lab(str(ROOT), lab).hosts()[host]
    argv = [*enter(pid), "ip", "netns", "exec", netns, "/usr/bin/python3", "-IS", "-c", program, *words]
    return subprocess.Popen(
        argv,
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """nsenter(1) has a child, which is the program itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Conversation:
    """The ends are rows of pods (``TestLab.pod``) with the host that each is on.

    Where the way between them is broken for a while, nothing is to be said meanwhile: TCP waits ever longer before it
    says a lost word again.
    """

    def __init__(
        self, lab: str, caller: tuple[str, dict[str, Any]], callee: tuple[str, dict[str, Any]], *, pause: float = 0.05
    ) -> None:
        """:param pause: seconds between two words; 0: a word only when somebody asks whether it goes on."""
        address = callee[1]["address"].split("/")[0]
        self.listener = inside(lab, callee[0], callee[1]["netns"], LISTENER, address)
        assert _line(self.listener) == "ready"
        self.speaker = inside(lab, caller[0], caller[1]["netns"], SPEAKER, address, str(TIMEOUT), str(pause))
        self.said = 0

    def goes_on(self) -> bool:
        """Whether more was said and heard over the same connection since this was asked last."""
        before = self.said
        for _ in range(2):  # the first answer may tell of a word before the question
            assert self.speaker.stdin is not None
            self.speaker.stdin.write("\n")
            self.speaker.stdin.flush()
            self.said = json.loads(_line(self.speaker))
        return self.said > before

    def close(self) -> None:
        end(self.speaker)
        end(self.listener)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return line.strip()

"""Which processes are taken for a lab's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podlab.embedded import Lab

NAME_ITSELF = "import sys; open('/proc/self/comm', 'wb').write({name!r}); print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize("name", [b"\xff", b"a\rb", b"\x0bUid:\x0b", "a\u2028b".encode(), b"NSpid: 1 1"])
def test_a_process_may_call_itself_anything(name: bytes) -> None:
    lab = Lab("/nowhere", "none")
    argv = ["catatonit", "-c", NAME_ITSELF.format(name=name)]
    with subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        assert lab.holder() is None and lab.hosts() == {}
        process.stdin.close()

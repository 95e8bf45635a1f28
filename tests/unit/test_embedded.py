"""What is found of labs among the processes of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from podlab.embedded import Lab


def test_a_process_next_to_a_lab_may_have_a_name_that_is_no_text(tmp_path):
    """A pod may call its own program as that of a host's init is called."""
    sleep = shutil.which("sleep")
    assert sleep
    program = os.fsencode(tmp_path) + b"/\xff"
    os.symlink(sleep, program)
    with subprocess.Popen(["catatonit", "60"], executable=program) as process:
        try:
            comm, argv = (Path(f"/proc/{process.pid}/{name}") for name in ("comm", "cmdline"))
            while comm.read_bytes() != b"\xff\n" or argv.read_bytes() != b"catatonit\x0060\x00":
                time.sleep(0.01)
            assert Lab(str(tmp_path), "none").hosts() == {}
        finally:
            process.kill()

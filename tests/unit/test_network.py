"""What is read of a host's network, from a kernel."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORWARD_DROPS = """
import os, subprocess, sys
subprocess.run(["iptables", "-P", "FORWARD", sys.argv[1]], check=True, env={**os.environ, "XTABLES_LOCKFILE": sys.argv[2]})
from podlab.host import network
print(network.forward_drops())
"""


@pytest.mark.skipif(not shutil.which("iptables-legacy", path="/usr/sbin:/sbin"), reason="no iptables of the old kind")
@pytest.mark.parametrize(("policy", "drops"), [("DROP", "True"), ("ACCEPT", "False")])
def test_the_policy_of_forward_is_read_while_somebody_has_the_lock(tmp_path: Path, policy: str, drops: str) -> None:
    programs, lock = tmp_path / "programs", tmp_path / "lock"
    programs.mkdir()
    lock.touch()
    for name in ("iptables", "iptables-save"):
        (programs / name).symlink_to(
            shutil.which(name.replace("iptables", "iptables-legacy"), path="/usr/sbin:/sbin") or ""
        )
    environment = {
        **{"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "module_utils")},
        "XTABLES_LOCKFILE": str(lock),
    }
    argv = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", FORWARD_DROPS]
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(
            [*argv, policy, str(tmp_path / "other")], env=environment, capture_output=True, text=True, timeout=30
        )
    assert done.stdout == f"{drops}\n", done.stderr

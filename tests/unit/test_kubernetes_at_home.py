"""Whose kubelet it is that runs on a host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

APART = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc"]
LOOK = """
import subprocess, sys
from podlab.host.system import foreign_kubernetes as kubernetes
with subprocess.Popen(["bash", "-c", "exec -a kubelet sleep 60"], cwd=sys.argv[1]) as process:
    while not kubernetes._program(process.pid):
        pass
    print(kubernetes.at_home())
    process.kill()
"""


@pytest.mark.parametrize("home", ["services/kubelet", "services/.old/kubelet", "elsewhere"])
def test_a_kubelet_of_podlabs_is_known_without_its_supervisors(home: str, tmp_path: Path) -> None:
    """Each of those that started it may have been killed."""
    place = tmp_path / home
    place.mkdir(parents=True)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    argv = [*APART, sys.executable, "-c", LOOK, str(place)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("kubelet runs here (process ") == (home == "elsewhere"), done.stdout

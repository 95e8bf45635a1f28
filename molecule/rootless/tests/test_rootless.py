"""What is special about a lab that is not root's."""

from __future__ import annotations

import os
from pathlib import Path

from podlab.embedded import Lab

ROOT = Path(__file__).resolve().parents[3]


def test_the_lab_belongs_to_an_ordinary_user():
    assert os.getuid() != 0
    # The user namespace maps one id: the user who lit the lab, as its root.
    init = Lab(str(ROOT), os.environ["PODLAB_LAB"]).find("node1")
    assert Path(f"/proc/{init}/uid_map").read_text().split() == ["0", str(os.getuid()), "1"]


def test_what_a_host_writes_stays_in_the_host(node):
    for file in ("/usr/of-a-host", "/etc/of-a-host"):
        assert node("node1").run(f"touch {file}").rc == 0
        assert not os.path.exists(file)
        assert node("node1").run(f"rm {file}").rc == 0

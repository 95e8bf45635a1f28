"""What is special about a lab that is not root's."""

from __future__ import annotations

import os


def test_the_lab_belongs_to_an_ordinary_user(node):
    assert os.getuid() != 0
    # The user namespace maps one id: the user who lit the lab, as its root.
    assert node("node1").check_output("cat /proc/self/uid_map").split() == ["0", str(os.getuid()), "1"]


def test_the_machines_files_cannot_be_written(node):
    assert node("node1").run("touch /usr/podlab").rc != 0
    assert node("node1").run("touch /etc/podlab && rm /etc/podlab").rc == 0

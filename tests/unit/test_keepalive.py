"""A host over SSH that falls silent is given up after the time that the documentation states."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_stated_time_is_the_one_that_ssh_is_told() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "ansible.cfg")
    options = parser["ssh_connection"]["ssh_extra_args"]
    found = re.fullmatch("-o ServerAliveInterval=([0-9]+) -o ServerAliveCountMax=([0-9]+)", options)
    assert found
    seconds = int(found[1]) * int(found[2])
    settings = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert f"| {seconds} s: asked every {found[1]} s, three times | `ansible_ssh_common_args: {options}` |" in settings


def test_an_inventorys_own_options_come_first() -> None:
    """Ansible puts ``ssh_args`` before ``ansible_ssh_common_args``, and of two values ssh takes the first."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "ansible.cfg")
    assert "ServerAlive" not in parser["ssh_connection"]["ssh_args"]

"""Which hosts a run waits for, as it is told on a terminal and elsewhere."""

from __future__ import annotations

import os
import select

from podlab.controller import waiting


def test_a_line_names_the_task_that_takes_longest_and_its_hosts() -> None:
    at_work = {f"node{number}": ("See the tables", 100.0) for number in range(1, 6)} | {"gateway": ("Plan", 119.0)}
    assert waiting.line(at_work, 112.0, 10.0) == ("waiting for node1, node2, node3 and 2 more: See the tables, 12 s")
    assert waiting.line({"node1": ("\x1b[2J", 0.0)}, 3.0, 2.0) == "waiting for node1: \\x1b[2J, 3 s"
    assert waiting.line(at_work, 101.0, 10.0) is None
    assert waiting.line({}, 101.0, 0.0) is None


def test_a_terminal_shows_who_is_waited_for_until_something_else_is_said() -> None:
    ours, terminal = os.openpty()
    told = waiting.Waiting(terminal, lambda _: None)
    told.starts("node2", "Wait", "podlab_ready")  # tells by itself
    told.starts("node1", "See the tables", "podlab_observe")
    assert select.select([ours], [], [], 60)[0]
    assert os.read(ours, 200).decode().startswith("\rwaiting for node1: See the tables, ")
    told.ends("node1")
    told.end()
    shown = b""
    while select.select([ours], [], [], 0)[0]:
        shown += os.read(ours, 4096)
    assert shown.decode().rpartition("s")[2].strip(" \r") == ""
    told.clear()
    assert not select.select([ours], [], [], 0)[0]

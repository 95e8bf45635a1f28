"""What a run says of each host in the end, and what it ends with."""

from __future__ import annotations

import pytest

from podlab.controller.outcomes import Outcomes


@pytest.fixture
def run() -> Outcomes:
    """node1 was mended, node2 lost under way, node3 never there, node4 refused; node5 is as it was."""
    run = Outcomes()
    for host in ("node1", "node2", "node4", "node5"):
        run.answers(host)
    for component in ("bridge", "pods", "pods"):
        run.changes("node1", component)
    run.changes("node2", "bridge")
    run.is_silent("node2", "")
    run.is_silent("node3", "Connection timed out")
    run.fails("node4", "Set it aside")  # Ansible leaves no host out that has not failed
    run.refuses({"node4": ["link cbr0 is in the way", "link eth0 is down"]})
    return run


def test_each_host_is_named_in_one_line(run: Outcomes) -> None:
    assert run.lines(["node1", "node2", "node3", "node4", "node5", "node6"]) == [
        "node1: mended (bridge, pods)",
        "node2: lost in this run; before that mended (bridge)",
        "node3: unreachable (Connection timed out)",
        "node4: refused (link cbr0 is in the way; link eth0 is down)",
        "node5, node6: unchanged",
    ]


def test_nothing_is_mended_in_check_mode(run: Outcomes) -> None:
    assert run.lines(["node1"], is_check=True) == ["node1: to be mended (bridge, pods)"]


def test_what_is_torn_down_is_not_mended() -> None:
    run = Outcomes()
    run.changes("node1", "teardown")
    assert run.lines(["node1", "node2"]) == ["node1: torn down", "node2: unchanged"]


def test_what_fails_for_all_hosts_is_said_once() -> None:
    run = Outcomes()
    run.fails("", "Plan once for all hosts")
    assert run.lines(["node1", "node2"]) == ["node1, node2: unchanged", "the run: failed (Plan once for all hosts)"]
    assert run.exit_code() == 2


def test_what_was_rescued_has_not_failed() -> None:
    run = Outcomes()
    run.fails("", "Plan once for all hosts")
    run.fails("node1", "Component pods")
    run.fails("node2", "Component pods")
    run.keeps_failed({"node1": 1})
    assert run.failed == {"": "Plan once for all hosts", "node1": "Component pods"}
    run.keeps_failed({})
    assert (run.failed, run.exit_code()) == ({}, 0)


def test_the_worst_counts() -> None:
    run = Outcomes()
    assert run.exit_code() == 0
    run.changes("node1", "pods")
    assert run.exit_code() == 0
    run.refuses({"node2": ["why"]})
    assert run.exit_code() == 2
    run.fails("node1", "Component pods")
    assert run.exit_code() == 2
    run.is_silent("node3", "")
    assert run.exit_code() == 4


def test_a_host_is_lost_only_where_it_was_found_before(run: Outcomes) -> None:
    words = ["was lost in this run", "is unreachable", "was refused"]
    assert [run.absence(host) for host in ("node2", "node3", "node4")] == words

"""What the plan's action plugin adds for Ansible's sake."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from action_plugins.podlab_plan import groups_of
from podlab.controller.groups import MAY_BE_EMPTY


def test_each_play_has_a_host_that_has_nothing_to_do_there() -> None:
    hosts = {
        "gateway": {"pending": ["routes"]},
        "node1": {"pending": ["pods", "routes"]},
        "node2": {"pending": []},
        "outside": {"pending": []},
    }
    assert groups_of(hosts) == {
        "gateway": ["routes"],
        "node1": ["pods", "routes"],
        "node2": [],
        "outside": ["routes", "pods"],
    }


def test_where_nothing_is_pending_no_play_has_hosts() -> None:
    assert groups_of({"node1": {"pending": []}, "outside": {"pending": []}}) == {"node1": [], "outside": []}


def test_where_all_have_something_to_do_there_is_no_other() -> None:
    assert groups_of({"node1": {"pending": ["pods"]}}) == {"node1": ["pods"]}


def test_the_host_that_has_nothing_to_do_does_nothing() -> None:
    """Plays for what is pending ask whether it is, as one of their hosts has no row for it."""
    plays = yaml.safe_load((Path(__file__).resolve().parents[2] / "site.yml").read_text("utf-8"))
    unguarded = [
        task["name"]
        for play in plays
        if str(play.get("hosts", "")).startswith("pending_")
        for task in play["tasks"]
        if "ansible.builtin.import_role" in task and ".pending" not in str(task.get("when", ""))
    ]
    assert unguarded == []


def test_every_group_that_a_play_is_for_is_declared() -> None:
    """All but nodes: a cluster without any is an error."""
    root = Path(__file__).resolve().parents[2]
    plays = [
        play
        for file in (root / "site.yml", *sorted((root / "playbooks").glob("*.yml")))
        for play in yaml.safe_load(file.read_text("utf-8"))
    ]
    patterns = {word for play in plays for word in re.split("[:&!]+", str(play.get("hosts", "nodes")))}
    assert {word for word in patterns if "{" not in word and "'" not in word} - {*MAY_BE_EMPTY, "nodes"} == set()

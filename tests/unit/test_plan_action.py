"""What the plan's action plugin adds for Ansible's sake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from action_plugins.podlab_plan import groups_of, new_notes
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


def test_a_step_says_no_note_that_the_plan_before_has_said() -> None:
    notes = ["ignored: HPA web", "kustomize says:", "  a word", "Job default/a is over", "  a word"]
    assert new_notes({}, notes) == notes
    assert new_notes({"podlab_plan": {"notes": notes[:3]}}, notes) == notes[3:]


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


def test_ansible_warns_of_a_group_that_is_misspelt_and_of_none_that_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {children: {nodes: {hosts: {node1: {}}}}}", "utf-8")
    plays = [{"hosts": pattern, "gather_facts": False} for pattern in ("nodes", "nodse", *MAY_BE_EMPTY)]
    (tmp_path / "plays.yml").write_text(yaml.safe_dump(plays), "utf-8")
    argv = ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "plays.yml")]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    root = Path(__file__).resolve().parents[2]
    environment["ANSIBLE_CONFIG"] = str(root / "ansible.cfg")
    done = subprocess.run(argv, cwd=root, env=environment, capture_output=True, text=True, check=False)
    warned = [line for line in (done.stdout + done.stderr).splitlines() if "Could not match" in line]
    assert warned == ["[WARNING]: Could not match supplied host pattern, ignoring: nodse"], done.stdout + done.stderr

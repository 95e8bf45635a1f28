"""Two runs at once: which of them may write, and who the other one is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from podlab.controller import caller
from podlab.host import lease, record
from podlab.host.run import HostError
from podlab.planner.inputs.host import Host


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(record, "HOME", str(tmp_path))
    monkeypatch.setattr(lease, "PATH", str(tmp_path / "lease.json"))
    return tmp_path


def run(name: str, seen: str | None = "") -> dict[str, Any]:
    return {"run": name, "who": f"{name}@desk", "machine": "m", "process": 7, "began": "1", "seen": seen}


def test_who_says_so_first_writes_and_the_other_one_is_told_who_that_is() -> None:
    ann, bob = run("ann"), run("bob")
    lease.take(ann)
    with pytest.raises(HostError, match="ann@desk is at work on this host"):
        lease.take(bob)
    lease.take(ann)


def test_a_run_goes_on_from_what_it_has_seen_and_stops_who_was_silent() -> None:
    ann = run("ann")
    lease.take(ann)
    lease.take(run("bob", lease.stamp(lease.read())))
    with pytest.raises(HostError, match="bob@desk is at work"):
        lease.take(ann)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 7}'])
def test_what_is_damaged_keeps_nobody_away(home: Path, text: str) -> None:
    (home / "lease.json").write_text(text)
    lease.take(run("ann"))
    assert (lease.read() or {})["who"] == "ann@desk"


def test_a_role_that_is_used_alone_has_looked_at_nothing_and_is_refused_nothing() -> None:
    lease.take(run("ann"))
    lease.take(run("bob", None))
    lease.take(None)
    assert (lease.read() or {})["run"] == "bob"


def test_a_run_of_this_machine_is_at_work_as_long_as_its_process_is_there() -> None:
    mine = caller.told("")
    lease.take({**mine, "run": "another"})
    told = lease.observe()
    assert caller.at_work(told) == mine["who"], "by itself no time ends it"
    assert caller.at_work({**(told or {}), "age": 9999.0})
    assert caller.at_work({**(told or {}), "began": "1"}) == "", "another process has its number"
    assert caller.at_work({**(told or {}), "run": mine["run"]}) == ""
    assert caller.at_work(None) == ""


def test_a_run_of_another_machine_is_at_work_until_it_was_silent_for_long() -> None:
    told = {**caller.told(""), "run": "another", "machine": "elsewhere", "renewed": 1.0}
    assert caller.at_work({**told, "age": lease.TIMEOUT - 1})
    assert caller.at_work({**told, "age": lease.TIMEOUT + 1}) == ""
    assert caller.at_work({**told, "age": -1.0}) == "", "the host's clock was set back"
    assert caller.refusal({"node1": {**told, "age": 1.0}, "node2": None}).startswith(
        f"{told['who']} is at work on node1\nnothing was changed"
    )


def test_what_it_is_in_is_its_owners_alone(home: Path) -> None:
    lease.take(run("ann"))
    assert os.stat(home / "lease.json").st_mode & 0o777 == 0o600
    assert json.loads((home / "lease.json").read_text()).keys() == lease.Lease.__annotations__.keys()


def test_what_a_host_says_that_is_left_out_counts_for_nothing(home: Path) -> None:
    seen = {"lease": {"run": "a", "who": "b", "machine": "c", "process": 1, "began": "d", "renewed": 1.0, "age": 1.0}}
    hosts = [Host("node1", "node", "10.0.0.1", observation=seen, in_run=ran) for ran in (True, False)]
    assert caller.refusal(caller.leases_of(hosts[:1])).startswith("b is at work on node1")
    assert caller.refusal(caller.leases_of(hosts[1:])) == ""

"""A pod that stands is known again by what its config was made of, and no plan is another one for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from podlab.changes.pods import pod_file
from podlab.configs import PodConfig
from podlab.planner.configs import stage
from podlab.planner.inputs.host import Host
from podlab.planner.inputs.settings import Cluster
from podlab.planner.model import Container, Desired, Dns, PodTemplate, Workload
from podlab.planner.plan import plan
from tests.unit.test_plan import LATER, NOW, PROGRAMS, Lab, workload

TEMPLATE = PodTemplate((Container("main", "busybox", ("sleep", "infinity")),), labels={"app": "web"})


def wanting(*templates: PodTemplate, revision: str = "abc") -> Desired:
    return Desired(workloads=tuple(deployment(f"web{n}", 4, one, revision) for n, one in enumerate(templates)))


def deployment(name: str, count: int, template: PodTemplate, revision: str = "abc") -> Workload:
    return replace(workload(name, count, revision, "Deployment"), template=template)


def planned(lab: Lab, hosts: list[Host], desired: Desired, code: str, now: str = NOW) -> dict[str, Any]:
    found: Any = plan(lab.cluster, hosts, desired, PROGRAMS, now, assume_ready=True, planner_code=code)
    return found


def configs(result: dict[str, Any]) -> dict[str, PodConfig]:
    return {one["netns"]: one for rows in result["hosts"].values() for one in rows.get("pods", {}).get("pods", ())}


def plain(result: dict[str, Any]) -> dict[str, Any]:
    return {name: {key: it for key, it in one.items() if key != "inputs"} for name, one in configs(result).items()}


@pytest.fixture
def lab() -> Lab:
    """One in which all stands that a plan of this code has made."""
    made = Lab()
    result = json.loads(json.dumps(planned(made, made.observed(), wanting(TEMPLATE), "code")))
    for name, rows in result["hosts"].items():
        made.hosts[name].apply(rows, rows["pending"])
    return made


def test_what_stands_is_not_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> PodConfig:
        raise AssertionError("a config was made")

    monkeypatch.setattr(stage, "pod_row", made)
    again = planned(lab, lab.observed(), wanting(TEMPLATE), "code", LATER)
    assert len(configs(again)) == 4
    assert "pods" not in {word for rows in again["hosts"].values() for word in rows["pending"]}


CHANGES: dict[str, Callable[[Lab], Desired | None]] = {
    "a label": lambda lab: wanting(replace(TEMPLATE, labels={"app": "web", "tier": "front"})),
    "a command": lambda lab: wanting(replace(TEMPLATE, containers=(Container("main", "busybox", ("true",)),))),
    "a revision": lambda lab: wanting(TEMPLATE, revision="def"),
    "what a node resolves by": lambda lab: setattr(lab.hosts["node1"], "resolv_conf", "nameserver 192.0.2.1\n"),
    "the ids of a node": lambda lab: setattr(lab.hosts["node1"], "ids", [[0, 1]]),
    "the domain": lambda lab: setattr(lab, "cluster", Cluster(domain="example.org")),
    "the name server": lambda lab: setattr(lab, "cluster", Cluster(dns="10.96.0.10")),
    "the largest packet of a node's network": lambda lab: lab.hosts["node1"].root.links["eth0"].update(mtu=1400),
    "the bridge": lambda lab: setattr(lab, "cluster", Cluster(bridge="br0")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_plan_is_the_same_with_it_and_without(lab: Lab, what: str) -> None:
    dns = replace(TEMPLATE, dns=Dns("Default"), fs_group=500)
    first = json.loads(json.dumps(planned(lab, lab.observed(), wanting(TEMPLATE, dns), "code")))
    for name, rows in first["hosts"].items():
        lab.hosts[name].apply(rows, rows["pending"])
    desired = CHANGES[what](lab) or wanting(TEMPLATE, dns)
    one, other = (planned(lab, lab.observed(), desired, code, LATER) for code in ("code", ""))
    assert plain(one) == plain(other)
    assert [rows["pending"] for rows in one["hosts"].values()] == [rows["pending"] for rows in other["hosts"].values()]
    assert plain(one) != plain(first)


def test_another_code_writes_no_pod_anew(lab: Lab) -> None:
    again = planned(lab, lab.observed(), wanting(TEMPLATE), "newer code", LATER)
    assert "pods" not in {word for rows in again["hosts"].values() for word in rows["pending"]}
    assert "pods" not in {
        word
        for rows in planned(lab, lab.observed(), wanting(TEMPLATE), "")["hosts"].values()
        for word in rows["pending"]
    }


def test_what_no_other_pod_has_is_made_each_time() -> None:
    lab = Lab()
    alone = Desired(workloads=(deployment("web", 1, TEMPLATE),))
    assert not any("inputs" in one for one in configs(planned(lab, lab.observed(), alone, "code")).values())


def test_the_digest_is_that_of_every_process() -> None:
    program = (
        "from tests.unit.test_pod_inputs import *; lab = Lab(); "
        "print([one['inputs'] for one in configs(planned(lab, lab.observed(), wanting(TEMPLATE), 'code')).values()])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(said) == 1


# --- the file ---------------------------------------------------------------------------------------------


def config(lab: Lab) -> PodConfig:
    return next(iter(configs(planned(lab, lab.observed(), wanting(TEMPLATE), "code")).values()))


def test_the_file_is_read_as_it_was_written(lab: Lab) -> None:
    assert pod_file.read(pod_file.text_of(config(lab))) == config(lab)


@pytest.mark.parametrize("damage", ['"mtu": 1500 -> "mtu": 1400', '"busybox" -> "busybex"', ', "etc" ->  , "etc"'])
def test_no_digest_counts_in_a_file_that_was_changed(lab: Lab, damage: str) -> None:
    before, _, after = damage.partition(" -> ")
    text = pod_file.text_of(config(lab))
    assert before in text
    found = pod_file.read(text.replace(before, after))
    assert "inputs" not in found
    assert "checksum" not in found


def test_one_without_checksum_has_no_digest(lab: Lab) -> None:
    assert "inputs" not in pod_file.read(json.dumps(config(lab)))


def test_what_a_person_would_type_has_neither(lab: Lab) -> None:
    assert not {"inputs", "checksum"} & json.loads(pod_file.typed(config(lab))).keys()

"""The role ``namespaces`` in a playbook of anybody's: outside of this directory, without a plan and without
manifests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podlab.controller import module_bundle
from podlab.embedded import ENVIRONMENT, Lab, enter
from tests import preforked

from .conftest import ROOT, TestLab
from .test_reboot import BOOT, REPLAY, reboot, tables

ALONE = {"name": "alone", "mode": "isolated", "address": "192.168.222.10/24"}
NEAR = {"name": "near", "mode": "host-only", "address": "192.168.202.11/24", "host_address": "192.168.202.1"}
OUT = {"name": "out", "mode": "bridged", "address": "192.168.212.11/24", "host_address": "192.168.212.1"}
ALL = [ALONE, NEAR, OUT]


class Playbook:
    """Roles of podlab's on node1, from a directory that has nothing but this playbook."""

    def __init__(self, lab: TestLab, home: Path) -> None:
        self.lab, self.home = lab, home

    def play(self, role: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """:param variables: those of the role."""
        book = self.home / f"{role}.yml"
        book.write_text(json.dumps([{"hosts": "node1", "roles": [{"role": role, **variables}]}]))
        argv = ["ansible-playbook", "-i", str(self.lab.inventory), str(book), *options]
        environment = {**self.lab.environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        return preforked.play(argv, environment, self.home)

    def types(self, role: str, *options: str, **variables: Any) -> list[str]:
        """The lines that a run shows; it has to succeed."""
        done = self.play(role, *options, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        typed = self.lab.lines(done.stdout)
        assert bool(typed) == bool(re.search(r"changed=[1-9]", done.stdout)), done.stdout
        return typed

    def runs(self, module: str, *, check_mode: bool = False, **params: Any) -> list[str]:
        """The lines of one module, sent to node1 as podlab's action plugin sends it; it has to succeed."""
        text = module_bundle.checked_program(ROOT / "library" / f"{module}.py", params, check_mode)
        pid = Lab(str(ROOT), self.lab.name).hosts()["node1"]
        argv = [*enter(pid), "/usr/bin/python3", "-IS", "-"]
        done = subprocess.run(argv, input=text, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        lines: list[str] = answer["diff"].get("prepared", "").splitlines()
        assert bool(lines) == answer["changed"]
        return lines

    def makes(self, *items: dict[str, str], check_mode: bool = False) -> list[str]:
        return self.runs("podlab_namespaces", namespaces=list(items), check_mode=check_mode)

    def removes(self) -> list[str]:
        return self.runs("podlab_namespaces", state="absent")

    def tears_down(self, *, check_mode: bool = False) -> list[str]:
        return self.runs("podlab_teardown", check_mode=check_mode)


@pytest.fixture(scope="module")
def playbook(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Playbook:
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    return Playbook(lab, tmp_path_factory.mktemp("elsewhere"))


def has_nothing(lab: TestLab) -> bool:
    told = lab.sh(
        "node1",
        "ip netns; ip -br link; iptables-save; ls /var/lib/podlab; cat /proc/sys/net/ipv4/ip_forward",
        check=False,
    )
    return not re.search("alone|near|out|br-|podlab|^1$", told, re.MULTILINE)


def golden(typed: list[str]) -> list[str]:
    """What a bare host gets, where the kernel has dummy links and where it has none."""
    kind = "dummy" if "ip -n alone link add eth0 type dummy" in typed else "bridge"
    text = (ROOT / "tests" / "golden" / "namespaces.sh").read_text()
    return text.replace("type dummy", f"type {kind}").splitlines()


def test_it_is_made_once_and_taken_away_again(playbook):
    lab = playbook.lab
    before = tables(lab, "node1")
    foretold = playbook.types("namespaces", "--check", namespaces_list=ALL)
    assert tables(lab, "node1") == before
    typed = playbook.types("namespaces", namespaces_list=ALL)
    assert typed == foretold == golden(typed)
    assert playbook.types("namespaces", namespaces_list=ALL) == []
    gone = playbook.types("namespaces", namespaces_list=ALL, namespaces_state="absent")
    assert "sysctl -w net.ipv4.ip_forward=0" in gone
    assert lab.sh("node1", "ip netns") == ""
    assert playbook.removes() == []
    assert flat(tables(lab, "node1")) == flat(before)


@pytest.mark.parametrize("loses_files", [False, True])
def test_teardown_takes_it_away_with_and_without_what_was_remembered(playbook, loses_files):
    lab = playbook.lab
    playbook.tears_down()
    before = tables(lab, "node1")
    playbook.makes(*ALL)
    if loses_files:
        lab.sh("node1", "rm -r /var/lib/podlab")
    foretold = playbook.tears_down(check_mode=True)
    assert playbook.tears_down() == foretold
    assert flat(tables(lab, "node1")) == flat(before)
    assert lab.sh("node1", "ip netns; ls -d /var/lib/podlab /run/netns 2>/dev/null", check=False) == ""
    assert playbook.tears_down() == []


def flat(told: str) -> str:
    """Without tables and chains of iptables that are empty: iptables-save prints one from the first look into it on."""
    return "\n".join(line for line in told.splitlines() if line and not line.startswith(("*", ":", "COMMIT")))


BREAKS = {
    "a veth is deleted": "ip link del veth-out",
    "the other end is deleted": "ip -n near link del eth0",
    "addresses are flushed": "ip -n alone addr flush dev eth0; ip -n out addr flush dev eth0; ip addr flush dev veth-near",
    "a namespace is removed": "ip netns del out",
    "a namespace is removed while a process lives in it": (
        "ip netns exec near setsid sleep 600 </dev/null >/dev/null 2>&1 & "
        "until ip netns pids near | grep -q .; do :; done; ip netns del near"
    ),
    "the bridge is deleted": "ip link del br-out",
    "all is down": "ip link set br-out down; ip link set veth-near down; ip -n out link set eth0 down; "
    "for n in alone near out; do ip -n $n link set lo down; done",
    "routes are flushed": "ip -n out route flush table main; ip -n near route flush table main",
    "rules are flushed": "iptables -t nat -F; iptables -F",
    "forwarding is off": "sysctl -qw net.ipv4.ip_forward=0",
    "eth0 is another link": "ip -n alone link del eth0; ip -n alone link add eth0 type veth peer name eth1",
    "an address too many": "ip -n near addr add 192.168.202.12/24 dev eth0; ip addr add 192.168.202.2/24 dev veth-near",
}


@pytest.mark.parametrize("name", BREAKS)
def test_one_run_repairs(playbook, name):
    lab = playbook.lab
    playbook.makes(*ALL)
    before = state(lab)
    lab.sh("node1", BREAKS[name])
    assert state(lab) != before
    foretold = playbook.makes(*ALL, check_mode=True)
    assert playbook.makes(*ALL) == foretold
    assert state(lab) == before
    lab.sh("node1", "ip netns exec out ping -c1 -W9 10.100.0.1; ip netns exec near ping -c1 -W9 192.168.202.1")
    assert playbook.makes(*ALL) == []


def state(lab: TestLab) -> str:
    each = "for n in $(ip netns | cut -d' ' -f1 | sort); do echo $n; ip -br -n $n link | cut -c1-60; "
    each += "ip -n $n -4 -br addr; ip -n $n route; done"
    told = lab.sh("node1", each)
    random_mac = "[0-9a-f]{2}(:[0-9a-f]{2}){5}" if "dummy" not in told else "$^"
    return tables(lab, "node1") + re.sub(rf"(?<!0a:58:){random_mac}|@if\d+", "", told)


def test_all_that_is_wrong_is_said_at_once_and_nothing_is_written(playbook):
    lab = playbook.lab
    playbook.tears_down()
    lab.sh("node1", "ip netns add theirs; ip link add veth-near type dummy || ip link add veth-near type bridge")
    before = tables(lab, "node1")
    wrong = [
        {**ALONE, "mode": "lonely"},
        {**ALONE, "name": "theirs"},
        NEAR,
        {**OUT, "address": "192.168.202.12/24", "host_address": "192.168.202.2"},
        {**OUT, "name": "much-too-long"},
        {**OUT, "address": "192.168.212.1/24"},
    ]
    done = playbook.play("namespaces", namespaces_list=wrong)
    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout)
    for words in (
        "namespace alone: mode: 'lonely' is none of isolated, host-only, bridged",
        "namespace much-too-long: name: much-too-long has more than 10 characters",
        "namespace out: address: 192.168.212.1 is host_address too",
        "name out is given to 2 namespaces",
        "namespaces near and out: 192.168.202.0/24 and 192.168.202.0/24 overlap",
        "network namespace theirs is in the way: podlab has not made it",
        "link veth-near is in the way: podlab has not made it",
    ):
        assert said.count(words) == 1, said
    assert tables(lab, "node1") == before
    assert playbook.tears_down() == []
    lab.sh("node1", "ip netns del theirs; ip link del veth-near")


def test_a_field_that_there_is_not_is_refused(playbook):
    done = playbook.play("namespaces", namespaces_list=[{**ALONE, "adress": "192.168.1.1"}])
    assert done.returncode != 0
    assert "adress" in done.stdout
    assert has_nothing(playbook.lab)


def test_a_cluster_comes_and_goes_beside_it(playbook, tmp_path):
    lab = playbook.lab
    playbook.makes(*ALL)
    made = state_of_namespaces(lab)
    lab.converge(*BOOT)
    assert state_of_namespaces(lab) == made
    assert playbook.makes(*ALL) == ["# write /var/lib/podlab/boot/namespaces.json: what a boot replays"]
    assert playbook.makes(*ALL) == []
    assert not lab.lines(lab.converge(*BOOT))

    reboot(lab, "node1", tmp_path)
    assert state_of_namespaces(lab) == []
    lab.on("node1", *REPLAY)
    assert state_of_namespaces(lab) == made
    assert playbook.makes(*ALL) == []

    assert "ip_forward" not in " ".join(playbook.removes())
    assert lab.sh("node1", "cat /proc/sys/net/ipv4/ip_forward") == "1"
    playbook.makes(*ALL)
    assert "sysctl -w net.ipv4.ip_forward=0" in playbook.tears_down()
    assert has_nothing(lab)


def state_of_namespaces(lab: TestLab) -> list[str]:
    lines = tables(lab, "node1").splitlines()
    return [line for line in lines if re.search("veth-|br-out|podlab-namespace", line)]

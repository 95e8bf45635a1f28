"""Real hosts, from bare to bare: provisioned, converted, rebooted, unplugged, damaged, taken down.

One story: each test begins where the one before it has ended.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.vm.conftest import Class, changed, say

MANAGED = ("gateway", "node1", "node2")


@pytest.fixture(scope="module")
def before() -> dict[str, dict[str, list[str]]]:
    """What each machine was before podlab."""
    return {}


def state(school: Class, name: str) -> dict[str, list[str]]:
    program = Path(__file__).with_name("state.py").read_text()
    found: dict[str, list[str]] = json.loads(school[name].run("python3", "-", text=program))
    return found


def test_missing_packages_come_without_their_services(school, before):
    """The play that looks and plans installs what a host lacks, and does nothing else."""
    school.play("playbooks/plan.yml")
    for name in ("node1", "node2"):
        node = school[name]
        assert node.sh("command -v nginx")
        assert node.sh("systemctl is-active nginx; systemctl is-enabled nginx; true") == "inactive\ndisabled"
    for name in MANAGED:
        before[name] = state(school, name)


def test_a_first_run_builds_all_of_it_and_a_second_one_changes_nothing(school):
    school.check_run()
    pods = school.lab("get", "pods", "-o", "wide")
    assert pods.count("Running") == 4, pods
    assert school.lab("get", "nodes").count(" Ready ") == 2


def test_an_unchanged_run_costs_a_round_trip_for_each_question(school):
    """One to see what there is, and three of verify: calls, calls of Services, and where these went."""
    asked = re.findall(r"^<([\d.]+)> SSH: EXEC ", school.up("-vvv"), re.MULTILINE)
    assert Counter(asked) == {"10.100.0.1": 1, "10.100.0.2": 4, "10.100.0.3": 4, "198.51.100.10": 2}


@pytest.mark.parametrize("way", ["host-gw", "vxlan", "gateway"])
def test_the_way_between_nodes_is_converted(school, way):
    if way == "vxlan":
        assert "vxlan" not in school["node1"].sh("lsmod"), "it is to be loaded by this run"
    school.check_run("-e", json.dumps({"podlab_pod_routing": way}))


def test_a_node_is_rebooted(school):
    say(f"node2 is back after {school['node2'].reboot():.0f} s")
    school.check_run()
    assert school.lab("get", "pods").count("Running") == 4


def test_a_node_loses_its_power(school):
    """The others go on without it, Services lead to no pod of it any more, and it is told of what it has missed."""
    school["node1"].unplug()
    output = school.up("--skip-tags", "verify", code=4)
    assert "node1" in output and "unreachable=1" in output, output
    assert "node2: mended (node, services)" in output, output
    again = school.up("--skip-tags", "verify", code=4)
    assert not any(changed(again).values()), again
    school["node1"].boot()
    say(f"node1 is back after {school['node1'].wait():.0f} s")
    school.check_run()


DAMAGE = {
    "its routes are gone": "ip route flush proto 117",
    "its bridge is gone": "ip link del cbr0",
    "its rules are gone": "iptables -F; iptables -t nat -F",
    "its containers are gone": "pkill -KILL s6-svscan; pkill -KILL -f '^catatonit -P podlab-pod'; true",
    "its record is gone": "rm -rf /var/lib/podlab",
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_node_is_mended_by_one_run(school, how):
    school["node2"].sh(DAMAGE[how])
    school.check_run()


# node2 has lost its record on the way, and with it what this was: it has the kernel's own value, as the module stays.
OF_THE_KERNEL = "node2, settings: more: net.bridge.bridge-nf-call-iptables = 1"


def test_teardown_leaves_the_machines_as_they_were(school, before):
    school.lab("down")
    wrong = []
    for name in MANAGED:
        now = state(school, name)
        for section, lines in before[name].items():
            wrong += [f"{name}, {section}: more: {line}" for line in sorted({*now[section]} - {*lines})]
            wrong += [f"{name}, {section}: less: {line}" for line in sorted({*lines} - {*now[section]})]
    wrong = [line for line in wrong if line != OF_THE_KERNEL]
    assert not wrong, "\n".join(wrong)
    assert not any(changed(school.lab("down")).values())
    assert school["node1"].run("sysctl", "-n", "net.bridge.bridge-nf-call-iptables") == "0"

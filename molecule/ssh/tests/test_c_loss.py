"""A node falls silent while a module runs there; the next run finds it again."""

from __future__ import annotations

import subprocess

import pytest
from conftest import GROUPS

from embedded.boot.wires import port
from podlab.changes.pods.pods import veth_name
from podlab.embedded import ENVIRONMENT, Lab, enter
from tests.lab.conftest import ROOT

# 2 s instead of 15. What an inventory says has the last word.
IMPATIENT = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2"
WIRES = {"node1": "pair", "node2": "toolbox"}


@pytest.fixture(scope="module")
def lost(ssh):
    """A run that mends a wire on both nodes, and loses node2 meanwhile; node2 is back then."""
    for host, pod in WIRES.items():
        ssh.sh(host, f"ip link del {veth_name(ssh.pod(host, pod)['netns'])}")
    lab = Lab(str(ROOT), ssh.name)
    wire = ["nsenter", "-t", str(lab.lab_init()), "-n", "ip", "link", "set", port("node2", "10.100.0.3/24")]
    # A module waits for one that is at work already.
    at_work = [*enter(lab.hosts()["node2"]), "flock", "/run", "sleep", "4711"]
    with subprocess.Popen(at_work, env=ENVIRONMENT) as holder:
        ssh.sh("node2", "until pgrep -f '^sleep 4711$' >/dev/null; do :; done")
        ssh.over.inventory(GROUPS, IMPATIENT)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        run = subprocess.Popen(ssh.argv("site.yml"), cwd=ROOT, env=ssh.environment(), **streams)
        ssh.sh("node2", "until grep -q -- '-> FLOCK' /proc/locks; do :; done")
        subprocess.run([*wire, "down"], check=True)
        output, _ = run.communicate(timeout=120)
        subprocess.run([*wire, "up"], check=True)
        ssh.sh("node2", "pkill -f '^sleep 4711$'")
        holder.wait()
    return run.returncode, output


def test_it_is_given_up_and_the_others_are_mended(lost):
    code, output = lost
    end = output.partition("PLAY RECAP")[2]
    assert code == 4, output
    assert "\nnode1: mended (pods)\n" in end
    assert "\nnode2: lost in this run\n" in end


def test_verify_says_so_once_and_judges_the_others(lost):
    _, output = lost
    assert output.count("node2 was lost in this run") == 1
    assert "no answer" not in output
    assert "10 of 10 connections are as planned" in output, output


def test_the_next_run_finds_it_again(ssh, lost):
    output = ssh.converge()
    assert "36 of 36 connections are as planned" in output
    assert "node1, outside: unchanged" in output or "gateway, node1, node2, outside: unchanged" in output

"""Two controllers at once: the second one is refused, with the other's name, and neither leaves half of anything."""

from __future__ import annotations

import subprocess

from .conftest import ROOT


def begun(lab, *arguments):
    argv = [
        "ansible-playbook",
        "-i",
        str(lab.inventory),
        "-e",
        f"podlab_manifests={lab.manifests}",
        "site.yml",
        *arguments,
    ]
    return subprocess.Popen(argv, cwd=ROOT, env=lab.environment(), stdout=subprocess.PIPE, text=True)


def test_of_two_runs_at_once_one_goes_on_and_the_other_says_whose_it_is(lab):
    assert lab.play(playbook="playbooks/power_on.yml").returncode == 0
    runs = [begun(lab, "--skip-tags", "verify") for _ in range(2)]
    said = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], said
    refused = said[[run.returncode for run in runs].index(2)]
    other = next(run.pid for run in runs if run.returncode == 0)
    assert f"(process {other}, since " in refused and " is at work on " in refused
    assert "changed: [node" not in refused, "it has written nothing"
    assert lab.typed(lab.converge("--skip-tags", "verify")) == {}


def test_a_run_that_was_killed_keeps_nobody_waiting(lab):
    lab.sh("node1", "ip link del cbr0")
    lab.sh("node2", "ip link del cbr0")
    run = begun(lab)
    lab.sh("node1", "for i in $(seq 600); do [ -e /sys/class/net/cbr0 ] && exit 0; sleep 0.05; done; exit 1")
    run.kill()
    run.communicate()
    lab.converge()
    assert lab.typed(lab.converge("--skip-tags", "verify")) == {}

"""Records and text of others, in a lab: what is damaged is named, and no terminal is steered."""

from __future__ import annotations

import os
import subprocess

import pytest

from podlab.printable import is_printable

from .conftest import ROOT

ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "odd", "annotations": {"note": ESCAPES}, "labels": {"app": "odd"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "busybox:1.36",
                "command": ["sh", "-c", f"echo '{ESCAPES}' >&2; sleep 999", ESCAPES],
                "env": [{"name": "ODD", "value": ESCAPES}],
            }
        ]
    },
}


def command(lab, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [str(ROOT / "lab"), *words, "-i", str(lab.inventory)]
    return subprocess.run(
        argv, cwd=ROOT, env=os.environ | lab.environment(), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def odd(lab):
    lab.write(odd=POD)
    said = lab.converge("--skip-tags", "verify")
    assert is_printable(said)
    return lab


def test_mistakes_with_escapes_are_written_out_and_said_once(odd):
    odd.write(odd={**POD, "metadata": {"name": f"odd{ESCAPES}"}})
    bad = odd.manifests / f"x{ESCAPES}.yml"
    bad.write_text("kind: [")
    try:
        done = odd.play("--check")
    finally:
        bad.unlink()
        odd.write(odd=POD)
    assert done.returncode == 2
    assert is_printable(done.stdout + done.stderr)
    assert "x\\x1b]0;owned\\x07\\x9b31m\\u202e.yml:" in done.stdout
    assert done.stdout.count("error converting YAML to JSON") == 1


@pytest.mark.parametrize(
    "words", [("get", "pods", "-o", "wide"), ("get", "pods", "-o", "yaml"), ("describe", "pod", "odd")]
)
def test_what_is_shown_of_a_pod(odd, words):
    done = command(odd, *words)
    assert done.returncode == 0, done.stderr
    assert is_printable(done.stdout + done.stderr)
    assert "odd" in done.stdout


def test_damaged_records_are_named_and_the_run_mends_them(odd):
    odd.sh("node1", """echo '{"cluster": {"generation": "9"}}' >/var/lib/podlab/record.json""")
    odd.sh("node2", "echo '[]' >/var/lib/podlab/record.json; echo '[]' >/var/lib/podlab/services.json")
    said = odd.converge("--skip-tags", "verify")
    assert "node1: the record (/var/lib/podlab/record.json) is damaged: cluster.generation: must be of" in said
    assert "node2: the record (/var/lib/podlab/record.json) is damaged: it is no JSON object" in said
    assert "node2: the record (/var/lib/podlab/services.json) is damaged" in said
    assert odd.sh("node2", "cat /var/lib/podlab/record.json.damaged") == "[]"
    again = odd.converge("--skip-tags", "verify")
    assert "damaged" not in again
    assert odd.lines(again) == []


def test_a_newer_podlabs_record_stops_the_run_before_it_writes(odd):
    odd.sh("node1", "cp /var/lib/podlab/record.json /tmp/r; echo '{\"version\": 99}' >/var/lib/podlab/record.json")
    done = odd.play("--skip-tags", "verify")
    gone = odd.play("-e", "keep_power=true", playbook="playbooks/teardown.yml")
    odd.sh("node1", "cp /tmp/r /var/lib/podlab/record.json")
    for end in (done, gone):
        assert end.returncode == 2
        assert end.stdout.count("the record (/var/lib/podlab/record.json) is of a newer podlab (version 99") == 1

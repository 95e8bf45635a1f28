"""Records and text of others, in a lab: what is damaged is named, and no terminal is steered. Nor is it by a host that
lies."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from podlab.printable import is_printable
from tests import preforked

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
    return preforked.look([*words, "-i", str(lab.inventory)], lab.environment())


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
    odd.sh("node1", """echo '{"cursor": "nowhere", "cluster": {"generation": "9"}}' >/var/lib/podlab/record.json""")
    odd.sh("node2", "echo '[]' >/var/lib/podlab/record.json; echo '[]' >/var/lib/podlab/services.json")
    said = odd.converge("--skip-tags", "verify")
    assert "node1: the record (/var/lib/podlab/record.json) is damaged: cursor: must be" in said
    assert "node2: the record (/var/lib/podlab/record.json) is damaged: it is no JSON object" in said
    assert "node2: the record (/var/lib/podlab/services.json) is damaged" in said
    assert odd.sh("node2", "cat /var/lib/podlab/record.json.damaged") == "[]"
    again = odd.converge("--skip-tags", "verify")
    assert "damaged" not in again
    assert odd.lines(again) == []


def test_a_newer_podlabs_record_stops_the_run_before_it_writes(odd):
    odd.sh("node1", "cp /var/lib/podlab/record.json /tmp/r; echo '{\"version\": 99}' >/var/lib/podlab/record.json")
    done = odd.play("--skip-tags", "verify")
    gone = odd.play("-e", "podlab_keep_power=true", playbook="playbooks/teardown.yml")
    odd.sh("node1", "cp /tmp/r /var/lib/podlab/record.json")
    for end in (done, gone):
        assert end.returncode == 2
        assert "the record (/var/lib/podlab/record.json) is of a newer podlab (version 99" in end.stdout


INTERNAL = (
    *("add_host", "add_group", "ansible_facts", "deprecations", "exception", "invocation", "results", "stdout", "diff"),
    *("_ansible_item_label", f"_ansible_{ESCAPES}", "_ansible_verbose_override", "unreachable", f"odd{ESCAPES}"),
)
LIE = {**{name: {ESCAPES: [ESCAPES]} for name in INTERNAL}, "warnings": [ESCAPES], "msg": ESCAPES}
LIAR = """
readlink /usr/bin/python3 >/tmp/python3
rm /usr/bin/python3
cat >/usr/bin/python3 <<'END'
#!/bin/sh
cat >/dev/null
cat /tmp/error >&2
cat /tmp/answer
END
chmod 755 /usr/bin/python3
"""
ASK = """
- hosts: node2
  gather_facts: false
  tasks:
    - name: A module of Ansible's own
      ansible.builtin.setup:
"""


@pytest.fixture
def liar(odd, tmp_path):
    """node2 answers what it likes, whatever it is asked."""
    odd.sh("node2", LIAR)
    (tmp_path / "ask.yml").write_text(ASK)

    def says(answer: str) -> None:
        (tmp_path / "answer").write_text(answer)
        (tmp_path / "error").write_text(f"{ESCAPES}\n")
        for name in ("answer", "error"):
            odd.sh("node2", f"cat >/tmp/{name} <<'END'\n{(tmp_path / name).read_text()}\nEND")

    yield says, str(tmp_path / "ask.yml")
    odd.sh("node2", "ln -sf $(cat /tmp/python3) /usr/bin/python3")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (json.dumps({**LIE, "failed": True}, ensure_ascii=False), "\\x1b]0;owned\\x07"),
        (json.dumps(LIE, ensure_ascii=False), "podlab_observe: this is no answer of the module: missing"),
        (f"{ESCAPES}{{\n{ESCAPES}", "podlab_observe ended with 0: \\x1b]0;owned\\x07"),
    ],
    ids=["failed", "done", "junk"],
)
def test_a_host_that_lies_steers_no_terminal_and_stops_no_other(odd, liar, answer, said):
    says, _ = liar
    says(answer)
    done = odd.play("--skip-tags", "verify")
    assert done.stdout.count("fatal: [node2]") == 1
    assert said in done.stdout
    assert "internal key" not in done.stderr  # what is left out is left out without a word
    assert re.search("^node1 +: ok=[2-9] .* unreachable=0 +failed=0 ", done.stdout, re.M)
    assert is_printable(done.stdout + done.stderr)


def test_nor_by_what_it_answers_to_modules_of_ansibles_own(odd, liar):
    says, playbook = liar
    says(
        json.dumps(
            {"changed": True, "_ansible_item_label": ESCAPES, "add_host": {ESCAPES: ESCAPES}, ESCAPES: ESCAPES},
            ensure_ascii=False,
        )
    )
    done = odd.play("-vvvv", playbook=playbook)
    assert done.stderr.count("Removed unexpected internal key") == 2
    assert is_printable(done.stdout + done.stderr)


def test_nor_where_ansible_runs_modules_in_its_own_way(odd, liar, monkeypatch):
    says, _ = liar
    says(json.dumps({**LIE, "failed": True}, ensure_ascii=False))
    monkeypatch.setenv("ANSIBLE_PIPELINING", "0")
    done = odd.play("-vvv", "--skip-tags", "verify")
    assert "fatal: [node2]" in done.stdout
    assert "Removed unexpected internal key" not in done.stdout + done.stderr
    assert is_printable(done.stdout + done.stderr)


def test_what_liars_tell_of_themselves_is_shown_in_words(odd, liar):
    says, _ = liar
    says(json.dumps({"record": ESCAPES, "system": {ESCAPES: 7}, "pods": ESCAPES}, ensure_ascii=False))
    done = command(odd, "get", "nodes")
    assert done.returncode == 0
    assert "warning: node2: what the host tells of itself cannot be read: " in done.stderr
    assert is_printable(done.stdout + done.stderr)

"""What may stand at the end of a command line. Names are those of a made-up lab; bash is a real one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli import verbs
from cli.errors import CommandError
from cli.hosts import Embedded
from cli.look import columns, objects
from cli.shell import candidates, completion
from tests.answers import RUNS, answer, live


@pytest.fixture
def lit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer(
        live("web", a=RUNS, b=RUNS),
        live("worker", a=RUNS, init={"setup": "Never"}),
        live("other", namespace="far", a=RUNS),
        nodes={"node1": {}, "node2": {}},
        namespaces=["default", "far"],
    )
    state = objects.cluster_state({"node1": found}, ["node1"])
    monkeypatch.setattr(
        candidates, "hosts_of", lambda line: [Embedded(name, "node", {}, "x", 1) for name in ("node1", "outside")]
    )
    monkeypatch.setattr(candidates, "observed", lambda line: state)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ge"], ["get"]),
        (["get", "po"], ["pods"]),
        (["get", "pods,dep"], ["pods,deployments"]),
        (["get", "pods", ""], ["web", "worker"]),
        (["get", "-n", "far", "pods", ""], ["other"]),
        (["get", "pods", "-n", "far", ""], ["other"]),
        (["get", "po/we"], ["po/web"]),
        (["get", "nodes", ""], ["node1", "node2"]),
        (["get", "gizmos", ""], []),
        (["get", "pods", "-n", ""], ["default", "far"]),
        (["get", "pods", "-o", "j"], ["json", "jsonpath="]),
        (["get", "pods", "--sho"], ["--show-labels"]),
        (["get", "pods", "-l", ""], []),
        (["describe", ""], sorted(columns.DESCRIBED)),
        (["describe", "pod", "wo"], ["worker"]),
        (["logs", "w"], ["web", "worker"]),
        (["logs", "-f", "w"], ["web", "worker"]),
        (["logs", "web", ""], []),
        (["logs", "web", "-c", ""], ["a", "b"]),
        (["logs", "-n", "far", "other", "-c", ""], ["a"]),
        (["logs", "--ti"], ["--timestamps"]),
        (["exec", "-it", "web", "-c", "b"], ["b"]),
        (["exec", "-i", "w"], ["web", "worker"]),
        (["exec", "web", "--", "w"], []),
        (["cp", "w"], ["web:", "worker:"]),
        (["node", ""], ["node1", "outside"]),
        (["node", "node1", ""], []),
        (["rules", ""], ["node1", "node2"]),
        (["completion", ""], ["bash", "zsh"]),
        (["nope", ""], []),
        (["up", "--man"], ["--manifests"]),
        (["up", "--manifests", ""], []),
    ],
)  # fmt: skip
def test_candidates(lit: None, words: list[str], found: list[str]) -> None:
    assert candidates.complete(words) == found


def test_all_verbs_without_a_word() -> None:
    assert candidates.complete([""]) == candidates.complete([]) == sorted(verbs.names())


def test_a_lab_that_is_off_has_no_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def off(line: candidates.Line) -> list[Embedded]:
        raise CommandError("the lab is off")

    monkeypatch.setattr(candidates, "hosts_of", off)
    completion.main(["words"], ["logs", ""])
    assert capsys.readouterr() == ("", "")


def test_bash_takes_what_lab_tells(tmp_path: Path) -> None:
    """Through a program in the place of ``lab``, which tells what it was asked."""
    lab = tmp_path / "lab"
    lab.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>asked\nprintf "web one\\nweb:\\n"\n')
    lab.chmod(0o755)
    script = f"""{completion.BASH}
    complete() {{
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _podlab 2>/dev/null
        printf '<%s>' "${{COMPREPLY[@]}}"
    }}
    complete ./lab logs ''
    complete ./lab get pods -n 'my ns' we
    """
    done = subprocess.run(["bash", "--norc", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "<web one><web:><web one><web:>"
    assert (tmp_path / "asked").read_text() == "completion words -- logs \ncompletion words -- get pods -n my ns we\n"

"""A verb is one file and one line of help.txt."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli import verbs

ROOT = Path(__file__).resolve().parents[2]


def test_every_line_has_its_file() -> None:
    assert len(verbs.names()) > 10
    for verb in verbs.names():
        main = verbs.main_of(verb)
        assert main.__module__.rpartition(".")[2] == verb.replace("-", "_")


def test_every_file_has_its_line() -> None:
    files = [
        path.stem for path in (ROOT / "cli").glob("*/*.py") if "def main(words: list[str]" in path.read_text("utf-8")
    ]
    assert sorted(files) == sorted(verb.replace("-", "_") for verb in verbs.names())


@pytest.mark.parametrize("verb", verbs.names())
def test_help_names_the_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        verbs.main_of(verb)(["--help"], [])
    assert end.value.code == 0
    assert re.match(rf"usage: \./lab {verb} ", capsys.readouterr().out)


KUBECTL = [
    "create",
    "expose",
    "run",
    "set",
    "explain",
    "get",
    "edit",
    "delete",
    "rollout",
    "scale",
    "autoscale",
    "certificate",
    "cluster-info",
    "top",
    "cordon",
    "uncordon",
    "drain",
    "taint",
    "describe",
    "logs",
    "attach",
    "exec",
    "port-forward",
    "proxy",
    "cp",
    "auth",
    "debug",
    "events",
    "diff",
    "apply",
    "patch",
    "replace",
    "wait",
    "kustomize",
    "label",
    "annotate",
    "completion",
    "api-resources",
    "api-versions",
    "config",
    "version",
    "options",
]
"""What ``kubectl --help`` of 1.35 lists, but for plugins."""
INSTEAD = dict(re.findall(r"^([a-z-]+)  +(.+)$", (ROOT / "cli" / "kubectl.txt").read_text("utf-8"), re.MULTILINE))


def test_every_verb_of_kubectls_is_one_or_has_what_does_it_here() -> None:
    assert sorted([*INSTEAD, *(set(KUBECTL) & set(verbs.names()))]) == sorted(KUBECTL)
    named = [verb for line in INSTEAD.values() for verb in re.findall(r"\./lab ([a-z-]+)", line)]
    assert set(named) <= set(verbs.names())


@pytest.mark.parametrize("verb", INSTEAD)
def test_a_verb_of_kubectls_is_answered_with_what_does_it_here(verb: str) -> None:
    done = subprocess.run([ROOT / "lab", verb, "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lab: there is no verb '{verb}' here: {INSTEAD[verb]}\n"

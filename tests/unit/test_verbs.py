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
    "plugin",
    "alpha",
    "kuberc",
]
"""What ``kubectl --help`` of 1.35 lists."""
ROWS = dict(re.findall(r"^([a-z -]+?)  +(.+)$", (ROOT / "cli" / "kubectl.txt").read_text("utf-8"), re.MULTILINE))
OPTIONS = {row for row in ROWS if " -" in row}
INSTEAD = {row: line for row, line in ROWS.items() if row not in OPTIONS}
"""What ``lab`` answers; of an option of a verb that is here Python does."""


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "lab", *words], capture_output=True, text=True, check=False)


def test_every_verb_of_kubectls_is_one_or_has_what_does_it_here() -> None:
    verbs_alone = {row for row in INSTEAD if " " not in row}
    assert sorted({*verbs_alone, *(set(KUBECTL) & set(verbs.names()))}) == sorted(KUBECTL)
    assert verbs_alone & set(verbs.names()) == {"create"}  # of which one form is here
    named = [verb for line in ROWS.values() for verb in re.findall(r"\./lab ([a-z][a-z-]*)", line)]
    assert set(named) <= set(verbs.names())


@pytest.mark.parametrize("row", sorted({*INSTEAD} - {"create", "create job"}))
def test_a_verb_of_kubectls_is_answered_with_what_does_it_here(row: str) -> None:
    done = lab(*row.split(), "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lab: there is no verb '{row}' here: {INSTEAD[row]}\n"


@pytest.mark.parametrize("verb", [row for row in INSTEAD if " " not in row])
def test_so_is_one_without_a_word(verb: str) -> None:
    assert lab(verb).stderr == f"lab: there is no verb '{verb}' here: {INSTEAD[verb]}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("-f", "x.yml"),
        ("deployment", "web", "--image=nginx"),
        ("--filename=x.yml",),
        ("-n", "shop", "service", "clusterip", "web", "--tcp=80"),
        ("quota", "x\033[31m"),
    ],
)
def test_what_create_does_not_make_is_answered_as_apply_is(words: tuple[str, ...]) -> None:
    done = lab("create", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lab: there is no verb 'create {words[0]}' here: {INSTEAD['create']}\n"
    assert INSTEAD["create"] == INSTEAD["apply"]


def test_a_job_of_no_cron_job_is_none_that_create_makes() -> None:
    done = lab("create", "job", "pi", "--image=perl")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {INSTEAD['create job']}\n")


@pytest.mark.parametrize("row", sorted(OPTIONS))
def test_an_option_of_kubectls_is_answered_with_what_does_it_here(row: str) -> None:
    verb, option = row.split()
    done = lab(verb, "pods", option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lab {verb}: there is no {option} here: {ROWS[row]}\n"
    assert lab(verb, "pods", f"{option}=x").stderr.startswith(f"lab {verb}: ")


def test_options_stand_behind_the_verb() -> None:
    done = lab("-n", "shop", "get", "pods")
    assert (done.returncode, done.stderr) == (2, "lab: options stand behind the verb: ./lab VERB -n\n")

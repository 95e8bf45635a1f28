"""A package that is joined into one program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from podlab.changes.pods.s6_commands import programs
from podlab.controller import inputs
from podlab.controller.single_file import join

ROOT = Path(__file__).parents[2]


def package(path: Path, **modules: str) -> Path:
    made = path / "tool"
    made.mkdir()
    for name, text in modules.items():
        (made / f"{name}.py").write_text(text)
    return made


def test_modules_find_each_other_and_nothing_beside_them(tmp_path: Path) -> None:
    made = package(
        tmp_path,
        __init__='"""A tool."""\n',
        __main__="from . import words\nfrom .deeper import say\nsay(words.TEXT)\n",
        words='TEXT = "a\\\\b \\"c\\" é"\n',
        deeper="import json\nfrom .words import TEXT\ndef say(text): print(json.dumps([text, TEXT == text]))\n",
    )
    program = tmp_path / "program"
    program.write_text(join(made))
    (tmp_path / "words.py").write_text("TEXT = 'beside it'\n")
    done = subprocess.run(["/usr/bin/python3", "-IS", program], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ('["a\\\\b \\"c\\" \\u00e9", true]\n', "")


def test_a_text_that_would_end_early_is_refused(tmp_path: Path) -> None:
    made = package(tmp_path, __init__="", __main__="", words="TEXT = '''x'''\n")
    with pytest.raises(ValueError, match=r"words\.py: ''' would end its text"):
        join(made)


def test_the_command_that_a_person_would_type_makes_what_a_host_gets() -> None:
    sent = inputs.read(str(ROOT), "manifests", {}).programs["kubelet"]
    (typed,) = (command.summary for command in programs({"kubelet": sent}))  # type: ignore[union-attr]
    joining, _, installing = typed.partition(" | ")
    assert installing == "install -D -m 755 /dev/stdin /var/lib/podlab/images/kubelet"
    assert subprocess.run(joining.split(), cwd=ROOT, capture_output=True, text=True, check=True).stdout == sent

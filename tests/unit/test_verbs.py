"""A verb is one file and one line of help.txt."""

from __future__ import annotations

import re
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

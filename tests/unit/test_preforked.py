"""What is forked from a loaded program does and says what the program itself does and says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preforked

PLAIN = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
PLAIN = {name: value for name, value in PLAIN.items() if name != "PYTEST_CURRENT_TEST"}


def told(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [["get", "nothing"], ["exec", "pair"], ["node", "--nonsense"], ["logs", "--help"]])
def test_a_verb_says_what_it_says(words: list[str]) -> None:
    argv = [str(preforked.ROOT / "lab"), *words]
    itself = subprocess.run(argv, env=PLAIN, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert told(preforked.look(words, PLAIN)) == told(itself)


@pytest.mark.parametrize("words", [["up", "--nonsense"], ["up", "--syntax-check"], ["down", "--help"], ["reset"]])
def test_a_verb_that_plays_says_what_it_says(words: list[str]) -> None:
    argv = [str(preforked.ROOT / "lab"), *words]
    itself = subprocess.run(argv, env=PLAIN, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert told(preforked.up(words, PLAIN)) == told(itself)


@pytest.mark.parametrize(("options", "code"), [(["-e", "code=0"], 0), (["-e", "code=1"], 2), (["--nonsense"], 2)])
def test_a_playbook_is_played_and_ends_as_it_ends(options: list[str], code: int, tmp_path: Path) -> None:
    book = tmp_path / "play.yml"
    book.write_text("- {hosts: localhost, gather_facts: false, tasks: [{assert: {that: code | int == 0}}]}\n")
    done = preforked.play(["ansible-playbook", "-c", "local", "-i", "localhost,", str(book), *options], PLAIN)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("PLAY RECAP" in done.stdout) == (options[0] == "-e")


def test_what_is_not_ansible_playbook_is_run_as_it_is(tmp_path: Path) -> None:
    done = preforked.play(["sh", "-c", "pwd; echo err >&2; exit 7"], PLAIN, tmp_path)
    assert told(done) == (7, f"{tmp_path}\n", "err\n")

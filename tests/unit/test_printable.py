"""What podlab says never steers a terminal, and many problems fit on a screen."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli import output
from cli.look import get
from podlab.changes import script_text
from podlab.controller.guarded import Guarded
from podlab.planner.preflight.listing import listed
from podlab.printable import is_printable, printable, printable_result

CLI = Path(output.__file__).parent
HOSTILE = "a\x1b[31mb\x07\x7f\x9b\r\u202e\u2028\udcff"
SHOWN = "a\\x1b[31mb\\x07\\x7f\\x9b\\x0d\\u202e\\u2028\\xff"


def test_what_steers_a_terminal_is_written_out():
    assert printable(HOSTILE) == SHOWN
    assert printable("tab\tline\nümläut ✓ 日本 👩\u200d🚀") == "tab\tline\nümläut ✓ 日本 👩\u200d🚀"


@given(st.text())
def test_nothing_is_left_and_it_is_done_once(text: str):
    assert is_printable(printable(text))
    assert printable(printable(text)) == printable(text)
    printable(text).encode()


def test_the_cli_says_nothing_raw(capsys: pytest.CaptureFixture[str]):
    output.print_text(HOSTILE)
    output.print_error(HOSTILE)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_no_print_goes_past_it():
    files = [*CLI.rglob("*.py")]
    past = {file.name for file in files if "print(" in file.read_text()}
    assert past <= {"askpass.py", "bench.py", "test.py", "relay.py", "output.py"}, (
        "of the developer's, and what runs on a host"
    )


def test_yaml_and_json_escape_by_themselves(capsys: pytest.CaptureFixture[str]):
    item = {"metadata": {"name": HOSTILE, "annotations": {HOSTILE: HOSTILE}}}
    for form in ("json", "yaml"):
        get.show({"pods": [item]}, get.OutputOptions(form))
        said = capsys.readouterr().out
        assert is_printable(said)
        read = json.loads(said) if form == "json" else yaml.safe_load(said)
        assert read["items"][0]["metadata"]["name"].startswith("a\x1b[31mb\x07\x7f\x9b\r\u202e\u2028")


def test_a_result_of_a_task(tmp_path: Path):
    told = {"msg": HOSTILE, "warnings": [HOSTILE], "diff": {"prepared": HOSTILE}, "observation": HOSTILE}
    found = printable_result(told)
    assert found == {"msg": SHOWN, "warnings": [SHOWN], "diff": {"prepared": SHOWN}, "observation": HOSTILE}


@pytest.mark.parametrize("key", ["msg", "diff", "warnings", "deprecations", "exception"])
@pytest.mark.parametrize("shape", [HOSTILE, [HOSTILE], [{HOSTILE: [HOSTILE]}], {"prepared": {HOSTILE: HOSTILE}}])
def test_a_host_may_give_a_result_any_shape(key: str, shape: object):
    assert is_printable("".join(_strings(printable_result({key: shape}))))


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _strings(item)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("content", ["x='\x1b[31m'\n", "\x9b no end of line", "\u202e\n", "plain\n", "it's\n"])
def test_a_script_is_clean_and_writes_the_very_bytes(tmp_path: Path, content: str):
    lines = "\n".join(script_text.file_lines(f"{tmp_path}/file", content)) + "\n"
    assert is_printable(lines)
    subprocess.run(["sh"], input=lines, text=True, check=True)
    assert (tmp_path / "file").read_text("utf-8") == content


# --- many problems


def test_one_mistake_at_many_places_is_one_line():
    same = [f'sa.yml:{line}: no matches for kind "ServiceAccount" in version "v1"' for line in range(1, 12)]
    named = [f'web.yml:{at}: The Pod "p{at}" is invalid: spec.x: Required value' for at in range(3)]
    assert listed([*same, *named, "podlab_cluster_cidr: wrong"]) == [
        "15 problems; nothing was changed:",
        '11 times: no matches for kind "ServiceAccount" in version "v1": sa.yml:1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11',
        "3 times: The Pod ... is invalid: spec.x: Required value: web.yml:0 (p0), 1 (p1), 2 (p2)",
        "podlab_cluster_cidr: wrong",
    ]
    assert listed(same[:2])[1:] == same[:2]
    assert listed(same, whole=True)[1:] == same
    assert listed(same[:1]) == same[:1]


def test_41_problems_fit_a_screen_and_all_of_them_can_be_seen():
    problems = [f"m.yml:{at}: problem number {at}: {'words ' * 40}" for at in range(41)]
    lines = listed(problems)
    assert sum(-(-len(line) // 80) for line in lines) <= 40
    assert lines[-1] == "and 25 more; -v lists them all, in full"
    assert listed(problems, whole=True)[1:] == problems


# --- output that cannot be written


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_run_goes_on_when_its_output_is_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    stream = Guarded(Full())
    stream.write("x")
    stream.flush()
    assert stream.exit_code() == 1
    assert capsys.readouterr().err == "error: standard output: No space left on device\n"


@pytest.mark.parametrize("words", [["get", "--help"], ["up", "--help"]])
def test_full_and_closed_output_is_said(words: list[str]):
    command = [sys.executable, str(CLI), *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")
    lab = str(CLI.parent / "lab")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", lab, *words], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "lab: standard output is closed\n")


def test_a_directory_that_is_gone_is_said(tmp_path: Path):
    gone = tmp_path / "gone"
    gone.mkdir()
    lab = str(CLI.parent / "lab")
    done = subprocess.run(
        ["sh", "-c", 'cd "$1" && rmdir "$1" && exec "$2" get pods', "sh", str(gone), lab],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the directory that this was called from is not there any more" in done.stderr


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    command = [sys.executable, str(CLI), "up", "--check"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "file")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Unable to create local directories")
    assert f"{tmp_path}/file" in done.stderr
    assert "Traceback" not in done.stderr

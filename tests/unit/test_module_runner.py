"""Code of podlab's modules, kept on a host between calls."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from podlab.host import module_runner

SOURCE = "answer = 42\n"


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept, on a file system that podlab has mounted."""
    monkeypatch.setattr(module_runner, "CODE", str(tmp_path / "code"))
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path))
    return tmp_path / "code"


def answer(source: str = SOURCE) -> object:
    told: dict[str, object] = {}
    exec(module_runner.compiled("m", source), told)
    return told["answer"]


def test_it_is_compiled_once(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer() == 42
    assert [path.name for path in code.iterdir()] == ["m"]
    assert code.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(module_runner, "compile", None, raising=False)
    assert answer() == 42


def test_another_text_or_another_python_is_compiled_anew(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer() == 42
    assert answer("answer = 43\n") == 43
    assert answer() == 42
    before = (code / "m").read_bytes()
    monkeypatch.setattr(sys, "version", "4.0")
    assert answer() == 42
    assert (code / "m").read_bytes() != before


@pytest.mark.parametrize(
    "how", [lambda data: b"", lambda data: data[:-3], lambda data: b"x" + data, lambda data: data[:-9] + b"123456789"]
)
def test_what_is_damaged_is_written_anew(code: Path, how) -> None:
    assert answer() == 42
    whole = (code / "m").read_bytes()
    (code / "m").write_bytes(how(whole))
    assert answer() == 42
    assert (code / "m").read_bytes() == whole


def test_nothing_is_kept_where_podlab_has_no_file_system(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: False)
    assert answer() == 42
    assert not code.exists()


def test_a_directory_that_cannot_be_written_is_none(code: Path) -> None:
    code.write_text("in the way")
    assert answer() == 42

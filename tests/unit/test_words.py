"""Words that must not come back: ``words.yml`` has them, with what to say instead."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "unit" / "words.yml"
WORDS: list[Mapping[str, Any]] = yaml.safe_load(TABLE.read_text("utf-8"))
# What has been is told in the words of then; lists of packages have names of others.
NEVER = ("CHANGELOG.md", "LICENSE", "requirements*", "cli/uv.*", "tests/unit/words.yml", "tests/unit/test_words.py")


def matches(name: str, patterns: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split())


def pattern(word: str) -> re.Pattern[str]:
    """Letters end a word, and so does a change to upper case; underscores and digits are between words."""
    return re.compile(rf"(?<![A-Za-z])(?i:{word})(?![a-z])")


def texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone, so there is no list of its files")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_symlink() or not path.is_file() or matches(name, " ".join(NEVER)):
            continue
        yield name, name  # the name counts as well
        try:
            yield name, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def test_no_word_is_back() -> None:
    rules = [(pattern(one["word"]), one) for one in WORDS]
    found = []
    for name, text in texts():
        for searched, one in rules:
            if not matches(name, one.get("in", "*")) or matches(name, one.get("but", "")):
                continue
            for match in searched.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: {match[0]!r}; say instead: {one['say']}")
    assert not found, "\n".join(found)


def test_every_exception_is_needed() -> None:
    """A file that does not have the word is no exception any more."""
    had = {(at, part) for at, one in enumerate(WORDS) for part in one.get("but", "").split()}
    rules = [(at, pattern(one["word"]), one["but"].split()) for at, one in enumerate(WORDS) if "but" in one]
    for name, text in texts():
        for at, searched, parts in rules:
            mine = [part for part in parts if fnmatch.fnmatch(name, part)]
            if mine and searched.search(text):
                had -= {(at, part) for part in mine}
    assert not had, [(WORDS[at]["word"], part) for at, part in had]


@pytest.mark.parametrize(
    ("word", "text", "is_found"),
    [
        ("luggage", "its luggage", True),
        ("luggage", "load_luggage()", True),
        ("luggage", "LuggageRack", True),
        ("luggage", "LUGGAGE = 1", True),
        ("chapters?", "CHAPTERS", True),
        ("tidy", "untidy", False),
        ("tidy", "tidying", False),
        ("lane", "the planet", False),
    ],
)
def test_what_a_word_is(word: str, text: str, is_found: bool) -> None:
    assert bool(pattern(word).search(text)) is is_found

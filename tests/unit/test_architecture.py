"""docs/architecture.md names files and folders that exist, and its walk stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PLANNER = ROOT / "module_utils" / "podlab" / "planner"
MOST_STOPS = 15


def paths(text: str) -> list[str]:
    """What stands in backticks and is a path of the clone; ``GROUP/VERB.py`` stands for many."""
    words = re.findall(r"`([\w./-]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return sorted({word for word in words if "/" in word and not word.startswith((".", "/")) and "GROUP" not in word})


def section(heading: str) -> str:
    return PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]


def test_every_path_exists() -> None:
    named = paths(PAGE)
    assert len(named) > 40, "that is not all of them"
    parents = (ROOT, ROOT / "cli", PLANNER, Path("/"))
    gone = [path for path in named if not any((parent / path).exists() for parent in parents) and path != "boot/"]
    assert gone == []


def test_every_folder_of_the_planner_is_explained() -> None:
    folders = {path.name for path in PLANNER.iterdir() if (path / "__init__.py").exists()}
    table = section("The rooms").partition("The folders of")[2]
    assert folders == set(re.findall(r"^\| `(\w+)/` \|", table, re.MULTILINE))


def test_the_walk_is_short() -> None:
    walked = [path for path in paths(section("One walk")) if path.endswith((".py", ".yml"))]
    assert 10 < len(walked) <= MOST_STOPS + 1, "the manifest itself, and a file each"


@pytest.mark.parametrize("text", ["`module_utils/podlab/nothing.py`", "a `cli/look/nothing.py` b"])
def test_a_path_that_is_gone_is_seen(text: str) -> None:
    assert [path for path in paths(text) if not (ROOT / path).exists()]

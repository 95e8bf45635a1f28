"""A file tells one story, and a function fits a screen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("module_utils", "library", "cli", "bench", "embedded", "images")
PLUGINS = ("action_plugins", "callback_plugins", "connection_plugins", "filter_plugins")

LONGEST_FILE, LONGEST_FUNCTION = 350, 50
IS_DATA = "_table.py"

# What is longer still, with its lines: none of it grows, and none is added. Who makes one shorter takes its line away.
LONG = {
    "module_utils/podlab/controller/script.py": 400,
    "module_utils/podlab/phases.py": 410,
}


def long_ones(file: str, text: str) -> Iterator[tuple[str, int]]:
    lines = text.count("\n")
    if lines > LONGEST_FILE and not file.endswith(IS_DATA):
        yield file, lines
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{file}: {node.name}", lines


def test_files_and_functions_are_short():
    files = [path for folder in (*CODE, *PLUGINS) for path in sorted((ROOT / folder).rglob("*.py"))]
    found = {
        name: lines for path in files for name, lines in long_ones(str(path.relative_to(ROOT)), path.read_text("utf-8"))
    }
    assert len(files) > 200
    assert {name: lines for name, lines in found.items() if lines > LONG.get(name, 0)} == {}


def test_what_is_too_long():
    short, long = "def f():\n" + " pass\n" * 49, "def f():\n" + " pass\n" * 50
    assert list(long_ones("a.py", short)) == []
    assert list(long_ones("a.py", long)) == [("a.py: f", 51)]
    assert list(long_ones("a.py", "#\n" * 351)) == [("a.py", 351)]
    assert list(long_ones("a_table.py", "#\n" * 351)) == []

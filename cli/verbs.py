"""The verbs: each has a line in ``help.txt``, and a file ``GROUP/VERB.py`` with a function ``main``.

A file is imported when its verb is asked for: what one verb needs costs the others no time.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent

Main = Callable[[list[str], list[str]], "int | None"]
"""Takes the words up to the first ``--``, and those after it; returns the exit code."""


def names() -> list[str]:
    """As ``./lab --help`` lists them; the shell script knows a verb by the same lines."""
    return re.findall(r"^  \./lab ([a-z-]+)", (HERE / "help.txt").read_text("utf-8"), re.MULTILINE)


def instead_of(verb: str, word: str) -> str:
    """What to do here in place of a verb of kubectl's with this word or option; empty where nothing is said of it."""
    rows = dict(re.findall(r"^([a-z -]+?)  +(.+)$", (HERE / "kubectl.txt").read_text("utf-8"), re.MULTILINE))
    found: str = rows.get(f"{verb} {word}", "")
    return found


def main_of(verb: str) -> Main:
    name = verb.replace("-", "_")
    (file,) = HERE.glob(f"*/{name}.py")
    main: Main = importlib.import_module(f"{__package__}.{file.parent.name}.{name}").main
    return main

"""Many problems on one screen: the same mistake at many places is one line, and a long list ends in time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MANY = 3  # places, from which on a mistake is told once
ROWS, COLUMNS = 30, 120  # of a screen; Ansible prints a dozen lines around it
MOST, LONGEST = 16, 156  # lines, and characters of each, of a list that does not fit
PLACES = 12  # that a line names

_PLACED = re.compile(r"(?P<where>[^\s:]+(?::\d+)?): (?P<words>.+)", re.DOTALL)
_NAMED = re.compile(r'(?P<before>[^"]*)"(?P<name>[^"]*)"(?P<after> is (?:invalid|forbidden): .*)', re.DOTALL)


def listed(problems: Sequence[str], *, whole: bool = False) -> list[str]:
    """The lines to print.

    :param whole: every problem, in a line of its own.
    """
    lines = list(problems) if whole else _fitting(list(_grouped(problems)))
    return [f"{len(problems)} problems; nothing was changed:", *lines] if len(problems) > 1 else lines


def _grouped(problems: Sequence[str]) -> Iterable[tuple[int, str, str]]:
    """How many problems a line stands for, what is wrong, and where else. A mistake stands where it was met first."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(_kind_of(problem), []).append(problem)
    for words, same in alike.items():
        if len(same) < MANY:
            yield from ((1, problem, "") for problem in same)
        else:
            yield len(same), f"{len(same)} times: {words}", f": {_places(same)}"


def _kind_of(problem: str) -> str:
    """What is wrong, without where and without whose it is."""
    placed = _PLACED.fullmatch(problem)
    if placed is None:
        return problem
    named = _NAMED.fullmatch(placed["words"])
    if named is None:
        return placed["words"]
    after = named["after"].replace(f'"{named["name"]}"', "...")
    return f"{named['before']}...{after}"


def _places(problems: Sequence[str]) -> str:
    """``web.yml:3 (a), 9 (b), db.yml:1 (c)``"""
    found, last = [], ""
    for problem in problems[:PLACES]:
        placed = _PLACED.fullmatch(problem)
        assert placed is not None  # or it would be like no other
        named = _NAMED.fullmatch(placed["words"])
        file, _, line = placed["where"].rpartition(":")
        place = line if file and file == last else placed["where"]
        last = file
        found.append(f"{place} ({named['name']})" if named else place)
    more = len(problems) - len(found)
    return ", ".join(found) + (f" and {more} more" if more else "")


def _fitting(lines: Sequence[tuple[int, str, str]]) -> list[str]:
    """All of it, or the beginnings of the first lines and how to see the rest."""
    full = [words + where for _, words, where in lines]
    rows = sum(-(-len(part) // COLUMNS) or 1 for line in full for part in line.split("\n"))
    if rows <= ROWS or len(lines) == 1:
        return full
    left = sum(count for count, _, _ in lines[MOST:])
    more = f"and {left} more; " if left else ""
    return [*(_cut(words) + where for _, words, where in lines[:MOST]), f"{more}-v lists them all, in full"]


def _cut(words: str) -> str:
    first, *rest = words.split("\n")
    return first if len(first) <= LONGEST and not rest else f"{first[:LONGEST].rstrip()}..."

"""What becomes of an object of a kind that podlab does not read: it is passed over, or it is a mistake."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from .kind_table import CUSTOM, GONE, GROUPS, IGNORED, ISOLATION
from .model import Ignored

_MOST_NAMES = 3


def why_ignored(version: str, kind: str) -> str:
    """Why an object is passed over; empty where it may not be."""
    if kind in IGNORED and version in IGNORED[kind][0]:
        return IGNORED[kind][1]
    group, slash, _ = version.rpartition("/")
    is_custom = slash and "." in group and group not in GROUPS
    return CUSTOM if is_custom else ""


def no_match(version: str, kind: str, read: Collection[tuple[str, str]]) -> str:
    """What is wrong with an object that may not be passed over, and what to write instead.

    :param read: the pairs of version and kind that are read.
    """
    present = [*(known for known, name in read if name == kind), *(IGNORED[kind][0] if kind in IGNORED else ())]
    if kind in GONE:
        instead = GONE[kind]
    elif present:
        instead = f"it is {present[0]} by now: write apiVersion: {present[0]}, and mind what has changed in it"
    else:
        instead = "podlab takes " + ", ".join(f"{name} ({known})" for known, name in read)
    return f'no matches for kind "{kind}" in version "{version}"; {instead}'


def notes(ignored: Iterable[Ignored]) -> list[str]:
    """A line for each kind."""
    return [_line(kind, why, names) for (kind, why), names in alike(ignored)]


def alike(ignored: Iterable[Ignored]) -> list[tuple[tuple[str, str], list[str]]]:
    """Kind and reason, and the names; the kind that must not be overlooked comes first."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in ignored:
        found.setdefault((one.kind, one.why), []).append(one.name)
    return sorted(found.items(), key=_last_unless_loud)


def some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _last_unless_loud(item: tuple[tuple[str, str], list[str]]) -> bool:
    return item[0][1] != ISOLATION


def _line(kind: str, why: str, names: list[str]) -> str:
    whole = f"{kind} {some(names)}"
    return f"{whole} {'is' if len(names) == 1 else 'are'} {why}" if why == ISOLATION else f"ignored: {whole}: {why}"

"""Which objects the words after ``get`` or ``describe`` ask for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import CommandError
from .columns import ALIASES, ALL

Wanted = dict[str, list[str]]
"""Plural of a kind -> the names asked for; none is all of them."""


def parse(words: Sequence[str]) -> Wanted:
    """What the words after ``get`` or ``describe`` ask for.

    :raises CommandError: a kind that there is not, or both forms in one.
    """
    wanted: Wanted = {}
    if any("/" in word for word in words):
        for word in words:
            kind, sign, name = word.partition("/")
            if not sign:
                raise CommandError(
                    "error: there is no need to specify a resource type as a separate argument when passing "
                    "arguments in resource/name form (e.g. './lab get resource/<resource_name>' instead of "
                    "'./lab get resource resource/<resource_name>'"
                )
            if not kind or not name or "/" in name:
                raise CommandError("error: arguments in resource/name form must have a single resource and name")
            (plural,) = _plurals(kind) if "," not in kind else [_no_such_kind(kind)]
            wanted.setdefault(plural, []).append(name)
        return wanted
    kinds, *names = words
    for plural in _plurals(kinds):
        wanted[plural] = list(dict.fromkeys(names))
    return wanted


def _plurals(kinds: str) -> list[str]:
    found: dict[str, None] = {}
    for kind in kinds.split(","):
        if kind == "all":
            found |= dict.fromkeys(ALL)
        else:
            found[ALIASES.get(kind.lower()) or _no_such_kind(kind)] = None
    return list(found)


def _no_such_kind(kind: str) -> str:
    raise CommandError(f'error: the server doesn\'t have a resource type "{kind}"')

"""Fields that several kinds have. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ..objects import Object
from ..table import NONE, moment

Lines = list[str]
"""Text whose columns are still to be lined up: tabs stand between them."""


def created(metadata: Object) -> Lines:
    if "creationTimestamp" not in metadata:
        return []
    return [f"CreationTimestamp:\t{time_text(metadata['creationTimestamp'])}"]


def label_lines(head: str, labels: Mapping[str, str] | None) -> Lines:
    first, *others = [f"{key}={value}" for key, value in sorted((labels or {}).items())] or [NONE]
    return [f"{head}:\t{first}", *(f"\t{line}" for line in others)]


def annotation_lines(annotations: Mapping[str, str] | None) -> Lines:
    """A value of several lines, or one that would not fit beside its key, stands below it."""
    lines = []
    for key, value in sorted((annotations or {}).items()):
        below = value.strip("\n").split("\n")
        if len(below) == 1 and len(value) + len(key) + 2 < 140:
            lines.append(f"{key}: {below[0]}")
        else:
            lines += [f"{key}:", *(f"  {line[:137] + '...' if len(line) > 140 else line}" for line in below)]
    first, *others = lines or [NONE]
    return [f"Annotations:\t{first}", *(f"\t{line}" for line in others)]


def time_text(timestamp: str) -> str:
    """RFC 1123 with a numeric zone, which kubectl tells times in; here it is always UTC."""
    return moment(timestamp).strftime("%a, %d %b %Y %H:%M:%S +0000")

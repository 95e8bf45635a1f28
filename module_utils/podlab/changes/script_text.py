"""What takes a person more than one line to type: a diff names it in one, a script has all of it."""

from __future__ import annotations

import base64
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..printable import is_printable


@dataclass(frozen=True)
class Snippet:
    """``summary`` is a line of a diff: a command as well, or a comment that names what is written."""

    summary: str
    lines: tuple[str, ...]


Typed = str | Snippet


class Section(NamedTuple):
    """Lines that belong together, and why they are there, for who reads a script."""

    why: str
    typed: list[Typed]


def summary(typed: Iterable[Typed]) -> list[str]:
    return [line if isinstance(line, str) else line.summary for line in typed]


def full(typed: Iterable[Typed]) -> list[str]:
    return [line for item in typed for line in ([item] if isinstance(item, str) else item.lines)]


def files(directory: str, contents: Mapping[str, str], programs: Sequence[str] = ()) -> Snippet:
    """Write files of one directory, which is there; ``programs``: those of them that are meant to be run."""
    names = ",".join(contents)
    words = f"{directory}/{{{names}}}" if len(contents) > 1 else f"{directory}/{names}"
    lines = [line for name, text in contents.items() for line in file_lines(f"{directory}/{name}", text)]
    lines += [f"chmod 755 {' '.join(f'{directory}/{name}' for name in programs)}"] if programs else []
    return Snippet(f"# write {words}", tuple(lines))


def file_lines(path: str, content: str | bytes) -> list[str]:
    """A file, byte for byte, as a here-document wherever it is text of whole lines."""
    where = shlex.quote(path)
    # The script is printed, too: what would steer a terminal is written out, and the file is the same.
    if isinstance(content, bytes) or not is_printable(content):
        data = content if isinstance(content, bytes) else content.encode()
        return [f"base64 -d >{where} <<'END'", *textwrap.wrap(base64.b64encode(data).decode(), 76), "END"]
    if not content:
        return [f": >{where}"]
    if not content.endswith("\n"):
        return [f"printf %s {shlex.quote(content)} >{where}"]
    end, lines = "END", content.split("\n")
    while end in lines:
        end += "_"
    return [f"cat >{where} <<'{end}'", *lines[:-1], end]

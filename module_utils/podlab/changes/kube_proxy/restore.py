"""How a change of the KUBE-* chains is written: as transactions of one iptables-restore, and as a person would type it.

A run of ``iptables-restore --noflush`` names what changes and nothing else, so rules of others and counters stay. With
iptables-nft it is no way for large changes as they come: a transaction with 40,000 chains takes the square of their
number (44 s), and in a user namespace none may be larger than a socket's buffer (212,992 bytes, some 300 rules). To
write the whole table instead takes 2.4 s, and loses whatever others add to it meanwhile.

So a large change is cut. First come the chains that no packet can get to yet, a transaction for every so many, each
chain after those that it leads to. The one that leads packets there is then as small as that of a single Service. No
packet ever sees half a ruleset, there is no window in which a rule of somebody else could get lost, and it takes as
long as the whole table does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ...configs import ServicesConfig
from ..netfilter.rules import commands as as_typed
from .diff import Change, joined
from .names import port_chains

MOST_SHOWN = 200
"""Lines of a table that a reader is shown."""

_SERVICE = re.compile(r'--comment "(?:[^"/]* )?([a-z0-9-]+/[a-z0-9-]+)')


class BatchLimit(NamedTuple):
    """What one transaction of iptables-nft may hold. ``size`` is in bytes; None: whatever is needed."""

    size: int | None = None
    lines: int = 1800
    """It compares every name of a chain with those of all the others."""


ANYWHERE = BatchLimit(size=190_000)
"""Fits into the buffer that a socket has everywhere (212,992 bytes), for who does not know yet where it is written."""

Transaction = tuple[str, list[str]]
"""A table, and the lines between its name and COMMIT."""


def transactions(found: Mapping[str, Change], room: BatchLimit | None) -> list[Transaction]:
    """What has to be written, in its order.

    :param room: None where transactions are as large as they like to be: iptables-legacy.
    """
    early: list[Transaction] = []
    late: list[Transaction] = []
    for table, change in found.items():
        lines = change.lines()
        if room is None or _fits(len(lines), size_of(lines), room):
            late.append((table, lines))
            continue
        early += [(table, part) for part in _packed(([line] for line in change.unreachable_edits()), room)]
        late += [(table, part) for part in _packed(change.live_edits(), room)]
    return early + late


def _packed(pieces: Iterable[list[str]], room: BatchLimit) -> Iterator[list[str]]:
    lines: list[str] = []
    size = 0
    for piece in pieces:
        more = size_of(piece)
        if lines and not _fits(len(lines) + len(piece), size + more, room):
            yield lines
            lines, size = [], 0
        lines += piece
        size += more
    if lines:
        yield lines


def _fits(lines: int, size: int, room: BatchLimit) -> bool:
    return lines <= room.lines and (room.size is None or size <= room.size)


def size_of(lines: Iterable[str]) -> int:
    """About how many bytes these lines are as messages to the kernel. A comment is 256, however short it is."""
    return sum(
        256 if line.startswith(":") else 120 + 60 * line.count(" -") + (230 if '"' in line else 0) for line in lines
    )


def restore_text(steps: Iterable[Transaction]) -> str:
    """Input of one ``iptables-restore --noflush``."""
    return "".join(f"*{table}\n{joined(lines)}COMMIT\n" for table, lines in steps)


def commands(found: Mapping[str, Change], most: int = MOST_SHOWN) -> list[str]:
    """The same as a person would type it, as far as anybody wants to read that."""
    typed = []
    for table, change in found.items():
        lines = change.lines()
        typed += as_typed(table, lines[:most])
        if len(lines) > most:
            typed.append(f"# ... and {len(lines) - most:,} more lines for iptables-restore, table {table}")
    return typed


def set_words(seconds: int) -> str:
    """An ipset of clients: its kind, and what goes with it."""
    return f"hash:ip timeout {seconds} maxelem 65536"


def service_of(line: str, row: ServicesConfig) -> str:
    """Whose rule or chain a line for iptables-restore is, ``default/web``; nothing where it is nobody's alone."""
    if said := _SERVICE.search(line):
        return said[1]
    names = set(re.findall("KUBE-(?:SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}", line))
    for port in row["ports"] if names else ():
        if names & port_chains(port):
            return port["service"]
    return ""

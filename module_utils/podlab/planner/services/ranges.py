"""Ranges that numbers are given out of: addresses, ports. And the words for what does not fit into one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..manifests import fields
from .model import Service


@dataclass
class Range:
    """Numbers from ``first`` to ``last``, each with one owner. The lowest ``band`` of them are given out last."""

    first: int
    last: int
    band: int = 0
    owners: dict[int, object] = field(default_factory=dict)
    is_full: bool = False

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def take(self, number: int, owner: object) -> bool:
        """Whether it is the owner's now; nobody else may have it, and it has to be in the range."""
        return number in self and self.owners.setdefault(number, owner) == owner

    def find(self, seed: str, owner: object) -> int | None:
        """A free number, or None where there is none. It is taken."""
        if self.is_full:
            return None
        start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        upper = self.first + self.band
        for first, size in ((upper, self.last - upper + 1), (self.first, self.band)):
            for step in range(size):
                number = first + (start + step) % size
                if number not in self.owners:
                    self.owners[number] = owner
                    return number
        self.is_full = True
        return None


def lower_band(size: int, step: int, most: int) -> int:
    """How many of a range are kept for those who ask for a number (``calculateRangeOffset``)."""
    return 0 if size <= 16 else min(max(size // step, 16), most)


def number_of(ip: str) -> int:
    """What ``int(IPv4Address(ip))`` says of a sound one, in a tenth of its time."""
    a, b, c, d = map(int, ip.split("."))
    return a << 24 | b << 16 | c << 8 | d


def text_of(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def subject(service: Service) -> str:
    return fields.subject_of(service.where, "Service", service.name)


def shortage(path: str, words: str, left: Sequence[Service]) -> list[str]:
    """One line for all who are left without: the first of them, and who else."""
    if not left:
        return []
    more = f"; none for {some([service.key for service in left])}" if len(left) > 1 else ""
    return [subject(left[0]) + fields.internal(path, words + more)]


def some(names: Sequence[str], limit: int = 10) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")

"""Problems of all phases: a plan goes on after a mistake, to find the others as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ..model import Invalid

T = TypeVar("T")


class Problems(list[str]):
    """In the order in which they were found."""

    def __init__(self, given: Iterable[str] = ()) -> None:
        """:param given: what was found before; hosts' own come after it, and before what is found now."""
        super().__init__()
        self.given = list(given)

    def __bool__(self) -> bool:
        return bool(self.given or len(self))

    def unless_invalid(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except Invalid as error:
            self += error.problems
            return otherwise

"""All words of a run pass here on their way to the terminal: a host's, a module's, ssh's, Ansible's own about them."""

from __future__ import annotations

from typing import Any

from ..printable import printable


class Coloured(str):
    """Text with colours of Ansible's own in it; what it has from others is printable."""


def keep_printable(display: Any) -> None:
    """Let Ansible's ``Display`` print nothing that steers a terminal.

    Here, and not at each of the dozen ways that words of a host take to it (its warnings, ``-v``, tracebacks, what a
    foreign module has returned): all of them end in this one method, of this one object. Not at
    ``sys.stdout``, where Ansible's colours are in the text already.
    """
    shown = display.display
    if hasattr(shown, "is_printable"):
        return

    def show(msg: str, *args: Any, **options: Any) -> None:
        shown(msg if isinstance(msg, Coloured) else printable(msg), *args, **options)

    show.is_printable = True  # type: ignore[attr-defined]
    display.display = show


def coloured(display: Any, work: Any) -> None:
    """Let what this shows keep its colours: it is made of the inventory's names and of numbers."""
    shown = display.display
    display.display = lambda msg, *args, **options: shown(Coloured(msg), *args, **options)
    try:
        work()
    finally:
        display.display = shown

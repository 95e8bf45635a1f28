"""Whether this node has been started since podlab was at work here, and has yet to get its things back.

``/run`` is empty after a start: a node with a record and without podlab's directory there is one. While a boot replays
what the node was told a file in that directory says the same, so that ``get`` (``host/pods/status.py``) can tell.
"""

from __future__ import annotations

import contextlib
import os

from ...changes.pods.paths import RUN
from ..record import make_directory

FLAG = f"{RUN}/rebooted"


def begins() -> None:
    make_directory(RUN)
    with open(FLAG, "w", encoding="ascii"):
        pass


def over() -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(FLAG)

"""What chance and repetition find, by options of ``./lab test``."""

from __future__ import annotations

import os
from pathlib import Path


def logs_of(campaign: str) -> Path:
    """Where outputs are kept: in a directory of the user's own, since a name in /tmp is anybody's to take."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "podlab", campaign)

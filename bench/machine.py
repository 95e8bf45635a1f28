"""What a figure was measured on."""

from __future__ import annotations

import os
from typing import Any


def machine() -> dict[str, Any]:
    """Facts, and ``words`` for a page. No date: a figure is as old as the version that it stands beside."""
    cores, kernel = len(os.sched_getaffinity(0)), ".".join(os.uname().release.split(".")[:2])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    user = "an ordinary user" if os.getuid() else "root"
    return {
        "cores": cores,
        "kernel": os.uname().release,
        "memory_gib": round(memory, 1),
        "load": os.getloadavg()[0],
        "user": user,
        "words": f"{cores} cores, Linux {kernel}, {memory:.0f} GiB, as {user}",
    }

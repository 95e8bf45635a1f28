"""Since when a pod with a deadline is active."""

from __future__ import annotations

import time

from .files import pod_file, read_text

START_FILE = "began"


def active_since(netns: str) -> float | None:
    """When the kubelet met the pod first; None where that is not known, or what stands there is no such time."""
    try:
        found = float(read_text(pod_file(netns, START_FILE)))
    except ValueError:
        return None
    return found if 0 <= found <= time.time() else None  # nan and inf are not

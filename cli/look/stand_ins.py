"""What stands in for programs that no node has, as far as objects tell it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from podlab.changes.pods.stand_ins import IMAGE_ID

from .objects import Object

MOST = 3  # images that are named


def note(items: Sequence[Object]) -> str:
    """A line about those among some objects that are no programs of their images; empty where there are none."""
    statuses = [
        status
        for item in items
        for key in ("initContainerStatuses", "containerStatuses")
        for status in item.get("status", {}).get(key, ())
        if status.get("imageID") == IMAGE_ID
    ]
    images = list(dict.fromkeys(status["image"] for status in statuses))
    if not images:
        return ""
    more = f" and {len(images) - MOST} more" if len(images) > MOST else ""
    return f"note: stand-ins run for {', '.join(images[:MOST])}{more}; ./lab describe tells of which containers"

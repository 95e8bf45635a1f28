"""A pod's events, as ``kubectl describe`` lists them."""

from __future__ import annotations

import json
import time
from typing import Any

from .files import pod_file, read_text, write_text

MAX_EVENTS = 100


def record_event(netns: str, container: str, kind: str, reason: str, message: str) -> None:
    """Add an event. One that is there already is counted: ``count``, ``first`` (its first time), ``time``."""
    path = pod_file(netns, "events")
    event: dict[str, Any] = {
        "time": time.time(),
        "type": kind,
        "reason": reason,
        "message": message,
        "container": container,
    }
    kept = []
    for line in read_text(path).splitlines():
        try:
            old = json.loads(line)
            is_same = all(old[key] == event[key] for key in ("type", "reason", "message", "container"))
        except (ValueError, KeyError, TypeError):
            continue  # a damaged line is dropped
        if is_same:
            event |= {"count": old.get("count", 1) + 1, "first": old.get("first", old["time"])}
        else:
            kept.append(line)
    write_text(path, "".join(f"{line}\n" for line in [*kept, json.dumps(event)][-MAX_EVENTS:]))

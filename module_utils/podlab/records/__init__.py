"""What podlab reads back from a host: the one place that knows its shapes, and says what does not fit.

A person, a full disk or another podlab may have written any of it. What is damaged is left aside, field by field, and
told; the rest and what the kernel tells go on. What a newer podlab has written is never guessed at.

A part that is added to a record is one line in its type (``host_record``). It may be missing in every record that is
older.
"""

from __future__ import annotations

VERSION = 2
"""Of all that a host keeps (``record.json`` and the rows of pods beside it). It goes up when a podlab that does not
know of a change would read it wrongly; a record without it is of version 1."""

DEFAULTS = "Kernel settings from before podlab are not known any more: ./lab down will give them the kernel's defaults"

HOME = "/var/lib/podlab"
RECORD = f"{HOME}/record.json"
PODS = "/run/podlab/pods"


def pod_path(netns: str) -> str:
    return f"{PODS}/{netns}/pod.json"

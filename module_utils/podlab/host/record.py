"""The one small file that a host keeps: what it was before podlab, and what the cluster gave it."""

from __future__ import annotations

import json
import os
from typing import Any

HOME = "/var/lib/podlab"
PATH = f"{HOME}/record.json"


def read() -> dict[str, Any] | None:
    """The record, or None on a host that podlab has not marked. A torn file counts as none."""
    try:
        with open(PATH, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write(record: dict[str, Any]) -> None:
    os.makedirs(HOME, mode=0o755, exist_ok=True)
    write_file(PATH, json.dumps(record, sort_keys=True) + "\n")


def write_file(path: str, text: str, mode: int = 0o644) -> None:
    """Put a whole file in place at once, so that whoever reads it, or is killed here, never sees half of it."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None

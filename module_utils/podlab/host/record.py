"""The one small file that a host keeps: what it was before podlab, and what the cluster gave it."""

from __future__ import annotations

import json
import os
from typing import Any

from ..changes.containers import HOME as HOME
from ..changes.containers import RUN

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
    make_directory(HOME)
    write_file(PATH, json.dumps(record, sort_keys=True) + "\n")


def make_directory(path: str) -> None:
    """A directory of podlab's own. The one that all of them lie in is root's alone, from its first moment on."""
    for home in (RUN, HOME):
        if path == home or path.startswith(f"{home}/"):
            os.makedirs(home, 0o700, exist_ok=True)
    os.makedirs(path, exist_ok=True)


def write_file(path: str, text: str, mode: int = 0o600) -> None:
    """Put a whole file in place at once, so that whoever reads it, or is killed here, never sees half of it."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8", opener=private) as file:
        os.fchmod(file.fileno(), 0o600)  # one that was left behind
        file.write(text)
        os.fchmod(file.fileno(), mode)
    os.replace(temporary, path)


def private(path: str, flags: int) -> int:
    """For ``open``: a new file is its owner's alone before anything is in it."""
    return os.open(path, flags, 0o600)


def text_of(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None

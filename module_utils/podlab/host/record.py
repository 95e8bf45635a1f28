"""The one small file that a host keeps: what it was before podlab, and what the cluster gave it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from typing import Any

from .. import records
from ..changes.pods.paths import RUN
from ..records import VERSION, reading
from ..records.host_record import HostRecord
from .run import HostError
from .system import run_directory

HOME, PATH = records.HOME, records.RECORD
DAMAGED = f"{PATH}.damaged"


def written() -> Any:
    """What stands in the file, for ``reading.read``: JSON, or the text if it is none. None without a file."""
    text = text_of(PATH)
    if text is None:
        return None if not os.path.lexists(PATH) else ""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return ""


def read() -> reading.Reading:
    """What can be used of the record.

    :raises HostError: a newer podlab has written it, so nothing here may be changed.
    """
    found = reading.read(written())
    if found.newer:
        raise HostError(found.newer)
    return found


def known() -> HostRecord:
    """What the record has; nothing on a host that podlab has not marked."""
    return read().record or {}


def has_cluster() -> bool:
    """Whether a run of site.yml was here. Else what this host has is made by single roles. The record is not checked
    for it: that takes long where it is large."""
    told = written()
    return isinstance(told, dict) and not {"network", "cluster"}.isdisjoint(told)


def write(record: HostRecord) -> None:
    """One that is damaged is put aside before: a person may read from it what podlab could not."""
    make_directory(HOME)
    if reading.read(written()).damage:
        put_directory_aside(DAMAGED)
        os.replace(PATH, DAMAGED)
    write_file(PATH, json.dumps({"version": VERSION, **record}, sort_keys=True) + "\n")


def make_directory(path: str) -> None:
    """A directory of podlab's own. The one that all of them lie in is root's alone, from its first moment on."""
    if path == RUN or path.startswith(f"{RUN}/"):
        run_directory.make()
    if path == HOME or path.startswith(f"{HOME}/"):
        os.makedirs(HOME, 0o700, exist_ok=True)
    os.makedirs(path, exist_ok=True)


def write_file(path: str, text: str, mode: int = 0o600) -> None:
    """Put a whole file in place at once, so that whoever reads it, or is killed here, never sees half of it."""
    temporary = f"{path}.new"
    put_directory_aside(path)
    put_directory_aside(temporary)
    try:
        with open(temporary, "w", encoding="utf-8", opener=private) as file:
            os.fchmod(file.fileno(), 0o600)  # one that was left behind
            file.write(text)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except OSError:  # the disk is full: what was written of it would take the room of others
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def put_directory_aside(path: str) -> None:
    """Make room for a file where a directory stands. What somebody has put into it stays, under a name of its own: to
    delete it could reach into a file system that is mounted below."""
    if os.path.isdir(path) and not os.path.islink(path):
        try:
            os.rmdir(path)
        except OSError:
            os.rename(path, tempfile.mkdtemp(prefix=f"{os.path.basename(path)}.", dir=os.path.dirname(path)))


def private(path: str, flags: int) -> int:
    """For ``open``: a new file is its owner's alone before anything is in it."""
    return os.open(path, flags, 0o600)


def text_of(path: str) -> str | None:
    """A text file; None for one that cannot be read, or is no text."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None

"""Which records of the cluster this controller has written, and not a host by itself.

Hosts keep copies of what the cluster was told, and root of a host may write into his own what he likes: that pods of
another host are his, with their Secrets. So each section of a record bears a signature, by a key that never leaves this
machine; what the section is about is signed as well, or it could be shown as another. Asking the majority of the hosts
is the alternative: it takes an old record for the right one where most hosts were off in the last run.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..records import version_of

NAME = "signature"


Told = Mapping[str, Any]


def sections_of(record: Any) -> list[tuple[str, dict[str, Any], str]]:
    """The sections of a host's record, as it has told it: what each is about, what has it, and by which name."""
    if not isinstance(record, dict):
        return []
    cluster = "cluster" if version_of(record) > 1 else FIRST_VERSION
    found = [("network", record, "network"), (cluster, record, "cluster")]
    if isinstance(pods := record.get("pods"), dict):
        found += [(f"pods of {node}", pods, node) for node in pods]
    return [one for one in found if isinstance(one[1].get(one[2]), dict)]


FIRST_VERSION = ""
"""What the one section of a record of version 1 is about: everything, and it did not say so."""


def signed(about: str, section: Told) -> dict[str, Any]:
    """What hosts are told, as JSON has it, and the signature of it as ``signature``."""
    told = {name: value for name, value in section.items() if name != NAME}
    return {**told, NAME: _signature(about, told)} if key() else told


def is_ours(about: str, section: Told) -> bool:
    """Whether a host still has what it was told by a run of this user's on this machine."""
    found = section.get(NAME)
    told = {name: value for name, value in section.items() if name != NAME}
    try:
        return bool(key()) and hmac.compare_digest(str(found).encode(), _signature(about, told).encode())
    except (ValueError, RecursionError):  # a host may say anything
        return False


def believed(sections: Iterable[tuple[str, Told]]) -> list[Told | None]:
    """Of each section itself, or None if it does not count; of equal ones always the same object, for most hosts have
    the same. Where none is this controller's all count, as on its first run after another's."""
    known: dict[tuple[str, str], list[Told]] = {}
    found: list[Told] = []
    for about, section in sections:
        alike = known.setdefault((about, str(section.get(NAME))), [])
        same = next((other for other in alike if _equal(other, section)), section)
        if same is section:
            alike.append(section)
        found.append(same)
    ours = {id(one) for (about, _), alike in known.items() for one in alike if is_ours(about, one)}
    return [one if id(one) in ours or not ours else None for one in found]


def _equal(one: Told, other: Told) -> bool:
    try:
        return one == other
    except RecursionError:  # a host may say anything
        return False


def _signature(about: str, told: Told) -> str:
    signed_as = told if about == FIRST_VERSION else [about, told]
    text = json.dumps(signed_as, sort_keys=True, separators=(",", ":"))
    return hmac.new(key(), text.encode(), "sha256").hexdigest()


@functools.cache
def key() -> bytes:
    """The user's own, made where there is none. Empty where it cannot be kept: then all counts."""
    path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state", "podlab", "key")
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            building = path.with_name(f"key.{os.getpid()}")
            with open(building, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_bytes(32))
            try:
                os.link(building, path)  # a reader sees a whole key, and of two writers one wins
            finally:
                building.unlink()
        with path.open("rb") as file:
            mine = os.fstat(file.fileno())
            if mine.st_uid == os.getuid() and not stat.S_IMODE(mine.st_mode) & 0o077:
                return file.read()
    return b""

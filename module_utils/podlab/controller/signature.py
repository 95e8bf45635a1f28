"""Which records of the cluster this controller has written, and not a host by itself.

Every host keeps a copy of what the cluster was told, and root of a host may write into his own what he likes: that
pods of another host are his, with their Secrets. So what is told bears a signature, by a key that never leaves this
machine. Asking the majority of the hosts is the alternative: it takes an old record for the right one where most hosts
were off in the last run.
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

NAME = "signature"


def signed(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """What hosts are told of the cluster, as JSON has it, and the signature of it as ``signature``."""
    told = {name: value for name, value in cluster.items() if name != NAME}
    return {**told, NAME: _signature(told)} if key() else told


def is_ours(cluster: Mapping[str, Any]) -> bool:
    """Whether a host still has what it was told by a run of this user's on this machine."""
    found = cluster.get(NAME)
    told = {name: value for name, value in cluster.items() if name != NAME}
    try:
        return bool(key()) and hmac.compare_digest(str(found).encode(), _signature(told).encode())
    except (ValueError, RecursionError):  # a host may say anything
        return False


def believed(clusters: Iterable[Mapping[str, Any]]) -> list[bool]:
    """Of each record whether it counts. Where none is this controller's all do, as on its first run after another's."""
    ours, known = [], None
    for cluster in clusters:
        if cluster != known and is_ours(cluster):
            known = cluster  # most hosts have the same, and to compare takes a tenth of the time
        ours.append(known is not None and cluster == known)
    return ours if any(ours) else [True] * len(ours)


def _signature(told: Mapping[str, Any]) -> str:
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hmac.new(key(), text.encode(), "sha256").hexdigest()


@functools.cache
def key() -> bytes:
    """The user's own, made where there is none. Empty where it cannot be kept: then every record counts."""
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

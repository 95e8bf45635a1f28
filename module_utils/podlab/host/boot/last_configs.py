"""What each component of this host was told last, for a boot to replay: its module's parameters, in a file each.

They are kept where there is a directory for them, which the module of the component ``system`` makes and removes.
Values of Secrets are among them, so they are root's alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ...changes.system.systemd import CODE, KEPT
from ..record import make_directory, private, put_directory_aside, text_of


def is_on() -> bool:
    return os.path.isdir(KEPT)


def path(component: str) -> str:
    return f"{KEPT}/{component}.json"


def _unsettled(component: str) -> str:
    return f"{path(component)}.new"


def text(told: Mapping[str, Any]) -> str:
    """The parameters, below a line with their digest and that of the code that they are for: what somebody has changed
    is known at once, and what another podlab was told is told anew."""
    body = json.dumps(told, sort_keys=True)
    return f"{_digest(body.encode())} {code_digest()}\n{body}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(component: str) -> dict[str, Any] | None:
    """What it was told last; None where that is not known, or damaged."""
    body, _ = _sound(component)
    told = json.loads(body) if body else None
    return told if isinstance(told, dict) else None


def _sound(component: str) -> tuple[str, str]:
    """What stands in its file, and the digest of the code; nothing where it is not what was written."""
    head, _, body = (text_of(path(component)) or "").partition("\n")
    digest, _, code = head.partition(" ")
    return (body, code) if digest == _digest(body.encode()) else ("", "")


def settled() -> list[str]:
    """Components of which what is kept is whole, and for the code that is there. One that a run has begun with, and not
    come to an end, is none."""
    names, code = sorted(os.listdir(KEPT)) if is_on() else [], code_digest()
    found = [name.removesuffix(".json") for name in names if name.endswith(".json") and f"{name}.new" not in names]
    return [component for component in found if _is_for(code, *_sound(component))]


def _is_for(code: str, body: str, written_for: str) -> bool:
    return bool(body) and written_for == code


def differs(component: str, told: Mapping[str, Any]) -> bool:
    return is_on() and (text_of(path(component)) != text(told) or os.path.lexists(_unsettled(component)))


def begin(component: str, told: Mapping[str, Any]) -> None:
    """Say what it is told now. A boot goes by what it was told before until ``settle``; who is cut off in between is
    seen by the next run."""
    _write(_unsettled(component), text(told).encode())


def settle(component: str) -> None:
    put_directory_aside(path(component))
    os.replace(_unsettled(component), path(component))
    _sync_directory()


def write_code(data: bytes) -> None:
    make_directory(KEPT)
    os.chmod(KEPT, 0o700)
    _write(f"{CODE}.new", data)
    put_directory_aside(CODE)
    os.replace(f"{CODE}.new", CODE)
    _sync_directory()


def code_digest() -> str:
    with contextlib.suppress(OSError), open(CODE, "rb") as file:
        return _digest(file.read())
    return ""


def _write(name: str, data: bytes) -> None:
    """On the disk before it counts: it is for a machine whose power has gone."""
    put_directory_aside(name)
    with open(name, "wb", opener=private) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory() -> None:
    directory = os.open(KEPT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""What took long to read is read once, until one byte of it changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

HERE = Path(__file__).resolve().parent.parent  # module_utils/podlab
PACKAGES = Path(yaml.__file__).parent.parent  # where PyYAML is, the others are


def cached(name: str, depends: Iterable[bytes], make: Callable[[], T]) -> T:
    """What ``make`` gives for these bytes, from the last call with the same ones if there was one.

    podlab itself, Python and the packages beside it are part of what it depends on. One value is kept for a name, in
    the user's cache directory, which other users may not write to: a pickle can run a program.
    """
    packages = sorted((found.name, found.version) for found in distributions(path=[str(PACKAGES)]))
    digest = hashlib.sha256(f"{sys.version} {packages}".encode())
    for data in (*depends, code_digest().encode()):
        digest.update(hashlib.sha256(data).digest())
    key = digest.digest()
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "podlab", f"{name}.pickle")
    with contextlib.suppress(Exception):  # whatever is wrong with what was kept: it can be made again
        return _load(path, key)  # type: ignore[no-any-return]
    value = make()
    with contextlib.suppress(OSError):
        _save(path, key, value)
    return value


def code_digest() -> str:
    """Of all of podlab's own code: what makes something imports more than its own folder."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _load(path: Path, key: bytes) -> Any:
    with path.open("rb") as file:
        mine = os.fstat(file.fileno())
        if mine.st_uid != os.getuid() or stat.S_IMODE(mine.st_mode) != 0o600 or file.read(len(key)) != key:
            raise LookupError(key)
        return pickle.load(file)


def _save(path: Path, key: bytes, value: object) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp's files are the user's alone, and a reader sees the old file or the new one.
    handle, building = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with open(handle, "wb") as file:
        file.write(key)
        pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
    os.replace(building, path)

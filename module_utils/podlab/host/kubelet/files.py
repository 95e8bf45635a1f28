"""Where the kubelet's files are, and how they are read and written."""

from __future__ import annotations

import contextlib
import os

RUN = os.environ.get("PODLAB_RUN", "/run/podlab")
PODS = f"{RUN}/pods"
SCAN_DIR = f"{RUN}/services"  # of s6-svscan


def pod_file(netns: str, name: str) -> str:
    return f"{PODS}/{netns}/{name}"


def read_text(path: str) -> str:
    """Nothing where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write_text(path: str, text: str) -> None:
    """Replace a file at once.

    Where the directory has gone, its pod has, and nothing is left to be written. What anything else prevents, such as a
    full disk, is left for ``write_deferred``: it is known here alone.
    """
    _deferred.pop(path, None)
    try:
        with open(f"{path}.new", "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
    except FileNotFoundError:
        pass
    except OSError:
        _deferred[path] = text
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.new")


_deferred: dict[str, str] = {}


def write_deferred() -> None:
    """Try once more what could not be written."""
    for path, text in list(_deferred.items()):
        write_text(path, text)


def log(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="replace"))

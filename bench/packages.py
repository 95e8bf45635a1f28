"""Debian packages of peers, brought into an embedded host. Nothing is installed on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .labs import BenchLab
from .processes import NotHere

BESIDE = "/tmp/peers"  # on the host, where /tmp is its own


def bring(made: BenchLab, host: str, program: str, packages: Sequence[str]) -> str:
    """Make a program be there on a host; the directory that takes the place of ``/``, empty where that is it.

    :raises NotHere: the machine does not have it, and it cannot be fetched.
    """
    if os.path.exists(program):
        return ""
    for name in packages:
        # The host sees nothing of the user's cache, nor of /tmp: the files go through a pipe.
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(_fetched(name))], stdout=subprocess.PIPE)
        argv = ["sh", "-c", f"mkdir -p {BESIDE} && exec tar -x --no-same-owner -C {BESIDE}"]
        code = subprocess.run(made.entering(host, *argv), stdin=archive.stdout, capture_output=True).returncode
        if archive.wait() or code:
            raise NotHere(f"the Debian package {name} cannot be unpacked")
    return BESIDE


def _fetched(name: str) -> Path:
    """The package's file: from the cache, or from Debian, once."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "podlab" / "peers"
    cache.mkdir(parents=True, exist_ok=True)
    there = sorted(cache.glob(f"{name}_*.deb"))
    if not there:
        print(f"fetching the Debian package {name} into {cache}", file=sys.stderr)
        try:
            subprocess.run(["apt-get", "download", name], cwd=cache, capture_output=True, timeout=120, check=True)
        except (OSError, subprocess.SubprocessError):
            raise NotHere(f"the Debian package {name} is neither installed nor can it be fetched") from None
        there = sorted(cache.glob(f"{name}_*.deb"))
    return there[-1]

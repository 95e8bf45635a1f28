"""podlab's own programs, where containers find them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping

from ...changes.pods.paths import IMAGES
from ...changes.pods.s6_commands import OWN_APPLETS
from ..record import make_directory, text_of, write_file
from ..run import run


def install(name: str, text: str) -> None:
    make_directory(IMAGES)
    os.makedirs(os.path.dirname(f"{IMAGES}/{name}"), exist_ok=True)
    write_file(f"{IMAGES}/{name}", text, 0o755)


def install_busybox() -> None:
    """The names of its applets, of which none is there before all are."""
    os.makedirs(f"{IMAGES}/busybox.new", exist_ok=True)
    for applet in run(["busybox", "--list"]).split():
        with contextlib.suppress(FileExistsError):
            os.symlink(OWN_APPLETS.get(applet, "/usr/bin/busybox"), f"{IMAGES}/busybox.new/{applet}")
    shutil.rmtree(f"{IMAGES}/busybox", ignore_errors=True)
    os.rename(f"{IMAGES}/busybox.new", f"{IMAGES}/busybox")


def lacks_busybox() -> bool:
    try:
        return any(os.readlink(f"{IMAGES}/busybox/{applet}") != path for applet, path in OWN_APPLETS.items())
    except OSError:
        return True


def stale(programs: Mapping[str, str]) -> list[str]:
    """Names of podlab's programs that this host lacks or has in another version."""
    return [name for name, text in programs.items() if text_of(f"{IMAGES}/{name}") != text]

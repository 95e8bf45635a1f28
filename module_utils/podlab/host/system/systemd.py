"""systemd and the network daemons of this host, as far as podlab tells them anything."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys

from ...changes.system.systemd import FILES, HOME_OF_NETWORKD, KEPT, NETWORKD, WANTED_BY, Steps, System
from ..boot import last_configs
from ..record import text_of, write_file
from ..run import run

_PROGRAMS = {
    "systemd-networkd": ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"),
    "NetworkManager": ("/usr/sbin/NetworkManager",),
}


def observe() -> System:
    has_systemd = os.path.isdir("/run/systemd/system")
    installed = [name for name, paths in _PROGRAMS.items() if any(map(os.path.exists, paths))]
    return {
        # Without systemd as process 1 nobody runs the others: an embedded host sees the machine's programs.
        "daemons": ["systemd", *installed] if has_systemd else [],
        "files": {path: text_of(path) or "" for path in FILES if has_systemd and os.path.lexists(path)},
        "enabled": has_systemd and os.path.lexists(WANTED_BY),
        "code": last_configs.code_digest(),
        "kept": last_configs.settled(),
        "keeps": last_configs.is_on(),
        "python": sys.executable or "/usr/bin/python3",
    }


def apply(steps: Steps, code: bytes) -> None:
    for argv in steps.before:
        run(argv)
    for path in steps.remove:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if NETWORKD in steps.remove:
        with contextlib.suppress(OSError):  # what holds files of others stays
            os.rmdir(HOME_OF_NETWORKD)
    for path, text in steps.write.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, text, 0o644)
    if steps.forget:
        shutil.rmtree(KEPT)
    if steps.keep:
        last_configs.write_code(code)
    for argv in steps.after:
        run(argv)

"""systemd and the network daemons of this host, as far as podlab tells them anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ...changes.system.systemd import FILES, WANTED_BY, KeepCode
from ...records.observation import ObservedSystem
from ..actions import runs
from ..boot import last_configs
from ..record import text_of

_PROGRAMS = {
    "systemd-networkd": ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd"),
    "NetworkManager": ("/usr/sbin/NetworkManager",),
}


def observe() -> ObservedSystem:
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


@runs(KeepCode)
def _keep_code(found: Sequence[KeepCode]) -> None:
    for it in found:
        last_configs.write_code(it.code)

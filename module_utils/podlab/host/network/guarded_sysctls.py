"""Settings that open what a rule of iptables has to guard: made once it stands, taken back before it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...changes.system import sysctls
from .. import record
from . import network


@dataclass(frozen=True)
class Doors:
    """What to do before the rules are written, and after it."""

    closing: Mapping[str, str]
    opening: Mapping[str, str]

    def lines_before(self) -> list[str]:
        return [sysctls.line(key, value) for key, value in self.closing.items()]

    def lines_after(self) -> list[str]:
        return [sysctls.line(key, value) for key, value in self.opening.items()]

    def close(self) -> None:
        for key, value in self.closing.items():
            network.write_sysctl(key, value)

    def open(self) -> None:
        """What was before is in the record by now, but where somebody has left the chapter *node* out."""
        known = record.known()
        recorded = known.get("sysctls", {})
        if unknown := network.read_sysctls(key for key in self.opening if key not in recorded):
            record.write({**known, "sysctls": {**recorded, **unknown}})
        for key, value in self.opening.items():
            network.write_sysctl(key, value)


def doors(wanted: Mapping[str, str], *, guarded_by_others: bool) -> Doors:
    """:param wanted: the settings that the rules guard which are about to be written.
    :param guarded_by_others: whether there are rules of another chapter that guard them as well.
    """
    observed = network.read_sysctls(sysctls.GUARDED)
    recorded = {} if guarded_by_others else record.known().get("sysctls", {})
    return Doors(sysctls.closing(observed, wanted, recorded), sysctls.opening(observed, wanted))

"""Settings that open what a rule of iptables has to guard: made once it stands, taken back before it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...changes.actions import OpenSysctl, Sysctl, set_sysctls
from ...changes.system import sysctls
from .. import record
from ..actions import runs
from . import network


def changes(wanted: Mapping[str, str], *, guarded_by_others: bool) -> tuple[list[Sysctl], list[OpenSysctl]]:
    """What to do before the rules are written, and after it.

    :param wanted: the settings that the rules guard which are about to be written.
    :param guarded_by_others: whether there are rules of another component that guard them as well.
    """
    observed = network.read_sysctls(sysctls.GUARDED)
    recorded = {} if guarded_by_others else record.known().get("sysctls", {})
    opened = sysctls.opening(observed, wanted)
    closed = sysctls.closing(observed, wanted, recorded)
    return set_sysctls(closed), [OpenSysctl(key, value) for key, value in opened.items()]


@runs(OpenSysctl)
def _open(settings: Sequence[OpenSysctl]) -> None:
    known = record.known()
    recorded = known.get("sysctls", {})
    if unknown := network.read_sysctls(it.key for it in settings if it.key not in recorded):
        record.write({**known, "sysctls": {**recorded, **unknown}})
    for it in settings:
        network.write_sysctl(it.key, it.value)

"""How the actions of a host's record are run."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.system.record import BeginRecord, SettleRecord
from .. import record
from ..actions import runs
from ..network import network


@runs(BeginRecord)
def _begin(found: Sequence[BeginRecord]) -> None:
    for it in found:
        seen = {**it.recorded, **it.record["sysctls"], **network.read_sysctls(it.unseen)}
        record.write({**it.record, "sysctls": seen})


@runs(SettleRecord)
def _settle(found: Sequence[SettleRecord]) -> None:
    for it in found:
        begun = record.known().get("sysctls", {})
        record.write({**it.record, "sysctls": {key: begun[key] for key in it.settings if key in begun}})

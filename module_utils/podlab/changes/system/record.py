"""The kinds of actions that write podlab's record on a host. ``host/system/runners.py`` runs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...records import RECORD
from ...records.host_record import HostRecord
from ..actions import Action
from ..script_text import Typed


class BeginRecord(Action):
    """Before the first setting changes: who is killed in between still knows what was. No command: all of it is in what
    ``SettleRecord`` writes, but for settings that are given back."""

    record: HostRecord
    recorded: Mapping[str, str]
    """Settings as they were before podlab, as far as that is known already."""
    unseen: Collection[str]
    """Settings that come with kernel modules: what they are is read now, when those are loaded."""

    def commands(self) -> list[Typed]:
        return []


class SettleRecord(Action):
    record: HostRecord
    settings: Collection[str]
    """Those whose first values are remembered from now on."""
    is_news: bool

    def commands(self) -> list[Typed]:
        has_cluster = not {"network", "cluster"}.isdisjoint(self.record)
        what = "the pod CIDR of every node and the places of pods" if has_cluster else "what these settings were before"
        return [f"# {RECORD}: {what}"] if self.is_news else []

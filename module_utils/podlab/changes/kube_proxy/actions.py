"""The kinds of actions of kube-proxy's rules and what goes with them: ipsets, UDP connections, health checks.

``host/kube_proxy/runners.py`` runs them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from ...configs import ServicesConfig
from ..actions import Action
from ..pods.paths import HOME, SCAN_DIR
from ..pods.s6_commands import KUBE_PROXY
from ..script_text import Typed
from . import conntrack, restore
from .conntrack import ConntrackFlow, Frontends
from .diff import Change, Wanted
from .record import State

STATE = f"{HOME}/services.json"
"""What a node remembers of Services."""


class OwnChains(Action):
    """Before the first rule: who is killed in between has to be known for the owner of what is there. No command: it is
    what ``RecordServices`` writes, of before."""

    row: ServicesConfig
    known: State | None

    def commands(self) -> list[Typed]:
        return []


class MakeSets(Action):
    """``lines`` are for ``ipset restore``."""

    lines: Sequence[str]

    def commands(self) -> list[Typed]:
        return [f"ipset {line}" for line in self.lines]


class DestroySet(Action):
    name: str

    def commands(self) -> list[Typed]:
        return [f"ipset destroy {self.name}"]


class RestoreChains(Action):
    """kube-proxy's chains: as many transactions as the kernel's buffer makes necessary, one call."""

    changes: Mapping[str, Change]
    limit: restore.BatchLimit | None
    row: ServicesConfig | None = None
    """To tell of which Service a refused line is."""

    @functools.cached_property
    def transactions(self) -> Sequence[restore.Transaction]:
        return restore.transactions(self.changes, self.limit)

    def commands(self) -> list[Typed]:
        return [*restore.commands(self.changes)]


class EndFlows(Action):
    """UDP connections that the kernel sends past what is there. They are looked for once more when they are ended: it
    makes new entries by the old rules as long as those stand."""

    flows: Sequence[ConntrackFlow]
    before: Frontends
    there: Frontends

    def commands(self) -> list[Typed]:
        return [" ".join(conntrack.deletion(flow)) for flow in self.flows]


class ReloadHealthChecks(Action):
    state: str
    warnings: list[str]
    """Grows where ports are not served."""

    def commands(self) -> list[Typed]:
        return [f"s6-svc -h {KUBE_PROXY}"]


class StartHealthChecks(Action):
    state: str
    warnings: list[str]

    def commands(self) -> list[Typed]:
        return [f"s6-svscanctl -a {SCAN_DIR}"]


class RecordServices(Action):
    """Write down what was applied, and how the kernel prints it."""

    row: ServicesConfig
    digest: str
    packed: str
    known: State | None
    tables: Mapping[str, Mapping[str, Sequence[str]]]
    """As they were before."""
    wanted: Wanted
    kernel: str
    """The fingerprint that the rules will have, if they are printed as they are written."""
    iptables: str
    generation: tuple[str, int] | None
    """Of the kernel's tables when they were read; None where it is not known for sure."""
    health: str
    restored: RestoreChains | None

    def commands(self) -> list[Typed]:
        return [f"# {STATE}: what this node was told about services"]

"""What differs on a node, collected pod by pod, and the order in which that is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...configs import PodConfig
from ..actions import Action, Ip, NetnsIp
from .actions import (
    AnnouncePod,
    ContainerKey,
    DropVolume,
    EndContainers,
    MakeNetnsMounts,
    MakeSandbox,
    MakeVolume,
    PreparePod,
    RecordPod,
    RemovePod,
    ResumeContainer,
    RewriteVolume,
    StartContainer,
    StartSupervisor,
)


@dataclass
class PodChanges:
    """One list a kind, so that each kind is one batch however many pods there are."""

    removed: dict[str, list[str]] = field(default_factory=dict)  # pod -> its containers that are supervised
    kept: set[str] = field(default_factory=set)  # of them: pods that come back with the same volumes
    stopped: list[ContainerKey] = field(default_factory=list)  # of pods that stay
    sandboxes: list[MakeSandbox] = field(default_factory=list)
    links: list[Ip] = field(default_factory=list)
    netns_commands: list[NetnsIp] = field(default_factory=list)
    narrowed: list[Ip] = field(default_factory=list)  # veths that take less from now on, when pods send no more
    announced: list[AnnouncePod] = field(default_factory=list)
    dropped: list[DropVolume] = field(default_factory=list)
    volumes: list[MakeVolume] = field(default_factory=list)
    rewritten: list[RewriteVolume] = field(default_factory=list)
    started: list[StartContainer] = field(default_factory=list)
    resumed: list[ResumeContainer] = field(default_factory=list)
    refreshed: list[PodConfig] = field(default_factory=list)  # only the record of the pod differs

    def actions(self, before: Mapping[str, PodConfig]) -> list[Action]:
        """First what goes, then namespaces, links, what is inside, volumes, processes. A pod is recorded last: one
        without its record was cut off on the way, and is done again.

        :param before: pods as they were applied last.
        """
        sandboxes = [made.row for made in self.sandboxes]
        begun = {row["netns"]: row for row in [*sandboxes, *(it.row for it in self.started)]}
        recorded = {row["netns"]: row for row in [*sandboxes, *self.refreshed]}
        return [
            *self._ends(before),
            *(RemovePod(netns, before.get(netns), netns in self.kept) for netns in self.removed),
            *([MakeNetnsMounts()] if self.sandboxes else []),
            *self.sandboxes,
            *self.links,
            *self.netns_commands,
            *self.narrowed,
            *self.announced,
            *self.dropped,
            *self.volumes,
            *self.rewritten,
            *(PreparePod(row) for row in begun.values()),
            *([StartSupervisor()] if self.started or self.resumed else []),
            *self.started,
            *self.resumed,
            *(RecordPod(row) for row in recorded.values()),
        ]

    def _ends(self, before: Mapping[str, PodConfig]) -> list[Action]:
        supervised = [*self.stopped, *((netns, name) for netns, names in self.removed.items() for name in names)]
        started, resumed = [it.key for it in self.started], [it.key for it in self.resumed]
        if not (supervised or self.removed or started or resumed):
            return []
        return [EndContainers(supervised, [*self.removed], started, resumed, before)]

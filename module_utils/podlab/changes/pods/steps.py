"""What has to be done on a node so that its pods are those that it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...configs import PodRow


@dataclass
class Steps:
    """What has to be done, in this order. Empty is false."""

    gone: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # of them: pods that come back with the same volumes
    sandboxes: list[PodRow] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)
    insides: dict[str, list[str]] = field(default_factory=dict)
    narrowed: list[str] = field(default_factory=list)  # wires that take less from now on, when pods send no more
    announce: list[PodRow] = field(default_factory=list)
    stop: list[tuple[str, str]] = field(default_factory=list)  # netns, container
    drop: list[tuple[str, str]] = field(default_factory=list)  # netns, volume
    volumes: list[tuple[PodRow, str]] = field(default_factory=list)  # to be made
    rewrite: list[tuple[PodRow, str, list[str]]] = field(default_factory=list)  # volume, files that differ
    start: list[tuple[PodRow, str]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)  # of them: their turn comes when the kubelet says so
    resume: list[tuple[PodRow, str]] = field(default_factory=list)  # have ended; only their supervisor is missing
    refresh: list[PodRow] = field(default_factory=list)  # only the record of the pod differs
    kubelet: str = ""  # start, reload or stop
    before: dict[str, PodRow] = field(default_factory=dict)  # what is known of those of whom anything ends
    ended: list[tuple[str, str]] = field(default_factory=list)  # containers of those that are gone

    def __bool__(self) -> bool:
        return any(vars(self).values())

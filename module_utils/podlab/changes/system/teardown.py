"""The kinds of actions that only teardown has. ``host/teardown.py`` runs them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..actions import Action
from ..pods.paths import NETNS, SCAN_DIR
from ..script_text import Typed


class EndSupervision(Action):
    """podlab's own daemons and the supervisor. What a killed supervisor has left of them goes as well."""

    is_running: bool

    def commands(self) -> list[Typed]:
        return [f"s6-svscanctl -t {SCAN_DIR}"] if self.is_running else []


class AssertNoKubeChains(Action):
    """Before the marks go by which the next run will know whose such chains are."""

    tables: Collection[str]
    """Where some were to go; where none were, such chains are somebody else's."""

    def commands(self) -> list[Typed]:
        return []


class UnmountBeneath(Action):
    """All that is mounted in directories of podlab's; ``seen`` are the mounts that a person would type."""

    directories: Sequence[str]
    seen: Sequence[str]

    def commands(self) -> list[Typed]:
        return [f"umount {path}" for path in self.seen]


class RemoveNetnsMount(Action):
    """The mount of the names of network namespaces, in which none is left."""

    def commands(self) -> list[Typed]:
        return [f"umount {NETNS} && rmdir {NETNS}"]


class AssertNothingLeft(Action):
    """Neither a mark nor one of these directories."""

    directories: Sequence[str]

    def commands(self) -> list[Typed]:
        return []

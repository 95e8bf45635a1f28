"""Claims of pods: a directory is on one node, and who mounts it runs there (kube-scheduler's plugin VolumeBinding)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..claims.stage import claims_of
from ..model import Pod

CONFLICT = "node(s) had volume node affinity conflict"


class VolumeBinding:
    """Where claims are. One that nobody has used yet goes where its first pod does."""

    def __init__(self, homes: Mapping[str, str], known: Collection[str]) -> None:
        """:param known: the claims that there are, with or without a node."""
        self.homes = dict(homes)
        self._known = known

    def concern(self, pod: Pod) -> bool:
        return bool(claims_of(pod))

    def missing(self, pod: Pod) -> list[str]:
        """Claims that there are not, by name."""
        return [key.partition("/")[2] for key in claims_of(pod) if key not in self._known]

    def conflict(self, pod: Pod, node: str) -> bool:
        return any(self.homes.get(key, node) != node or key not in self._known for key in claims_of(pod))

    def bind(self, pod: Pod, node: str) -> None:
        for key in claims_of(pod):
            self.homes.setdefault(key, node)

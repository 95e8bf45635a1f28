"""Claims of pods: a directory is on one node, and who mounts it runs there (kube-scheduler's plugin VolumeBinding)."""

from __future__ import annotations

from collections.abc import Mapping

from ..claims.model import Claim
from ..claims.stage import claims_of
from ..model import Pod

CONFLICT = "node(s) had volume node affinity conflict"
IN_USE = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"


class VolumeBinding:
    """Where claims are. One that nobody has used yet goes where its first pod does."""

    def __init__(self, homes: Mapping[str, str], known: Mapping[str, Claim]) -> None:
        """:param known: the claims that there are, with or without a node."""
        self.homes = dict(homes)
        self._known = known
        self._used: set[str] = set()

    def concern(self, pod: Pod) -> bool:
        return bool(claims_of(pod))

    def missing(self, pod: Pod) -> list[str]:
        """Claims that there are not, by name."""
        return [key.partition("/")[2] for key in claims_of(pod) if key not in self._known]

    def conflict(self, pod: Pod, node: str) -> bool:
        return any(self.homes.get(key, node) != node or key not in self._known for key in claims_of(pod))

    def is_in_use(self, pod: Pod) -> bool:
        """Whether another pod has a claim that is for one pod alone (kube-scheduler's plugin VolumeRestrictions)."""
        return any(key in self._used and self._is_of_one_pod(key) for key in claims_of(pod))

    def _is_of_one_pod(self, key: str) -> bool:
        return key in self._known and "ReadWriteOncePod" in (self._known[key].spec.get("accessModes") or ())

    def bind(self, pod: Pod, node: str) -> None:
        for key in claims_of(pod):
            self.homes.setdefault(key, node)
            self._used.add(key)

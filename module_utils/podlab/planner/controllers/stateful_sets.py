"""StatefulSet: pods with names that stay, made and replaced in an order.

The order is that of pkg/controller/statefulset (updateStatefulSet, release 1.30): first who is missing comes, then who
is too many goes, then who is old is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..manifests.workloads import revision_name
from ..model import Pod, PodTemplate, Present
from .context import REVISION_HASH, ReconcileContext, ReconcileResult, is_ready, revision_of


def stateful_set(scene: ReconcileContext) -> ReconcileResult:
    return _StatefulSet(scene).step()


@dataclass
class _StatefulSet:
    scene: ReconcileContext
    pods: dict[int, Pod] = field(default_factory=dict)
    changed: bool = False

    def step(self) -> ReconcileResult:
        item = self.scene.workload
        wanted = range(item.first_ordinal, item.first_ordinal + item.replicas)
        for ordinal in wanted:
            self.scene.names.take(item, self.name(ordinal))
        there = {ordinal: one for ordinal in wanted if (one := self.scene.find(self.name(ordinal)))}
        all_ready = self._fill(wanted, there)
        surplus = self._shrink(wanted, all_ready)
        if all_ready and not surplus and not self.changed:
            self._update(wanted, there)
        pods = [self.pods[ordinal] for ordinal in sorted(self.pods)]
        return ReconcileResult(pods, self._unfinished(wanted, surplus))

    def _fill(self, wanted: range, there: dict[int, Present]) -> bool:
        """Who is there stays, who is missing comes: all at once, or one after the other, each once those before it
        are ready. Returns whether all are there and ready."""
        ordered = self.scene.workload.strategy != "Parallel"
        all_ready = True
        for ordinal in wanted:
            one = there.get(ordinal)
            if one is None or (self._is_old(one) and not self.scene.can_stay(one)):
                if all_ready or not ordered:
                    self._renew(ordinal)
                all_ready = False
                continue
            if not self._is_old(one):
                self.pods[ordinal] = self.make(ordinal)
            elif self._may_update(ordinal, one) and not is_ready(one):
                # Kubernetes would wait for it, though a corrected template is just what it needs
                # (kubernetes/kubernetes#67250). It serves no requests, so no order is lost.
                self._renew(ordinal)
            else:
                self.pods[ordinal] = self.scene.pinned(one)
            all_ready = all_ready and self.scene.is_available(one)
        return all_ready

    def _shrink(self, wanted: range, all_ready: bool) -> list[int]:
        """The highest goes first, the next one in the next step. Returns who has yet to go."""
        found = {self.ordinal(one): one for one in self.scene.mine}
        surplus = sorted(ordinal for ordinal in found if ordinal is not None and ordinal not in wanted)
        if self.scene.workload.strategy == "Parallel":
            return []
        if surplus and all_ready:
            surplus.pop()
            self.changed = True
        for ordinal in surplus:
            self.pods[ordinal] = self.scene.pinned(found[ordinal])
        return surplus

    def _update(self, wanted: range, there: dict[int, Present]) -> None:
        """One old pod, the highest; all others are ready."""
        for ordinal in reversed(wanted):
            if self._is_old(there[ordinal]) and ordinal >= self._partition:
                if self.scene.can_change(there[ordinal]):
                    self._renew(ordinal)
                return

    def _unfinished(self, wanted: range, surplus: list[int]) -> str:
        item = self.scene.workload
        due = [ordinal for ordinal in wanted if ordinal >= self._partition]
        made = sum(1 for ordinal in wanted if ordinal in self.pods)
        old = sum(1 for ordinal in due if ordinal in self.pods and self.pods[ordinal].pinned is not None)
        if made < item.replicas:
            return self.scene.titled(f"{made} of {item.replicas} created")
        if surplus:
            return self.scene.titled(f"{len(surplus)} more to remove")
        return self.scene.titled(f"{len(due) - old} of {len(due)} replaced") if old else ""

    # --- one pod

    def _renew(self, ordinal: int) -> None:
        self.pods[ordinal] = self.make(ordinal)
        self.changed = True

    def make(self, ordinal: int) -> Pod:
        return self.scene.pod(self.name(ordinal), self._template(ordinal), revision=self.scene.workload.template_hash)

    def name(self, ordinal: int) -> str:
        return f"{self.scene.workload.name}-{ordinal}"

    def ordinal(self, present: Present) -> int | None:
        parent, _, ordinal = present.key.partition("/")[2].rpartition("-")
        return int(ordinal) if parent == self.scene.workload.name and ordinal.isdecimal() else None

    def _template(self, ordinal: int) -> PodTemplate:
        item, name = self.scene.workload, self.name(ordinal)
        labels = {
            **item.template.labels,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(ordinal),
            REVISION_HASH: revision_name(item),
        }
        spec = {**item.template.spec, "hostname": name}
        if item.service_name:
            spec["subdomain"] = item.service_name
        return replace(item.template, labels=labels, hostname=name, subdomain=item.service_name or None, spec=spec)

    def _is_old(self, present: Present) -> bool:
        return present.row is not None and revision_of(present) != self.scene.workload.template_hash

    def _may_update(self, ordinal: int, present: Present) -> bool:
        return ordinal >= self._partition and self.scene.can_change(present)

    @property
    def _partition(self) -> int:
        return self.scene.workload.first_ordinal + self.scene.workload.partition

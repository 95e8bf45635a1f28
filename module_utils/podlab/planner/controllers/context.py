"""What every controller works with: the pods that are there, names for those that come, pods that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..inputs.host import Host
from ..manifests import scheduling_fields
from ..manifests.names import short_hash
from ..manifests.reading import Field
from ..model import Invalid, Pod, PodTemplate, Present, Workload
from ..scheduler.filters import may_stay

POD_TEMPLATE_HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"

_SUFFIX = 5
_LONGEST = 63


@dataclass
class ReconcileResult:
    """What a workload wants now. ``unfinished`` says in words what is left for a later step."""

    pods: list[Pod]
    unfinished: str = ""
    note: str = ""
    expired: bool = False  # a Job that has finished, so long ago that it is not there any more


class Names:
    """Names that are given, over all workloads of a run.

    Workloads come in the order of their documents and ordinals count up, so a name depends on what stands before it
    only and outlives scaling.
    """

    def __init__(self, bare: Iterable[Pod]) -> None:
        self._written = {pod.key: pod.where for pod in bare}
        self._made: dict[str, str] = {}
        self.problems: list[str] = []

    def make(self, workload: Workload, name_of: Callable[[int], str]) -> str:
        """The first name that no other replica has; ``name_of`` gives another one for each attempt."""
        attempt = 0
        while (key := f"{workload.namespace}/{name_of(attempt)}") in self._made:
            attempt += 1
        return self._add(workload, key)

    def take(self, workload: Workload, name: str) -> str:
        """A name that cannot be another one (a StatefulSet's)."""
        key = f"{workload.namespace}/{name}"
        if key in self._made:
            self._exists(workload, name, self._made[key])
        return self._add(workload, key)

    def _add(self, workload: Workload, key: str) -> str:
        name = key.partition("/")[2]
        if key in self._written:
            # A mistake in a manifest, and not worked around: its author has to know.
            self._exists(workload, name, self._written[key])
        self._made[key] = workload.where
        return name

    def _exists(self, workload: Workload, name: str, first: str) -> None:
        self.problems.append(f'{workload.where}: pods "{name}" already exists: first seen at {first}')

    def check(self) -> None:
        if self.problems:
            raise Invalid(self.problems)


@dataclass
class ReconcileContext:
    """What a controller sees: one workload, the nodes, and which of its pods are there."""

    workload: Workload
    nodes: Mapping[str, Host]
    mine: Sequence[Present]  # rows of which name this workload as their controller
    present: Mapping[str, Present]  # all that is there, on nodes of the inventory
    names: Names
    adopted: int = 0  # bare pods that are this workload's by their labels
    _templates: dict[object, PodTemplate] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, Present]:
        return {present.key.partition("/")[2]: present for present in self.mine}

    def find(self, name: str) -> Present | None:
        """This workload's pod of that name. One on a node that is not seen is known by its name alone."""
        found = self.by_name.get(name)
        if found is None:
            other = self.present.get(f"{self.workload.namespace}/{name}")
            found = other if other and other.row is None else None
        return found

    def is_available(self, present: Present) -> bool:
        """Whether a pod has been ready for as long as its workload asks for."""
        return is_ready(present) and present.ready_for >= self.workload.min_ready

    def can_change(self, present: Present) -> bool:
        """Whether this run writes to the pod's node."""
        return self.nodes[present.node].is_managed

    def can_stay(self, present: Present) -> bool:
        """Whether a pod that is to stay as it runs still fits its node."""
        return may_stay(self._template_of(present), self.nodes[present.node])

    def pod(
        self, name: str, template: PodTemplate, controller: str = "", revision: str = "", until: str = "Ready"
    ) -> Pod:
        item = self.workload
        controller = controller or f"{item.kind}/{item.name}"
        return Pod(item.namespace, name, template, item.where, item.key, revision, controller, until)

    def pinned(self, present: Present, until: str = "Ready") -> Pod:
        """A pod that stays as it runs, whatever the template says by now."""
        row = present.row
        assert row is not None  # only what was seen is kept
        namespace, name = present.key.split("/")
        references = row["object"]["metadata"].get("ownerReferences") or ()
        return Pod(
            namespace,
            name,
            self._template_of(present),
            self.workload.where,
            self.workload.key,
            revision=revision_of(present),
            controller=next((f"{one['kind']}/{one['name']}" for one in references), ""),
            until=until,
            pinned=row,
        )

    def _template_of(self, present: Present) -> PodTemplate:
        """One for all that are alike: a workload's pods with the same labels and revision had the same template."""
        labels = (present.row["object"]["metadata"].get("labels") or {}) if present.row else {}
        alike = (revision_of(present), *labels.items())
        template = self._templates.get(alike)
        if template is None:
            template = self._templates[alike] = template_of(present)
        return template

    def titled(self, words: str) -> str:
        item = self.workload
        return f"{item.kind} {item.namespace}/{item.name}: {words}"


def generated(prefix: str, *parts: object) -> str:
    """``<prefix>-<5 characters>``, 63 characters at most: no chance, but a hash of what the pod is."""
    return f"{prefix}-"[: _LONGEST - _SUFFIX] + short_hash("/".join(map(str, parts)), _SUFFIX)


def label_of(present: Present, name: str) -> str | None:
    if present.row is None:
        return None
    value: str | None = (present.row["object"]["metadata"].get("labels") or {}).get(name)
    return value


def revision_of(present: Present) -> str:
    return present.row.get("revision", "") if present.row else ""


def is_ready(present: Present) -> bool:
    """The state of a pod whose node is not seen is unknown, so it does not count as ready."""
    return present.ready and present.row is not None


def template_of(present: Present) -> PodTemplate:
    """As much of a running pod's template as the scheduler asks for, out of its object."""
    assert present.row is not None
    meta, spec = present.row["object"]["metadata"], present.row["object"]["spec"]
    written = Field.root(spec, "", [])  # it was checked when it was made
    return PodTemplate(
        containers=(),
        labels=meta.get("labels") or {},
        node_selector=spec.get("nodeSelector") or {},
        tolerations=scheduling_fields.tolerations(written["tolerations"]),
        anti_affinity=scheduling_fields.anti_affinity(written["affinity"]["podAntiAffinity"], meta["namespace"]),
        restart_policy=spec.get("restartPolicy", "Always"),
        host_network=bool(present.row.get("host_network")),
    )

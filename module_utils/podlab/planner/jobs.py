"""Job: pods that shall end well so many times.

Counting is that of pkg/controller/job (syncJob and manageJob, release 1.30). Nobody watches between two runs: a pod
that fails is replaced when a run finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .model import Container, Pod, PodTemplate, Present
from .replicas import Scene, Step, generated, revision_of

_INDEX = "batch.kubernetes.io/job-completion-index"
_SUFFIX = 5
_LONGEST = 63


@dataclass
class _Task:
    """One pod of a Job: the ``index`` is what it works on (Indexed only)."""

    name: str
    there: Present | None
    index: int | None = None

    @property
    def phase(self) -> str:
        return self.there.phase if self.there else ""


@dataclass
class _Tally:
    tasks: list[_Task] = field(default_factory=list)  # those with a pod, in order
    free: Iterator[_Task] = field(default_factory=lambda: iter(()))  # that may come next

    def count(self, phase: str) -> int:
        return sum(1 for task in self.tasks if task.phase == phase)

    @property
    def active(self) -> list[_Task]:
        return [task for task in self.tasks if task.phase not in ("Succeeded", "Failed")]


def job(scene: Scene) -> Step:
    item = scene.workload
    tally = _indexed(scene) if item.strategy == "Indexed" else _counted(scene)
    succeeded, failed = tally.count("Succeeded"), tally.count("Failed")
    has_failed = failed > item.backoff_limit and succeeded < item.replicas
    rest = max(item.replicas - succeeded, 0)
    wanted = 0 if has_failed or item.suspended else min(item.parallelism, rest)
    active = tally.active[:wanted]
    while len(active) < wanted and (task := next(tally.free, None)):
        active.append(task)
        tally.tasks.append(task)
    # Others wait for their turn only where more is to be done than can be at once.
    more = bool(wanted) and rest > len(active)
    running = {task.name for task in active}
    templates: dict[int | None, PodTemplate] = {}
    pods: list[Pod] = []
    for task in tally.tasks:
        if task.there and task.phase in ("Succeeded", "Failed"):
            pods.append(scene.kept(task.there, until="Ended"))
        elif task.name in running:
            if task.index not in templates:
                templates[task.index] = _template(scene, task.index)
            until = "Ended" if more else "Ready"
            pods.append(scene.pod(task.name, templates[task.index], revision=item.template_hash, until=until))
    unfinished = scene.titled(f"{succeeded} of {item.replicas} completed") if more else ""
    note = scene.titled("Job has reached the specified backoff limit") if has_failed else ""
    return Step(pods, unfinished, note)


def _own(scene: Scene, name: str) -> Present | None:
    """The pod of that name, unless an older template made it: a changed Job starts over."""
    found = scene.find(name)
    return found if found and (found.row is None or revision_of(found) == scene.workload.template_hash) else None


def _counted(scene: Scene) -> _Tally:
    """Any pod may do any part of the work; one that failed leaves its place to the next number."""
    item = scene.workload

    def tasks() -> Iterator[_Task]:
        for ordinal in range(item.replicas + item.backoff_limit + item.parallelism + 1):
            name = scene.names.make(
                item,
                lambda attempt, ordinal=ordinal: generated(  # type: ignore[misc]
                    item.name, item.kind, item.namespace, item.name, item.template_hash, ordinal, attempt
                ),
            )
            yield _Task(name, _own(scene, name))

    tally = _Tally()
    gaps: list[_Task] = []
    source = tasks()
    known = {name for name in scene.by_name if _own(scene, name)}
    while known and (task := next(source, None)):
        known.discard(task.name)
        (tally.tasks if task.there else gaps).append(task)
    tally.free = (task for tasks in (gaps, source) for task in tasks)
    return tally


def _indexed(scene: Scene) -> _Tally:
    """Each index has pods of its own, one at a time until one ended well."""
    item = scene.workload
    tally = _Tally()
    free: list[_Task] = []
    for index in range(item.replicas):
        retry = 0
        while True:
            name = scene.names.make(
                item,
                lambda attempt, index=index, retry=retry: _indexed_name(scene, index, retry, attempt),  # type: ignore[misc]
            )
            task = _Task(name, _own(scene, name), index)
            if task.there is None:
                free.append(task)
                break
            tally.tasks.append(task)
            if task.phase != "Failed":
                break
            retry += 1
    tally.free = iter(free)
    return tally


def _indexed_name(scene: Scene, index: int, retry: int, attempt: int) -> str:
    item = scene.workload
    prefix = item.name[: _LONGEST - _SUFFIX - len(f"-{index}-")]
    return generated(
        f"{prefix}-{index}", item.kind, item.namespace, item.name, item.template_hash, index, retry, attempt
    )


def _template(scene: Scene, index: int | None) -> PodTemplate:
    item = scene.workload
    template = item.template
    labels = {**template.labels, "batch.kubernetes.io/job-name": item.name, "job-name": item.name}
    if index is None:
        return replace(template, labels=labels)
    hostname = f"{item.name}-{index}"
    return replace(
        template,
        labels={**labels, _INDEX: str(index)},
        annotations={**template.annotations, _INDEX: str(index)},
        hostname=hostname,
        spec={**template.spec, "hostname": hostname},
        containers=tuple(_told(container, index) for container in template.containers),
        init_containers=tuple(_told(container, index) for container in template.init_containers),
    )


def _told(container: Container, index: int) -> Container:
    return replace(container, env={**container.env, "JOB_COMPLETION_INDEX": str(index)})

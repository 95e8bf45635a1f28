"""Job: pods that shall end well so many times.

Counting is that of pkg/controller/job (syncJob and manageJob, release 1.30). Nothing watches between two runs: a pod
that fails is replaced when a run finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..model import Container, Pod, PodTemplate, Present, Workload
from .context import ReconcileContext, ReconcileResult, generated, revision_of

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
class JobStatus:
    tasks: list[_Task] = field(default_factory=list)  # those with a pod, in order
    free: Iterator[_Task] = field(default_factory=lambda: iter(()))  # that may come next

    def count(self, phase: str) -> int:
        return sum(1 for task in self.tasks if task.phase == phase)

    @property
    def age(self) -> float:
        """Seconds since the first of them has begun."""
        return max((task.there.age for task in self.tasks if task.there and task.there.age is not None), default=0.0)

    @property
    def ended_for(self) -> float:
        """Seconds since the last of them has ended; -1 while one has not."""
        ends = [task.there.ended_for for task in self.tasks if task.there]
        return min((-1.0 if one is None else one for one in ends), default=-1.0)

    @property
    def active(self) -> list[_Task]:
        return [task for task in self.tasks if task.phase not in ("Succeeded", "Failed")]


def identity(item: Workload) -> str:
    """One that differs in any of these is another Job."""
    return f"{item.template_hash}/{item.strategy}/{item.replicas}/{item.parallelism}/{item.ttl}"


def job(scene: ReconcileContext) -> ReconcileResult:
    item = scene.workload
    tally = _indexed(scene) if item.strategy == "Indexed" else _counted(scene)
    succeeded, failed = tally.count("Succeeded"), tally.count("Failed")
    is_late = succeeded < item.replicas and item.deadline is not None and tally.age >= item.deadline
    has_failed = is_late or (failed > item.backoff_limit and succeeded < item.replicas)
    if item.ttl is not None and (has_failed or succeeded >= item.replicas) and tally.ended_for >= item.ttl:
        return ReconcileResult([], expired=True)
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
        has_ended = task.phase in ("Succeeded", "Failed")
        if task.there and task.there.row and (has_ended or (is_late and "deadline" in task.there.row)):
            pods.append(scene.pinned(task.there, until="Ended"))  # its node ends what has no time left
        elif task.name in running:
            if task.index not in templates:
                templates[task.index] = _template(scene, task.index)
            until = "Ended" if more else "Ready"
            template = _in_time(scene, templates[task.index], task, tally.age)
            pods.append(scene.pod(task.name, template, revision=item.template_hash, until=until))
    unfinished = scene.titled(f"{succeeded} of {item.replicas} completed") if more else ""
    why = "Job was active longer than specified deadline" if is_late else "Job has reached the specified backoff limit"
    return ReconcileResult(pods, unfinished, scene.titled(why) if has_failed else "")


def _in_time(scene: ReconcileContext, template: PodTemplate, task: _Task, age: float) -> PodTemplate:
    """With what is left of the Job's time: its node ends a pod, whether a run is there or not. What a pod was given
    when it was made stays, or each run would find it changed."""
    if scene.workload.deadline is None:
        return template
    left = max(scene.workload.deadline - int(age), 1)
    row = task.there.row if task.there else None
    given = row.get("deadline", left) if row else left
    own = template.deadline
    return replace(template, deadline=given if own is None else min(own, given))


def _own(scene: ReconcileContext, name: str) -> Present | None:
    """The pod of that name, unless an older template made it: a changed Job starts over."""
    found = scene.find(name)
    return found if found and (found.row is None or revision_of(found) == scene.workload.template_hash) else None


def _counted(scene: ReconcileContext) -> JobStatus:
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

    tally = JobStatus()
    gaps: list[_Task] = []
    source = tasks()
    known = {name for name in scene.by_name if _own(scene, name)}
    while known and (task := next(source, None)):
        known.discard(task.name)
        (tally.tasks if task.there else gaps).append(task)
    tally.free = (task for tasks in (gaps, source) for task in tasks)
    return tally


def _indexed(scene: ReconcileContext) -> JobStatus:
    """Each index has pods of its own, one at a time until one ended well."""
    item = scene.workload
    tally = JobStatus()
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


def _indexed_name(scene: ReconcileContext, index: int, retry: int, attempt: int) -> str:
    item = scene.workload
    prefix = item.name[: _LONGEST - _SUFFIX - len(f"-{index}-")]
    return generated(
        f"{prefix}-{index}", item.kind, item.namespace, item.name, item.template_hash, index, retry, attempt
    )


def _template(scene: ReconcileContext, index: int | None) -> PodTemplate:
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

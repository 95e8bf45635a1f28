"""CronJobs: nothing watches the clock, so their Jobs are made by hand (``kubectl create job --from``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...records.host_record import JobByHand
from ..model import Document
from . import cron
from .model import CronJob
from .reading import Field
from .references import Scope
from .workloads import workload

_POLICIES = ("Allow", "Forbid", "Replace")
_LONGEST_NAME = 52  # eleven characters of a Job's name are the time of its start
_MANUAL = {"cronjob.kubernetes.io/instantiate": "manual"}

Object = Mapping[str, Any]


def cron_job(root: Field, name: str, where: str, scope: Scope) -> CronJob:
    """One CronJob. What its Job would be is checked as a Job is."""
    spec, schedule = root["spec"], root["spec"]["schedule"]
    if len(name) > _LONGEST_NAME:
        root["metadata"]["name"].invalid(f"must be no more than {_LONGEST_NAME} characters")
    if schedule.absent:
        schedule.required()
    elif schedule.text() and (why := cron.problem(schedule.text())):
        schedule.invalid(why)
    if spec["timeZone"].given and (why := cron.time_zone_problem(spec["timeZone"].text())):
        spec["timeZone"].invalid(why)
    spec["concurrencyPolicy"].one_of(_POLICIES)
    workload("Job", spec["jobTemplate"], name, where, scope)
    return CronJob(
        namespace=scope.namespace,
        name=name,
        schedule=schedule.text(),
        time_zone=spec["timeZone"].text(),
        suspended=spec["suspend"].boolean(),
        body=root.mapping(),
    )


def note(cron_jobs: Sequence[CronJob]) -> list[str]:
    if not cron_jobs:
        return []
    first, more = cron_jobs[0], len(cron_jobs) - 1
    keys = first.key + (f" and {more} more" if more else "")
    namespace = "" if first.namespace == "default" else f" -n {first.namespace}"
    return [
        f"CronJob {keys}: nothing watches the clock; its Job runs once by ./lab create job NAME "
        f"--from=cronjob/{first.name}{namespace}"
    ]


# --- Jobs by hand ---------------------------------------------------------------------------------------


class NewJob(NamedTuple):
    """What ``./lab create job NAME --from=cronjob/CRON_JOB`` asks for."""

    namespace: str
    name: str
    cron_job: str


def documents_by_hand(
    documents: Sequence[Document], kept: Mapping[str, JobByHand], new: NewJob | None
) -> tuple[list[Document], dict[str, JobByHand], list[str]]:
    """Jobs that were made by hand, as if they stood in a manifest.

    :param kept: "namespace/name" -> ``cronJob`` and ``body``, as the record has them. One whose CronJob is gone goes
        with it, as on a cluster what an owner leaves behind.
    :param new: one that is to be made now.
    :return: the documents, what the record keeps of them, and what is wrong with the new one.
    """
    there = {_key(one): one.body for one in documents if one.body.get("kind") == "CronJob"}
    found = {key: one for key, one in kept.items() if one["cronJob"] in there}
    problems: list[str] = []
    if new is not None:
        key, source = f"{new.namespace}/{new.name}", f"{new.namespace}/{new.cron_job}"
        taken = {_key(one) for one in documents if one.body.get("kind") == "Job"} | found.keys()
        if source not in there:
            problems.append(f'error: cronjobs.batch "{new.cron_job}" not found')
        elif key in taken:
            problems.append(f'error: failed to create job: jobs.batch "{new.name}" already exists')
        else:
            found[key] = {"cronJob": source, "body": _job(new, there[source])}
    made = [Document(one["body"], f"job/{key} of cronjob/{one['cronJob']}", 1) for key, one in found.items()]
    return made, found, problems


def _key(document: Document) -> str:
    metadata = document.body.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    return f"{known.get('namespace') or 'default'}/{known.get('name')}"


def _job(new: NewJob, cron_job: Object) -> dict[str, Any]:
    """As kubectl makes it (``create_job.go``, createJobFromCronJob)."""
    template = _below(_below(cron_job, "spec"), "jobTemplate")
    metadata = _below(template, "metadata")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": new.name,
            "namespace": new.namespace,
            "annotations": {**_MANUAL, **_below(metadata, "annotations")},
            **({"labels": metadata["labels"]} if metadata.get("labels") else {}),
        },
        "spec": template.get("spec"),
    }


def _below(value: Object, name: str) -> Object:
    """What is no map is told where the CronJob is read."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}

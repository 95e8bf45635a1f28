"""``./lab create job``: the Job of a CronJob, once, by hand."""

from __future__ import annotations

from .. import arguments, verbs
from ..errors import CommandError
from . import playbook

_KINDS = ("cronjob", "cronjobs", "cj", "cronjob.batch", "cronjobs.batch", "cronjob.v1.batch")


def main(words: list[str], command: list[str]) -> int:
    parser = arguments.parser(
        "create",
        "job NAME --from=cronjob/NAME [-n NS] [--manifests PATH]... [OPTION OF ansible-playbook]...",
        "Run the Job of a CronJob once: nothing here watches the clock. It is ./lab up with that Job besides,\n"
        "which stays as long as its CronJob does. Everything else is made from manifests: ./lab up.",
    )
    parser.add_argument("kind", metavar="job")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--from", dest="source", default="", metavar="cronjob/NAME")
    arguments.namespace(parser)
    arguments.manifests(parser)
    known, options = parser.parse_known_args(words)
    if known.kind not in ("job", "jobs"):
        raise CommandError(f"error: only a Job can be created, from a CronJob; write {known.kind} into the manifests")
    if not known.source:
        raise CommandError(f"error: {verbs.instead_of('create', 'job')}", code=2)
    kind, _, cron_job = known.source.partition("/")
    if kind not in _KINDS or not cron_job:
        raise CommandError(f"error: from must be an existing cronjob: {known.source}")
    new = {"namespace": known.namespace, "name": known.name, "cron_job": cron_job}
    settings = {**arguments.manifest_settings(known), "podlab_create_job": new}
    return playbook.build([*options, *command], settings)

"""Workloads: what makes pods out of a template. The rules are those of ``pkg/apis/apps`` and ``pkg/apis/batch``."""

from __future__ import annotations

import json
from typing import Any

from ..model import PodTemplate, Workload
from ..scheduler.model import Selector
from . import fields, names
from .podspec import ALWAYS, ANY_POLICY, pod_template
from .reading import Field, labels_of, selector
from .references import Scope
from .updates import fixed_job

# A slip of the finger must not fill the controller's memory; no cluster CIDR has room for more anyway.
MOST_REPLICAS = 1_000_000
_MOST_INDEXED = 100_000

Fields = dict[str, Any]


def workload(kind: str, root: Field, name: str, where: str, scope: Scope) -> Workload:
    """One workload. ``kind`` is a key of ``READERS``."""
    spec, written = root["spec"], root["spec"]["template"]
    claims = [claim["metadata"]["name"].text() for claim in spec["volumeClaimTemplates"].items()]
    template = pod_template(written, scope, ANY_POLICY if kind == "Job" else ALWAYS, claims)
    own = READERS[kind](spec, template)
    if kind != "Job":
        own |= {"min_ready": spec["minReadySeconds"].at_least(0)}
        _no_deadline(kind, written["spec"]["activeDeadlineSeconds"])
    wanted = Selector({"batch.kubernetes.io/job-name": name}) if kind == "Job" else _selector(kind, spec, template)
    return Workload(
        kind=kind,
        namespace=scope.namespace,
        name=name,
        template=template,
        # A Job's template is the same with the API's defaults written out, so its pods are.
        template_hash=own["fixed_job"]["template"] if kind == "Job" else template_hash(written.value),
        where=where,
        labels=labels_of(root["metadata"]["labels"]),
        selector=wanted,
        **{"replicas": 0, **own},
    )


def template_hash(template: Any) -> str:
    """The same ten characters for the same template, in whatever order its fields are written."""
    return names.short_hash(json.dumps(template, sort_keys=True, separators=(",", ":")), 10)


# --- names and labels that are made of its name ---------------------------------------------------------


def revision_name(item: Workload) -> str:
    """The ControllerRevision of a StatefulSet, which its pods have as a label."""
    return f"{item.name}-{item.template_hash}"


def unfit_names(item: Workload) -> list[str]:
    """What cannot be made of a workload's name: a label has 63 characters at most."""
    if item.kind == "StatefulSet" and item.replicas:
        # The API server takes the StatefulSet, and then none of its pods.
        revision, first = revision_name(item), f"{item.name}-{item.first_ordinal}"
        subject = fields.subject_of(item.where, "Pod", first)
        return [subject + fields.invalid("metadata.labels", revision, words) for words in names.label_value(revision)]
    if item.kind != "Job":
        return []
    subject = fields.subject_of(item.where, "Job", item.name)
    if wrong := names.label_value(item.name):
        return [subject + fields.invalid("spec.template.labels", item.name, words) for words in wrong]
    last = f"{item.name}-{item.replicas - 1}"
    if item.strategy == "Indexed" and item.replicas and names.dns1123_label(last):
        words = f"will not able to create pod with invalid DNS label: {last}"
        return [subject + fields.invalid("metadata.name", item.name, words)]
    return []


def _selector(kind: str, spec: Field, template: PodTemplate) -> Selector:
    """``spec.selector``, which has to match the labels of the template."""
    node = spec["selector"]
    made = selector(node)
    if node.value is None:
        node.required()
    elif node["matchLabels"].absent and node["matchExpressions"].absent:
        # The API server has the words of a Deployment for a ReplicaSet, too.
        of = {"ReplicaSet": "deployment"}.get(kind, kind.lower())
        node.invalid(f"empty selector is invalid for {of}")
    if not made.matches(template.labels):
        spec["template"]["metadata"]["labels"].invalid("`selector` does not match template `labels`")
    return made


def _no_deadline(kind: str, node: Field) -> None:
    """What is replaced as soon as it has ended must not have an end."""
    if node.given:
        of = {"Deployment": "ReplicaSet"}.get(kind, kind)  # whose pods they are
        node.forbidden(f"activeDeadlineSeconds in {of} is not Supported")


def _replicas(node: Field, default: int = 1) -> int:
    replicas = node.at_least(default)
    if replicas > MOST_REPLICAS:
        node.invalid(f"must be less than or equal to {MOST_REPLICAS}")
        return 0
    return replicas


# --- rolling updates ------------------------------------------------------------------------------------


def _pods_or_percent(node: Field, default: str) -> tuple[int, bool]:
    """A number, and whether it is one of percent."""
    value = node.number_or_text()
    if value is None:
        value = int(default) if default.isdigit() else default
    if isinstance(value, str):
        # One that is wrong in itself shall not be taken for a zero as well.
        return (int(value[:-1][:9]), True) if node.check(names.percentage(value)) else (1, False)
    number = int(value)
    if number < 0:
        node.invalid("must be greater than or equal to 0")
    return max(number, 0), False


def _at_most_all(node: Field, wish: tuple[int, bool]) -> None:
    number, is_percent = wish
    if is_percent and number > 100:
        node.invalid("must not be greater than 100%")


def _deployment(spec: Field, template: PodTemplate) -> Fields:
    replicas = _replicas(spec["replicas"])
    strategy, progress = spec["strategy"], spec["progressDeadlineSeconds"]
    if progress.at_least(600) <= spec["minReadySeconds"].integer(0):
        progress.invalid("must be greater than minReadySeconds", progress.integer(600))
    made: Fields = {"replicas": replicas, "strategy": strategy["type"].text() or "RollingUpdate"}
    if made["strategy"] == "Recreate":
        if strategy["rollingUpdate"].given:
            strategy["rollingUpdate"].forbidden("may not be specified when strategy `type` is 'Recreate'")
        return made
    strategy["type"].one_of(("Recreate", "RollingUpdate"))
    rolling = strategy["rollingUpdate"]
    surge = _pods_or_percent(rolling["maxSurge"], "25%")
    unavailable = _pods_or_percent(rolling["maxUnavailable"], "25%")
    if not surge[0] and not unavailable[0]:
        rolling["maxUnavailable"].invalid("may not be 0 when `maxSurge` is 0")
    _at_most_all(rolling["maxUnavailable"], unavailable)
    made["max_surge"] = _rounded(surge, replicas, up=True)
    made["max_unavailable"] = _rounded(unavailable, replicas, up=False)
    if not made["max_surge"] and not made["max_unavailable"]:
        made["max_unavailable"] = 1  # or it would never get on (pkg/controller/deployment/util, ResolveFenceposts)
    return made


def _rounded(wish: tuple[int, bool], replicas: int, up: bool) -> int:
    number, is_percent = wish
    if not is_percent:
        return number
    return -(-number * replicas // 100) if up else number * replicas // 100


# --- the kinds ------------------------------------------------------------------------------------------


def _replica_set(spec: Field, template: PodTemplate) -> Fields:
    return {"replicas": _replicas(spec["replicas"])}


def _daemon_set(spec: Field, template: PodTemplate) -> Fields:
    """A percentage is one of the nodes that take a pod; how many they are is known when pods are placed."""
    strategy = spec["updateStrategy"]
    _update_strategy(strategy)
    rolling = strategy["rollingUpdate"]
    surge = _pods_or_percent(rolling["maxSurge"], "0")
    unavailable = _pods_or_percent(rolling["maxUnavailable"], "1")
    for field, wish in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        _at_most_all(rolling[field], wish)
    if surge[0] and unavailable[0]:
        rolling["maxSurge"].invalid("may not be set when maxUnavailable is non-zero")
    elif not surge[0] and not unavailable[0]:
        rolling["maxUnavailable"].required("cannot be 0 when maxSurge is 0")
    percent = next((number for number, is_percent in (surge, unavailable) if number and is_percent), 0)
    return {
        "strategy": "RollingUpdate",
        "max_surge": min(surge[0], 1) if surge[1] else surge[0],
        "max_unavailable": min(unavailable[0], 1) if unavailable[1] else unavailable[0],
        "percent_of_nodes": percent,
    }


def _stateful_set(spec: Field, template: PodTemplate) -> Fields:
    policy = spec["podManagementPolicy"].text() or "OrderedReady"
    if policy not in ("OrderedReady", "Parallel"):
        spec["podManagementPolicy"].invalid("must be 'OrderedReady' or 'Parallel'")
    _update_strategy(spec["updateStrategy"])
    return {
        "replicas": _replicas(spec["replicas"]),
        "strategy": policy,
        "partition": spec["updateStrategy"]["rollingUpdate"]["partition"].at_least(0),
        "first_ordinal": spec["ordinals"]["start"].at_least(0),
        "service_name": _service_name(spec["serviceName"]),
    }


def _service_name(node: Field) -> str:
    name = node.text()
    if name:
        node.check(names.dns1123_label(name))
    return name


def _update_strategy(node: Field) -> None:
    kind = node["type"].text()
    if kind == "OnDelete":
        node["type"].refuse("nobody deletes pods one by one; use RollingUpdate")
    elif kind and kind != "RollingUpdate":
        node["type"].unsupported(kind, ("RollingUpdate", "OnDelete"))


def _job(spec: Field, template: PodTemplate) -> Fields:
    policy = spec["template"]["spec"]["restartPolicy"]
    if template.restart_policy == "Always":
        policy.required('valid values: "OnFailure", "Never"')
    parallelism = spec["parallelism"].at_least(1)
    mode = spec["completionMode"].one_of(("Indexed", "NonIndexed"), "NonIndexed")
    # Without completions the pods share a queue; each of them shall end well once.
    # With neither of the two there is one pod.
    completions = _replicas(spec["completions"], parallelism)
    if mode == "Indexed":
        if not spec["completions"].given:
            spec["completions"].required("when completion mode is Indexed")
        if parallelism > _MOST_INDEXED:
            spec["parallelism"].invalid(
                f"must be less than or equal to {_MOST_INDEXED} when completion mode is Indexed"
            )
    return {
        "replicas": completions,
        "strategy": mode,
        "parallelism": parallelism,
        "backoff_limit": spec["backoffLimit"].at_least(6),
        "suspended": spec["suspend"].boolean(),
        "fixed_job": fixed_job(
            spec["template"].value,
            # Without either of the two one pod has to end well; with parallelism alone the number is open.
            spec["completions"].integer(1) if spec["completions"].given or not spec["parallelism"].given else None,
            spec["suspend"].boolean(),
        ),
        "deadline": spec["activeDeadlineSeconds"].at_least(0) if spec["activeDeadlineSeconds"].given else None,
        "ttl": spec["ttlSecondsAfterFinished"].at_least(0) if spec["ttlSecondsAfterFinished"].given else None,
    }


READERS = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
}

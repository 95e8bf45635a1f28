"""What may not change about an object while it exists, in the words of the API server.

The rules are those of ``Validate...Update`` in ``pkg/apis/{core,apps,batch,discovery}/validation`` and of the update
strategies in ``pkg/registry``. How an object was is told by the newest record; one that a run found in no manifest is
in no record any more, and may come back as another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...records.host_record import Expression, FixedJob, WorkloadSelector
from ..model import Desired, Pod, Present, Workload
from ..scheduler.model import Selector
from ..services.model import LOAD_BALANCER, Service
from . import fields
from .defaults import without_defaults
from .names import short_hash
from .references import decoded

Object = Mapping[str, Any]

WAY_OUT = "; to make it anew, take it out of the manifests for one run, or begin with ./lab down"

IMMUTABLE = "field is immutable" + WAY_OUT
_SEALED = "field is immutable when `immutable` is set" + WAY_OUT
ONCE_SET = "may not change once set" + WAY_OUT
_STATEFUL_SET = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_CLAIM = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_POD = (
    "the API server refuses that (pod updates may not change fields other than `spec.containers[*].image`, "
    "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions to existing "
    "tolerations)); on a cluster, delete it first"
)

# What may change in the template of a Job that is suspended (``validatePodTemplateUpdate``).
_SCHEDULING = ("nodeSelector", "schedulingGates", "tolerations")


def fixed_job(template: Any, completions: int | None, suspended: bool) -> FixedJob:
    """:param template: as it is written."""
    plain = without_defaults(template)
    written = plain.get("spec") if isinstance(plain, dict) else None
    kept = written.items() if isinstance(written, dict) else ()
    spec = {name: value for name, value in kept if name not in _SCHEDULING}
    return {
        "completions": completions,
        "suspended": suspended,
        "template": _hash(plain),
        "unscheduled": _hash(spec),
    }


def _hash(value: Any) -> str:
    return short_hash(json.dumps(value, sort_keys=True, separators=(",", ":")), 10)


def selector_object(selector: Selector) -> WorkloadSelector:
    """A selector as a manifest has it."""
    found: WorkloadSelector = {"matchLabels": dict(selector.labels)}
    if selector.expressions:
        found["matchExpressions"] = [_expression(*one) for one in selector.expressions]
    return found


def _expression(key: str, operator: str, values: Sequence[str]) -> Expression:
    found: Expression = {"key": key, "operator": operator}
    if values:
        found["values"] = list(values)
    return found


def forbidden_updates(desired: Desired, record: Mapping[str, Any]) -> list[str]:
    """:param record: the newest one; empty where nothing was ever applied."""
    workloads = {f"{one['kind']}/{one['namespace']}/{one['name']}": one for one in record.get("workloads", ())}
    found: list[str] = []
    for item in desired.workloads:
        if before := workloads.get(item.key):
            found += _said(item.where, item.kind, item.name, _workload(item, before))
    for key, body in desired.objects.items():
        kind, _, name = key.split("/")
        if before := record.get("objects", {}).get(key):
            found += _said(desired.places.get(key, ""), kind, name, _stored(kind, body, before))
    for key, claim in desired.claims.items():
        before = record.get("claims", {}).get(key, {}).get("spec")  # empty of a directory that was found
        if before and _fixed(before) != _fixed(claim.spec):
            words = fields.forbidden("spec", _CLAIM + WAY_OUT)
            where = desired.places.get(f"PersistentVolumeClaim/{key}", "")
            found += _said(where, "PersistentVolumeClaim", claim.name, [words])
    for service in desired.services:
        if before := record.get("services", {}).get(service.key):
            found += _said(service.where, "Service", service.name, _service(service, before["body"].get("spec") or {}))
    for one in desired.slices:
        before = record.get("slices", {}).get(one.key, {}).get("body")
        if before and one.body and before.get("addressType") != one.body.get("addressType"):
            words = fields.invalid("addressType", one.body.get("addressType"), IMMUTABLE)
            found += _said(desired.places.get(f"EndpointSlice/{one.key}", ""), "EndpointSlice", one.name, [words])
    return found


def _said(where: str, kind: str, name: str, wrong: Iterable[str]) -> list[str]:
    return [fields.subject_of(where, kind, name) + words for words in wrong]


# --- workloads ------------------------------------------------------------------------------------------


def _workload(item: Workload, before: Object) -> Iterator[str]:
    if item.kind == "Job":
        yield from _job(item, before)
        return
    selector = selector_object(item.selector)
    same_selector = selector == before["selector"]
    if item.kind == "StatefulSet":
        # Of what may not change the rest is refused anyway.
        same = same_selector and (item.service_name, item.strategy) == (before["serviceName"], before["strategy"])
        told = without_defaults(before.get("volumeClaimTemplates", {}))
        same = same and without_defaults({claim.name: {**claim.spec} for claim in item.claims}) == told
        if not same:
            yield fields.forbidden("spec", _STATEFUL_SET + WAY_OUT)
    elif not same_selector and item.kind != "ReplicationController":
        yield fields.invalid("spec.selector", selector, IMMUTABLE)


def _fixed(spec: Object) -> Object:
    """What may not change of a claim's spec."""
    plain = without_defaults({**spec})
    return {name: value for name, value in plain.items() if name not in ("resources", "volumeAttributesClassName")}


def _job(item: Workload, before: Object) -> Iterator[str]:
    now, then = item.fixed_job, before.get("job")
    if now is None or not isinstance(then, Mapping) or then.keys() != now.keys():
        return  # an older podlab remembered nothing of the kind
    completions = now["completions"]
    if item.strategy == before["strategy"] == "Indexed":
        # An elastic one: parallelism goes with it.
        if completions != then["completions"] and completions != item.parallelism:
            yield fields.invalid(
                "spec.completions", completions, "can only be modified in tandem with spec.parallelism"
            )
    elif completions != then["completions"]:
        yield fields.invalid("spec.completions", completions, IMMUTABLE)
    if item.strategy != before["strategy"]:
        yield fields.invalid("spec.completionMode", item.strategy, IMMUTABLE)
    part = "unscheduled" if then["suspended"] else "template"
    if now[part] != then[part]:  # type: ignore[literal-required]
        yield fields.invalid("spec.template", {"spec": item.template.spec}, IMMUTABLE)


# --- ConfigMaps, Secrets, Services ----------------------------------------------------------------------


def _stored(kind: str, body: Object, before: Object) -> Iterator[str]:
    if kind == "Secret" and body["type"] != before.get("type", "Opaque"):
        yield fields.invalid("type", body["type"], IMMUTABLE)
    if not before.get("immutable"):
        return
    if not body.get("immutable"):
        yield fields.forbidden("immutable", _SEALED)
    for part in ("data", "binaryData"):
        is_encoded = kind == "Secret" or part == "binaryData"
        if _content(body, part, is_encoded) != _content(before, part, is_encoded):
            yield fields.forbidden(part, _SEALED)


def _content(body: Object, part: str, is_encoded: bool) -> dict[str, Any]:
    written = body.get(part)
    if not isinstance(written, Mapping):  # nothing, or a mistake that is told elsewhere
        return {}
    return {key: decoded(value) if is_encoded else value or "" for key, value in written.items()}


def _service(service: Service, before: Object) -> Iterator[str]:
    """Cluster IPs and the port of health checks are for ``services/addresses.py``, which gives them out."""
    now, then = service.load_balancer_class, before.get("loadBalancerClass") or ""
    if service.type == before.get("type") == LOAD_BALANCER and now != then:
        yield fields.invalid("spec.loadBalancerClass", now or None, ONCE_SET)


# --- pods -----------------------------------------------------------------------------------------------


def changed_pods(pods: Sequence[Pod], present: Mapping[str, Present]) -> list[str]:
    """A note for bare pods that become others in place: here the manifest is the truth, on a cluster it is refused."""
    changed = [pod.key for pod in pods if (one := present.get(pod.key)) and one.row and is_another(pod, one.row)]
    if not changed:
        return []
    some = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return [f"pod {some} is changed; {_POD}"]


def is_another(pod: Pod, row: Object) -> bool:
    then = row["object"]["spec"]
    now = {**pod.template.spec, "restartPolicy": pod.template.restart_policy}
    now.setdefault("nodeName", then.get("nodeName"))
    if now == then:  # as most are, and at once
        return False
    added_only = all(one in (now.get("tolerations") or []) for one in then.get("tolerations") or [])
    return not added_only or _compared(now) != _compared(then)


def _compared(spec: Object) -> Any:
    """Without what may change while a pod runs."""
    plain = without_defaults({**spec})
    for part in ("containers", "initContainers"):
        if isinstance(plain.get(part), list):
            plain[part] = [{**one, "image": ""} if isinstance(one, dict) else one for one in plain[part]]
    return {name: value for name, value in plain.items() if name not in ("activeDeadlineSeconds", "tolerations")}

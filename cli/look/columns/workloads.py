"""Cells of what makes pods. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..table import NONE, Object, age, human_duration, joined, moment


def deployment(item: Object, now: datetime.datetime) -> list[str]:
    spec, status = item["spec"], item["status"]
    return [
        item["metadata"]["name"],
        f"{status['readyReplicas']}/{spec['replicas']}",
        str(status["updatedReplicas"]),
        str(status["availableReplicas"]),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def replicaset(item: Object, now: datetime.datetime) -> list[str]:
    status = item["status"]
    return [
        item["metadata"]["name"],
        str(item["spec"]["replicas"]),
        str(status["replicas"]),
        str(status["readyReplicas"]),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def statefulset(item: Object, now: datetime.datetime) -> list[str]:
    ready = f"{item['status']['readyReplicas']}/{item['spec']['replicas']}"
    return [item["metadata"]["name"], ready, age(item, now), *_template(item)]


def daemonset(item: Object, now: datetime.datetime) -> list[str]:
    status = item["status"]
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    return [
        item["metadata"]["name"],
        *(str(status[count]) for count in counts),
        str(status["numberAvailable"]),
        joined(item["spec"]["template"]["spec"].get("nodeSelector", {})),
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def cronjob(item: Object, now: datetime.datetime) -> list[str]:
    spec = item["spec"]
    zone, suspend = spec.get("timeZone", NONE), str(spec["suspend"])
    return [item["metadata"]["name"], spec["schedule"], zone, suspend, "0", NONE, age(item, now)]


def job(item: Object, now: datetime.datetime) -> list[str]:
    spec, status = item["spec"], item["status"]
    duration = ""
    if start := status.get("startTime"):
        ended = status.get("completionTime")
        duration = human_duration(((moment(ended) if ended else now) - moment(start)).total_seconds())
    return [
        item["metadata"]["name"],
        f"{status['succeeded']}/{spec['completions']}",
        duration,
        age(item, now),
        *_template(item),
        _selector(item),
    ]


def _template(item: Object) -> list[str]:
    containers = item["spec"]["template"]["spec"]["containers"]
    return [",".join(container[key] for container in containers) for key in ("name", "image")]


def _selector(item: Object) -> str:
    selector = item["spec"].get("selector") or {}
    return joined(selector) if item["kind"] == "ReplicationController" else selector_text(selector)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector in one line, as metav1.FormatLabelSelector writes it."""
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for term in selector.get("matchExpressions", []):
        values = f"({','.join(sorted(term.get('values', [])))})"
        words = {"Exists": term["key"], "DoesNotExist": f"!{term['key']}"}
        terms.append(words.get(term["operator"], f"{term['key']} {term['operator'].lower()} {values}"))
    return ",".join(sorted(terms)) or NONE

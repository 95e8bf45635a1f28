"""A Deployment. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .. import objects, workloads
from ..columns.workloads import selector_text
from ..objects import Object
from ..table import NONE
from . import fields


def deployment(state: objects.State, item: Object) -> fields.Lines:
    metadata, spec, status = item["metadata"], item["spec"], item["status"]
    lines = [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        *fields.created(metadata),
        *fields.label_lines("Labels", metadata.get("labels")),
        *fields.annotation_lines(metadata.get("annotations")),
        f"Selector:\t{selector_text(spec['selector'])}",
        f"Replicas:\t{spec['replicas']} desired | {status['updatedReplicas']} updated | {status['replicas']} total | "
        f"{status['availableReplicas']} available | {status['unavailableReplicas']} unavailable",
        f"StrategyType:\t{spec['strategy']['type']}",
        f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}",
        "Pod Template:",
        *(f"  {line}" for line in fields.label_lines("Labels", spec["template"]["metadata"]["labels"])),
        "  Containers:",
    ]
    for container in spec["template"]["spec"]["containers"]:
        lines += [f"   {container['name']}:", f"    Image:\t{container['image']}"]
    own = [
        found
        for found in workloads.replicasets(state)
        if found["metadata"]["namespace"] == metadata["namespace"]
        and any(owner["name"] == metadata["name"] for owner in found["metadata"].get("ownerReferences", []))
    ]
    old = [found for found in own if not found["spec"]["replicas"] and found["status"]["replicas"]]
    new = [found for found in own if found not in old]
    lines += [f"OldReplicaSets:\t{_sets(old)}", f"NewReplicaSet:\t{_sets(new)}"]
    return lines


def _sets(found: Sequence[Object]) -> str:
    words = (
        f"{item['metadata']['name']} ({item['status']['replicas']}/{item['spec']['replicas']} replicas created)"
        for item in found
    )
    return ", ".join(words) or NONE

"""A ReplicaSet or ReplicationController, which kubectl tells of in the same words. Pure."""

from __future__ import annotations

from collections import Counter

from .. import objects, workloads
from ..columns.workloads import selector_text
from ..objects import Object
from ..table import joined
from . import fields


def replica_set(state: objects.State, item: Object) -> fields.Lines:
    metadata, spec = item["metadata"], item["spec"]
    selector = spec.get("selector") or {}
    owners = [f"{one['kind']}/{one['name']}" for one in metadata.get("ownerReferences", [])]
    own = workloads.pods_of(state, item["kind"], metadata["namespace"], metadata["name"])
    phases = Counter(pod["status"]["phase"] for pod in own)
    lines = [
        f"Name:\t{metadata['name']}",
        f"Namespace:\t{metadata['namespace']}",
        f"Selector:\t{joined(selector) if item['kind'] == 'ReplicationController' else selector_text(selector)}",
        *fields.label_lines("Labels", metadata.get("labels")),
        *fields.annotation_lines(metadata.get("annotations")),
        *(f"Controlled By:\t{owner}" for owner in owners),
        f"Replicas:\t{item['status']['replicas']} current / {spec['replicas']} desired",
        f"Pods Status:\t{phases['Running']} Running / {phases['Pending']} Waiting / {phases['Succeeded']} Succeeded / "
        f"{phases['Failed']} Failed",
        "Pod Template:",
        *(f"  {line}" for line in fields.label_lines("Labels", spec["template"]["metadata"]["labels"])),
        "  Containers:",
    ]
    for container in spec["template"]["spec"]["containers"]:
        lines += [f"   {container['name']}:", f"    Image:\t{container['image']}"]
    return lines

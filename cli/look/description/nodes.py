"""A node. Pure."""

from __future__ import annotations

import datetime

from .. import objects
from ..columns.others import node_roles
from ..objects import Object
from ..table import NONE, age
from . import fields


def node(state: objects.State, node: Object, now: datetime.datetime) -> fields.Lines:
    metadata, spec, status = node["metadata"], node["spec"], node["status"]
    taints = [
        f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
        for taint in spec.get("taints", [])
    ] or [NONE]
    info = status.get("nodeInfo", {})
    own = [
        pod
        for pod in state.pods
        if pod["spec"].get("nodeName") == metadata["name"] and pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    lines = [
        f"Name:\t{metadata['name']}",
        f"Roles:\t{node_roles(node)}",
        *fields.label_lines("Labels", metadata.get("labels")),
        *fields.annotation_lines(metadata.get("annotations")),
        *fields.created(metadata),
        f"Taints:\t{taints[0]}",
        *(f"\t{taint}" for taint in taints[1:]),
        "Unschedulable:\tfalse",
        "Conditions:",
        "  Type\tStatus\tReason\tMessage",
        "  ----\t------\t------\t-------",
    ]
    lines += [f"  {c['type']} \t{c['status']} \t{c['reason']} \t{c['message']}" for c in status["conditions"]]
    lines += ["Addresses:", *(f"  {address['type']}:\t{address['address']}" for address in status["addresses"])]
    if info:
        lines += [
            "System Info:",
            f"  Kernel Version:\t{info['kernelVersion']}",
            f"  OS Image:\t{info['osImage']}",
            f"  Operating System:\t{info['operatingSystem']}",
            f"  Architecture:\t{info['architecture']}",
            f"  Container Runtime Version:\t{info['containerRuntimeVersion']}",
            f"  Kubelet Version:\t{info['kubeletVersion']}",
        ]
    if "podCIDR" in spec:
        lines += [f"PodCIDR:\t{spec['podCIDR']}", f"PodCIDRs:\t{','.join(spec['podCIDRs'])}"]
    lines.append(f"Non-terminated Pods:\t({len(own)} in total)")
    if own:
        lines += ["  Namespace\tName\tAge", "  ---------\t----\t---"]
        lines += [f"  {pod['metadata']['namespace']}\t{pod['metadata']['name']}\t{age(pod, now)}" for pod in own]
    return lines

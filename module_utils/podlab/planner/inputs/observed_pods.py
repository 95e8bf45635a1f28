"""What runs: the pods that this run finds, with how they fare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import phases
from ..ipam.allocations import Past
from ..model import Present
from .host import Host


def present_pods(hosts: Sequence[Host], past: Past) -> dict[str, Present]:
    """Pod key -> the pod. On a node that is not seen, what the newest record tells: nobody knows how it fares."""
    seen = {host.name for host in hosts if host.observation is not None}
    present = {
        key: Present(key, node, row=None, ready=False, phase="Unknown")
        for key, (node, _) in past.items()
        if node not in seen
    }
    for host in hosts:
        for pod in (host.observation or {}).get("pods", {}).values():
            row = pod["row"]
            if row is None:
                continue
            meta = row["object"]["metadata"]
            key = f"{meta['namespace']}/{meta['name']}"
            if key in present and past.get(key, ("", None))[0] != host.name:
                continue  # what a node still runs that was given to another since
            status = phases.status(row, pod["facts"])
            ready = pod["sandbox"] and phases.is_ready(status)
            since = phases.ready_for(row, status, pod["facts"])
            ended = phases.ended_for(status, pod["facts"])
            is_over = status.get("reason") == "DeadlineExceeded"
            present[key] = Present(key, host.name, row, ready, status["phase"], since, pod.get("age"), ended, is_over)
    return present


def unready(host: Host, netns: str, until: str) -> bool:
    """Whether a pod of this host is yet to become what its row is waited for: ``Ready`` or ``Ended``."""
    pod: Mapping[str, Any] | None = (host.observation or {}).get("pods", {}).get(netns)
    if not pod or not pod["row"] or not pod["sandbox"]:
        return True
    status = phases.status(pod["row"], pod["facts"])
    if until == "Ended":
        return not phases.has_ended(status)
    return not phases.is_settled(pod["row"], status)

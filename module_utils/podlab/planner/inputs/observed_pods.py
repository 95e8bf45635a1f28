"""What runs: the pods that this run finds, with how they fare."""

from __future__ import annotations

from collections.abc import Sequence

from ... import phases
from ...running import merely_runs
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
        for key, pod in host.told_pods:
            row = pod["row"]
            if row is None or (key in present and past.get(key, ("", None))[0] != host.name):
                continue  # what a node still runs that was given to another since
            fares = phases.summary(row, pod["facts"])
            ready, is_over = pod["sandbox"] and fares.is_ready, fares.reason == "DeadlineExceeded"
            times = fares.ready_for, pod.get("age"), fares.ended_for
            present[key] = Present(key, host.name, row, ready, fares.phase, *times, is_over)
    return present


def unready(host: Host, netns: str, until: str) -> bool:
    """Whether a pod of this host is yet to become what its row is waited for: ``Ready`` or ``Ended``."""
    pod = host.seen.get("pods", {}).get(netns)
    if not pod or not pod["row"] or not pod["sandbox"]:
        return True
    if until != "Ended" and merely_runs(pod["row"], pod["facts"]):
        return False
    fares = phases.summary(pod["row"], pod["facts"])
    return not (fares.phase in phases.ENDED if until == "Ended" else fares.is_settled)

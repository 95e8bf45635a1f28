"""What there is to say at the end of a run that has put everything in place: pods that are not ready."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

IN_PLACE = "PODLAB_IN_PLACE"
"""In this variable ``./lab up`` gives the descriptor of a pipe, in which it is told that everything is in place. The
exit code does not say: a refused plan has the same as a pod that is not ready, and only the latter leaves a lab to
show."""


def unready(task_vars: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pods that are not ready, as ``podlab_ready`` registered them as ``rollout_ready`` on every host."""
    return [
        {**pod, "node": host}
        for host in task_vars["ansible_play_hosts"]
        for pod in task_vars["hostvars"][host].get("rollout_ready", {}).get("unready", [])
    ]


def lines(pods: list[dict[str, Any]], task_vars: Mapping[str, Any]) -> list[str]:
    """Each pod with what it waits for, and what stays unfinished because of that; nothing where all are ready."""
    if not pods:
        return []
    found = [f"{len(pods)} {'pod is' if len(pods) == 1 else 'pods are'} not ready; everything else is in place"]
    for pod in pods:
        found += [f"pod {pod['pod']} on {pod['node']}:", *(f"  {line}" for line in pod["words"])]
    return found + [f"unfinished: {words}" for words in task_vars["podlab_plan"]["unfinished"]]


def tell_in_place() -> None:
    with contextlib.suppress(KeyError, ValueError, OSError):  # ansible-playbook by itself asks for nothing
        os.write(int(os.environ[IN_PLACE]), b".")

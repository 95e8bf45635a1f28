"""How many steps the rollouts of a run can take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from ..model import Invalid, Workload


class Turn(TypedDict):
    step: int  # 0: the plan that a run begins with
    limit: int


def most_steps(workloads: Iterable[Workload], nodes: int, pods: int) -> int:
    """No run needs more: a step makes or removes a pod at least, or one has become ready since the last, and only those
    of Jobs that fail are made again. Twice what is made or removed, as some pods may have to be built anew under way.

    :param nodes: how many there are, each with a pod of every DaemonSet.
    :param pods: how many are there when the run begins, and are no workload's.
    """
    made = 0
    for workload in workloads:
        made += nodes if workload.kind == "DaemonSet" else workload.replicas
        made += workload.backoff_limit + 1 if workload.kind == "Job" else 0
    return 3 * (made + pods) + 2


def next_turn(before: Turn | None, limit: int, unfinished: Iterable[str]) -> Turn:
    """:param before: of the plan before in the same run.
    :param limit: for a first plan.
    :param unfinished: workloads that need a further step, in words.
    :raises Invalid: this would go on without an end.
    """
    turn: Turn = {"step": before["step"] + 1, "limit": before["limit"]} if before else {"step": 0, "limit": limit}
    if turn["step"] > turn["limit"] and (words := ", ".join(unfinished)):
        raise Invalid(
            [
                f"after {turn['limit']} steps, more than its pods need, a rollout is not finished: {words}; something "
                "undoes what each step does (./lab get pods, ./lab describe pod); another run goes on from here"
            ]
        )
    return turn

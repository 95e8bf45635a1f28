"""Which pod is meant, and why one cannot be entered."""

from __future__ import annotations

from typing import Any

import pytest

from cli.enter.target import Pods
from cli.errors import CommandError
from cli.look import objects
from tests.answers import answer

WAITS = {"waiting": {"reason": "CreateContainerConfigError"}}


def pod(where: str | None, **status: Any) -> objects.Object:
    spec = {"containers": [{"name": "c"}], **({"nodeName": where} if where else {})}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": spec, "status": {"phase": "Pending", **status}}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (pod(None), "error: pod p does not have a host assigned"),
        (pod("node2"), "error: pod p is on node2, which does not answer"),
        (pod("node1"), "error: pod p is not running on node1"),
        (
            pod("node1", containerStatuses=[{"name": "c", "state": WAITS}]),
            'Error from server (BadRequest): container "c" in pod "p" is waiting to start: CreateContainerConfigError',
        ),
    ],
)
def test_a_pod_that_runs_nowhere_cannot_be_entered(found: objects.Object, why: str) -> None:
    answers = {"node1": answer(), "node2": None}
    with pytest.raises(CommandError) as caught:
        Pods({}, answers, objects.cluster_state(answers, list(answers))).target(found)
    assert str(caught.value) == why

"""Runs the chapters of a node one by one, on the node, and tells how long each took.

It travels and starts as podlab's modules do (``controller/module_bundle.py``), and calls what they call. ``pods`` is
taken apart: what ``changes`` has found is applied kind by kind, so that links have a time of their own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.podlab.changes.network import bridge
from ansible.module_utils.podlab.changes.pods import pods
from ansible.module_utils.podlab.changes.pods.pods import Steps
from ansible.module_utils.podlab.host.network import network
from ansible.module_utils.podlab.host.pods import containers, ready
from ansible.module_utils.podlab.host.pods import pods as host_pods
from ansible.module_utils.podlab.host.run import ip_batch

ARGUMENT_SPEC = {"rows": {"type": "dict", "required": True}, "containers": {"type": "bool", "default": False}}


class Clock:
    """Phase -> seconds."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.phases[name] = time.perf_counter() - started


def links(clock: Clock, rows: dict[str, Any]) -> Steps:
    """All up to the pods' routes; what is left to do."""
    with clock.phase("bridge"):
        ip_batch(bridge.changes(network.links(), rows["bridge"]))
    with clock.phase("observe"):
        seen = network.links(), host_pods.observe()
    with clock.phase("changes"):
        steps = pods.changes(*seen, rows["pods"]["pods"])
    with clock.phase("sandboxes"):
        host_pods.apply(Steps(sandboxes=steps.sandboxes))
    with clock.phase("links"):
        host_pods.apply(Steps(wires=steps.wires, insides=steps.insides, announce=steps.announce))
    return steps


def processes(clock: Clock, rows: dict[str, Any], steps: Steps) -> None:
    """All the rest: volumes, containers, and the time until every pod is ready."""
    with clock.phase("programs"):
        containers.write_programs(rows["pods"]["programs"])
    with clock.phase("containers"):
        host_pods.apply(Steps(volumes=steps.volumes, start=steps.start, held=steps.held, kubelet=steps.kubelet))
    with clock.phase("ready"):
        left = ready.wait(dict.fromkeys((row["netns"] for row in rows["pods"]["pods"]), "Ready"), 60.0)
    if left:
        raise RuntimeError(f"{len(left)} pods are not ready: {left[0]['words']}")


if __name__ == "__main__":
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC)
    clock = Clock()
    rest = links(clock, module.params["rows"])
    lines = {"wires": rest.wires, "insides": rest.insides}
    if module.params["containers"]:
        processes(clock, module.params["rows"], rest)
    module.exit_json(phases=clock.phases, **lines)

"""One bare node and the rows that a plan has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podlab.configs import PlannedHost
from podlab.controller import inputs, transport
from podlab.planner.inputs.host import Host
from podlab.planner.plan import plan

from .labs import ROOT, BenchLab, address

NODE, NOW = "node1", "2030-01-01T00:00:00Z"
INSIDE = ROOT / "bench" / "inside"


def rows(made: BenchLab, *objects: Mapping[str, Any]) -> PlannedHost:
    """Start the node, read it, and plan. It is alone, so there is no other node to have a route to."""
    made.start(NODE)
    seen = made.module(NODE, "podlab_observe", {"role": "node"})
    made.wants(*objects)
    wanted = inputs.read(str(ROOT), str(made.manifests), {})
    host = Host(NODE, "node", address(NODE), observation=transport.decode(seen["observation"]))
    planned = plan(wanted.cluster, [host], wanted.desired, wanted.programs, NOW, wanted.problems)
    return planned["hosts"][NODE]


def build(made: BenchLab, planned: PlannedHost, *, containers: bool) -> Any:
    """Run ``inside/components.py``: ``phases``, and the lines of ``ip`` that were typed."""
    components = {"bridge": planned["bridge"], "pods": planned["pods"]}
    return made.module(NODE, "components", {"rows": components, "containers": containers}, library=INSIDE)

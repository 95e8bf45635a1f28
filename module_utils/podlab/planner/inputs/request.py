"""What a plan is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..model import Desired
from .settings import Cluster

COMPONENTS = ("system", "node", "bridge", "pods", "routes", "egress", "services")


@dataclass(frozen=True)
class Request:
    """All that is the same in every phase; ``plan`` says what each of it is."""

    cluster: Cluster
    desired: Desired
    programs: Mapping[str, str]
    now: str
    assume_ready: bool
    components: Collection[str]
    code: str
    planner_code: str


def components_of(tags: Collection[str], skipped: Collection[str]) -> list[str]:
    """The components that a run was asked for by ``--tags`` and ``--skip-tags``."""
    every = {"all", "tagged"}
    return [name for name in COMPONENTS if {name, *every} & {*tags} and not {name, *every} & {*skipped}]

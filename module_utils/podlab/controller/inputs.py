"""What the plan is made of, read from the clone and from the user's directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ..planner.cluster import Cluster, cluster_of, image_of
from ..planner.model import Desired, Invalid
from .manifests import survey

PROGRAMS = ("agnhost",)
SAMPLE = "manifests"


@dataclass(frozen=True)
class Inputs:
    """``problems`` is what is wrong with settings and manifests. The planner adds its own and raises them all."""

    cluster: Cluster
    desired: Desired
    programs: Mapping[str, str]
    problems: tuple[str, ...]


def read(root: str, manifests: str, settings: Mapping[str, Any]) -> Inputs:
    """Read settings and manifests.

    :param root: directory of the clone.
    :param manifests: a directory, from where the user stands; the sample is found from everywhere.
    """
    problems: list[str] = []
    cluster = Cluster()
    try:
        cluster = cluster_of(settings)
    except Invalid as error:
        problems += error.problems
    catalogue = yaml.safe_load(Path(root, "images", "catalogue.yml").read_text("utf-8"))
    images = {name: image_of(entry) for key, entry in catalogue.items() for name in (key, *entry.get("aliases", ()))}
    cluster = replace(cluster, images={**images, **cluster.images})
    if manifests == SAMPLE and not os.path.isdir(manifests):
        manifests = os.path.join(root, SAMPLE)
    desired, wrong = Desired(pods=()), list[str]()
    try:
        desired, wrong = survey(manifests, cluster.images)
    except Invalid as error:
        wrong = error.problems
    programs = {name: Path(root, "images", name).read_text("utf-8") for name in PROGRAMS}
    return Inputs(cluster, desired, programs, (*problems, *wrong))

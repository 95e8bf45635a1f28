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
from ..planner.objects import desired
from .manifests import load, schema_problems

PROGRAMS = ("agnhost",)


@dataclass(frozen=True)
class Inputs:
    cluster: Cluster
    desired: Desired
    programs: Mapping[str, str]


def read(root: str, manifests: str, settings: Mapping[str, Any]) -> Inputs:
    """Read settings and manifests.

    :param root: directory of the clone.
    :param manifests: a directory, from where the user stands or from the clone.
    :raises Invalid: with the problems of settings and manifests together.
    """
    problems: list[str] = []
    catalogue = {name: image_of(entry) for name, entry in _yaml(root, "images/catalogue.yml").items()}
    cluster = Cluster()
    try:
        cluster = cluster_of(settings)
    except Invalid as error:
        problems += error.problems
    cluster = replace(cluster, images={**catalogue, **cluster.images})
    objects = Desired(pods=())
    try:
        documents = load(manifests if os.path.isabs(manifests) else os.path.relpath(_find(root, manifests)))
        problems += schema_problems(documents)
        objects = desired(documents, cluster.images)
    except Invalid as error:
        problems += error.problems
    if problems:
        raise Invalid(problems)
    return Inputs(
        cluster, objects, {name: Path(root, "images", name).read_text("utf-8") for name in PROGRAMS}
    )


def _find(root: str, manifests: str) -> str:
    """A relative directory is meant from where the user stands; the sample is found from everywhere."""
    return manifests if os.path.isdir(manifests) else os.path.join(root, manifests)


def _yaml(root: str, path: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml.safe_load(Path(root, path).read_text("utf-8"))
    return content

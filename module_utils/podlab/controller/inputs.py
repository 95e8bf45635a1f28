"""What the plan is made of, read from the clone and from the user's directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ..planner.inputs.cluster import cluster_of, for_manifests, image_of
from ..planner.inputs.settings import SETTINGS, Cluster
from ..planner.model import Desired, Invalid
from . import manifests
from .cache import cached
from .own_programs import CATALOGUE, programs

LARGE = 2**18  # bytes; less takes less than half a second to read
SAMPLE = SETTINGS["podlab_manifests"].default


@dataclass(frozen=True)
class Inputs:
    """``problems`` is what is wrong with settings and manifests. The planner adds its own and raises them all.

    ``programs`` are the files that podlab brings for its images: path below the images' directory -> text.
    """

    cluster: Cluster
    desired: Desired
    programs: Mapping[str, str]
    problems: tuple[str, ...]


def read(
    root: str,
    paths: str | Sequence[str],
    settings: Mapping[str, Any],
    known_problems: Sequence[str] = (),
    by_hand: manifests.ByHand = manifests.NOTHING_BY_HAND,
) -> Inputs:
    """Read settings and manifests.

    :param root: directory of the clone.
    :param paths: of the manifests, from where the user stands; the sample is found from everywhere.
    :param settings: by their names.
    """
    problems = [*known_problems]
    cluster = Cluster()
    try:
        cluster = cluster_of(settings)
    except Invalid as error:
        problems += error.problems
        cluster = for_manifests(settings)
    catalogue = yaml.safe_load(Path(root, "images", CATALOGUE).read_text("utf-8"))
    images = {name: image_of(entry) for key, entry in catalogue.items() for name in (key, *entry.get("aliases", ()))}
    cluster = replace(cluster, images={**images, **cluster.images})
    paths = [paths] if isinstance(paths, str) else list(paths)
    if paths == [SAMPLE] and not os.path.isdir(SAMPLE):
        paths = [os.path.join(root, SAMPLE)]
    desired, wrong = Desired(), list[str]()
    try:
        desired, wrong = _surveyed(paths, cluster, by_hand)
    except Invalid as error:
        wrong = error.problems
    return Inputs(cluster, desired, programs(Path(root)), (*problems, *wrong))


def _surveyed(paths: Sequence[str], cluster: Cluster, by_hand: manifests.ByHand) -> tuple[Desired, list[str]]:
    """Ten thousand Services take two seconds to read, and a run looks at them twice."""

    def survey() -> tuple[Desired, list[str]]:
        return manifests.survey(
            paths,
            cluster.images,
            recursive=cluster.manifests_recursive,
            by_hand=by_hand,
            allowed=cluster.allowed,
            unknown_images=cluster.unknown_images,
        )

    found = dict[str, bytes]()
    for source in manifests.sources_of(paths, cluster.manifests_recursive).found:
        with contextlib.suppress(OSError):  # which the survey tells
            found[source.name] = source.read()
    if sum(map(len, found.values())) < LARGE:
        return survey()
    settings = repr((cluster.images, sorted(cluster.allowed), cluster.unknown_images, list(found), by_hand))
    return cached("manifests", [settings.encode(), *found.values()], survey)

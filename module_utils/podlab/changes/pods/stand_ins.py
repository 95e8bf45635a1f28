"""How a container's status tells that something stands in for its program."""

from __future__ import annotations

from ...configs import ContainerConfig
from ...records.pod_config import Facts
from .paths import STAND_IN

IMAGE_ID = "podlab://stand-in"
"""In place of the digest of an image: it tells what runs, as ``image`` tells what was asked for."""


def image_id(row: ContainerConfig, facts: Facts) -> str:
    """:param row: of a container. :param facts: what its host tells of it."""
    argv = row.get("argv", [])
    is_certain = argv[:1] == [STAND_IN] and "--" not in argv  # else it looks for a program when it starts
    return IMAGE_ID if is_certain or facts.get("stand_in") else ""

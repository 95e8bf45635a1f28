"""The programs that podlab brings to a host, for containers and around them."""

from __future__ import annotations

from pathlib import Path

from ..changes.pods.s6_commands import PACKAGES
from .single_file import join

CATALOGUE = "catalogue.yml"
# They run on a node by themselves, and are modules here so that they can be tested like every other.
MODULES = {name: f"module_utils/podlab/host/{name}.py" for name in ("enter", "mounts")}


def programs(root: Path) -> dict[str, str]:
    """Path below the images' directory -> text: every file beside the catalogue, the kubelet, what stands in for other
    programs, and what enters containers.

    :param root: directory of the clone.
    """
    images = root / "images"
    files = sorted(path for path in images.rglob("*") if path.is_file() and path.name != CATALOGUE)
    found = {str(path.relative_to(images)): path.read_text("utf-8") for path in files}
    found |= {name: (root / path).read_text("utf-8") for name, path in MODULES.items()}
    return {**found, **{name: join(root / path) for name, path in PACKAGES.items()}}

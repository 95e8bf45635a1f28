"""Mounts of a container that lie in volumes: what is bound before bubblewrap, by podlab's program ``mounts``.

What is in a volume, a container has made: bubblewrap would follow its symbolic links, out of the container's root. So a
volume that holds other mounts, or the working directory, is put together on the host, and comes into the container as
one tree. /dev/shm is such a volume as well: all containers of a pod write to it.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any

SHM = "/dev/shm"


@dataclass(frozen=True)
class Bound:
    """A mount: ``path`` is resolved as far as it is the image's, ``index`` its place in the row (None: /dev/shm)."""

    path: str
    source: str
    read_only: bool = False
    device: bool = False
    index: int | None = None

    def row(self) -> dict[str, Any]:
        return {"path": self.path, "source": self.source, "read_only": self.read_only, "device": self.device}


@dataclass
class Tree:
    """A volume, and what lies in it."""

    outermost: Bound
    stage: str  # where it is put together
    nested: list[Bound] = field(default_factory=list)
    working_dir: str = ""  # relative to it

    def row(self) -> dict[str, Any]:
        nested = [{**mount.row(), "below": below(mount.path, self.outermost.path)} for mount in self.nested]
        return {
            "stage": self.stage,
            "outermost": self.outermost.row(),
            "nested": nested,
            "working_dir": self.working_dir,
        }


def trees(mounts: list[Bound], working_dir: str, stages: str) -> list[Tree]:
    """Those of a container.

    :param mounts: all of them; of two at one place the later one is seen.
    :param stages: a directory of the service.
    """
    found: list[Tree] = []
    for mount in sorted(mounts, key=lambda mount: mount.path.split("/")):
        around = next((tree for tree in found if below(mount.path, tree.outermost.path)), None)
        if around:
            around.nested.append(mount)
        else:
            found = [tree for tree in found if tree.outermost.path != mount.path]
            found.append(Tree(mount, ""))
    for tree in found:
        tree.working_dir = below(working_dir, tree.outermost.path)
    needed = [tree for tree in found if tree.nested or tree.working_dir]
    return [Tree(tree.outermost, f"{stages}/{n}", tree.nested, tree.working_dir) for n, tree in enumerate(needed)]


def below(path: str, above: str) -> str:
    """The rest of a path below another one, or nothing if it is not there."""
    return path[len(above) + 1 :] if path.startswith(f"{above}/") else ""


def resolved(path: str, links: tuple[str, ...]) -> str:
    """A path of a container's root without the links that every root has: /lib is /usr/lib, /var/run is /run.

    :param links: names in / that lead to /usr.
    """
    path = posixpath.normpath(path)
    if path.split("/")[1] in links:
        return f"/usr{path}"
    return path[len("/var") :] if f"{path}/".startswith("/var/run/") else path

"""Sub paths of volumes: what a container's mounts name in a volume, bound before the container starts."""

from __future__ import annotations

import contextlib
import os
import stat

from ...changes.pods.paths import SUBPATHS, mount_source, volume_path
from ...configs import PodConfig
from .. import mounts
from ..run import HostError
from . import mount_table
from .fs_group import change_mode


def bind_all(row: PodConfig, name: str) -> None:
    """Bind what a container's sub paths name, so that nobody can put anything else in its place later.

    A path that is not there becomes a directory. Symbolic links are followed inside of the volume
    (pkg/volume/util/subpath/subpath_linux.go, doSafeOpen).

    :raises HostError: one leads out of its volume.
    """
    release(row["netns"], name)
    for index, mount in enumerate(row["containers"][name].get("mounts", [])):
        if not mount["sub_path"]:
            continue
        target = mount_source(row, name, index)
        try:
            found = _open_beneath(volume_path(row, mount["volume"]), mount["sub_path"])
        except OSError as error:
            raise HostError(
                f"pod {row['netns']}, container {name}: "
                f'failed to prepare subPath "{mount["sub_path"]}" of volume "{mount["volume"]}": {error.strerror}'
            ) from error
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if stat.S_ISDIR(os.fstat(found).st_mode):
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
            _bind(found, target)
        finally:
            os.close(found)


def _bind(what: int, target: str) -> None:
    """By descriptors: mount(8) would work out the path of one, which may lead elsewhere by then."""
    at = os.open(target, os.O_PATH | os.O_CLOEXEC)
    try:
        mounts.bind(what, at)
    finally:
        os.close(at)


def release(netns: str, name: str) -> None:
    mount_table.delete(f"{SUBPATHS}/{netns}/{name}")
    with contextlib.suppress(OSError):  # not the last one
        os.rmdir(f"{SUBPATHS}/{netns}")


def _open_beneath(volume: str, sub_path: str) -> int:
    """A descriptor of what a path names in a volume; directories that are missing are made."""
    root = os.path.realpath(volume)
    real = os.path.realpath(f"{root}/{sub_path}")
    if real != root and not real.startswith(f"{root}/"):
        raise OSError(0, "it leads out of the volume")
    # Links have been followed; one that turns up now was put there this very moment.
    at = os.open(root, mounts.STEP | os.O_DIRECTORY)
    try:
        return mounts.descend(at, real[len(root) :], _make_directory)
    except mounts.LeadsOutError as error:
        raise OSError(0, "it leads out of the volume") from error
    finally:
        os.close(at)


def _make_directory(name: str, at: int) -> None:
    """With the rights of its parent, as the kubelet does it."""
    os.mkdir(name, 0o750, dir_fd=at)
    made = os.open(name, mounts.STEP, dir_fd=at)
    try:
        change_mode(made, stat.S_IMODE(os.fstat(at).st_mode))
    finally:
        os.close(made)

"""Volumes of this host's pods: made before their containers start, gone with their pods."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ...changes.pods.paths import VOLUMES, volume_path
from ...changes.pods.volume_commands import tmpfs_argv
from ...configs import PodConfig
from ..record import make_directory
from ..run import HostError, run
from . import fs_group, mount_table

TYPES = {
    # hostPath type -> what it is called when it is not one, and what tells (pkg/volume/hostpath/host_path.go)
    "Directory": ("directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("directory", stat.S_ISDIR),
    "File": ("file", stat.S_ISREG),
    "FileOrCreate": ("file", stat.S_ISREG),
    "Socket": ("socket file", stat.S_ISSOCK),
    "CharDevice": ("character device", stat.S_ISCHR),
    "BlockDevice": ("block device", stat.S_ISBLK),
}


def check(wanted: Iterable[tuple[PodConfig, str]]) -> None:
    """Whether the host has what hostPath volumes ask for.

    :raises HostError: with a line, in the kubelet's words, for each that it has not.
    """
    found = [(row, name, _host_path_problem(row["volumes"][name])) for row, name in wanted]
    words = [
        f'pod {row["netns"]}: MountVolume.SetUp failed for volume "{name}" : {problem}'
        for row, name, problem in found
        if problem
    ]
    if words:
        raise HostError("\n".join(words))


def _host_path_problem(volume: Mapping[str, Any]) -> str:
    if volume["kind"] != "hostPath" or not volume["type"]:
        return ""
    what, is_one = TYPES[volume["type"]]
    try:
        mode = os.stat(volume["path"]).st_mode
    except OSError:
        if volume["type"].endswith("OrCreate"):
            return ""
    else:
        if is_one(mode):
            return ""
    return f"hostPath type check failed: {volume['path']} is not a {what}"


def make(row: PodConfig, name: str) -> None:
    """Make a volume, or what is missing of it. What an emptyDir holds stays."""
    volume, path = row["volumes"][name], volume_path(row, name)
    if volume["kind"] == "hostPath":
        _make_on_host(volume)
        return
    make_directory(VOLUMES)
    home = os.path.dirname(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o700)  # secrets are the pod's; its containers come in through their mounts
    if not os.path.isdir(path):
        os.mkdir(path)
        os.chmod(path, 0o777)
    if volume["kind"] == "files":
        _write_files(path, volume["files"], row.get("fs_group"))
        return
    if volume["medium"] == "Memory" and not os.path.ismount(path):
        run(tmpfs_argv(volume, path))
    if "fs_group" in row:
        fs_group.give(path, row["fs_group"], 0o660)


def rewrite(row: PodConfig, name: str) -> None:
    """Put a volume's present files in place of the old ones, all at once."""
    _write_files(volume_path(row, name), row["volumes"][name]["files"], row.get("fs_group"))


def drop(netns: str, name: str) -> None:
    """Take one volume away. Whoever had it mounted has ended."""
    mount_table.delete(f"{VOLUMES}/{netns}/{name}")


def remove(names: Iterable[str]) -> None:
    """Take all volumes of pods away."""
    for netns in names:
        mount_table.delete(f"{VOLUMES}/{netns}")


def lost(row: PodConfig) -> list[str]:
    """Volumes of a pod that somebody has taken away, or the files in them that podlab has written."""
    return [name for name, volume in row.get("volumes", {}).items() if not _is_there(volume, volume_path(row, name))]


def _is_there(volume: Mapping[str, Any], path: str) -> bool:
    if volume["kind"] == "hostPath":
        return True
    if volume["kind"] == "files":
        return all(
            os.path.lexists(f"{path}/{top}") for top in {"..data", *(name.split("/")[0] for name in volume["files"])}
        )
    return os.path.ismount(path) if volume["medium"] == "Memory" else os.path.isdir(path)


def left_behind() -> list[str]:
    """Pods that have volumes here. Disks outlive a reboot, and rows do not."""
    try:
        return sorted(os.listdir(VOLUMES))
    except FileNotFoundError:
        return []


def _make_on_host(volume: Mapping[str, Any]) -> None:
    """What the kubelet makes, and for a volume without a type what containerd makes."""
    path = volume["path"]
    if volume["type"] in ("", "DirectoryOrCreate"):
        if not os.path.exists(path):
            os.makedirs(path, 0o755)
    elif volume["type"] == "FileOrCreate":
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


# --- files ------------------------------------------------------------------------------------------------


def _write_files(volume: str, files: Mapping[str, Mapping[str, Any]], group: int | None) -> None:
    """As the kubelet does it (pkg/volume/util/atomic_writer.go): the files lie in a directory with a time for its name,
    ``..data`` points to it and is turned round at once, and each name in the volume points into ``..data``."""
    for path in files:
        if os.path.isabs(path) or ".." in path.split("/") or path.startswith(".."):
            raise HostError(f"{volume}: a file of a volume cannot be at {path}")
    name = time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()) + str(secrets.randbelow(10**10))
    directory = f"{volume}/{name}"
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    for path, file in files.items():
        _write_one(f"{directory}/{path}", file)
    if group is not None:
        fs_group.give(directory, group, 0o440)
    _point(f"{volume}/..data", name)
    names = {path.split("/")[0] for path in files}
    for top in names:
        _point(f"{volume}/{top}", f"..data/{top}")
    for entry in os.listdir(volume):
        if not entry.startswith("..") and entry not in names:
            os.unlink(f"{volume}/{entry}")
        elif entry.startswith("..2") and entry != name:  # the one before, or one that was cut off
            shutil.rmtree(f"{volume}/{entry}", ignore_errors=True)
    if group is not None:
        os.chown(volume, -1, group)
        os.chmod(volume, 0o2777)


def _write_one(path: str, file: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = base64.b64decode(file["base64"]) if "base64" in file else file["text"].encode()
    with open(path, "wb") as out:
        out.write(data)
    os.chmod(path, file["mode"])


def _point(link: str, target: str) -> None:
    """A symbolic link, in place at once. One that is right already is not touched."""
    with contextlib.suppress(OSError):
        if os.readlink(link) == target:
            return
    temporary = f"{link}_tmp" if link.endswith("/..data") else f"{os.path.dirname(link)}/..link_tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)

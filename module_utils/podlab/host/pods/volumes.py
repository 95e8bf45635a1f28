"""Volumes of this host's pods: made before their containers start, gone with their pods.

Where anything here lies on a mount of another file system, that is a tmpfs of podlab's own or the target of a sub path.
A tree is deleted only when no mount is left in it: behind a sub path may be a directory of the host.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...changes.pods.containers import SUBPATHS, VOLUMES, mount_source, volume_path
from ...changes.pods.volume_commands import tmpfs_argv
from ...configs import PodRow
from .. import mounts
from ..record import make_directory
from ..run import HostError, run

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

MOST_NESTED = 200
"""Levels of directories that ``fsGroup`` reaches. A container may nest more than Python can call, or have open."""


def check(wanted: Iterable[tuple[PodRow, str]]) -> None:
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


def make(row: PodRow, name: str) -> None:
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
        _give_to_group(path, row["fs_group"], 0o660)


def rewrite(row: PodRow, name: str) -> None:
    """Put a volume's present files in place of the old ones, all at once."""
    _write_files(volume_path(row, name), row["volumes"][name]["files"], row.get("fs_group"))


def drop(netns: str, name: str) -> None:
    """Take one volume away. Whoever had it mounted has ended."""
    _delete(f"{VOLUMES}/{netns}/{name}")


def remove(names: Iterable[str]) -> None:
    """Take all volumes of pods away."""
    for netns in names:
        _delete(f"{VOLUMES}/{netns}")


def lost(row: PodRow) -> list[str]:
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


# --- sub paths --------------------------------------------------------------------------------------------


def bind_sub_paths(row: PodRow, name: str) -> None:
    """Bind what a container's sub paths name, so that nobody can put anything else in its place later.

    A path that is not there becomes a directory. Symbolic links are followed inside of the volume
    (pkg/volume/util/subpath/subpath_linux.go, doSafeOpen).

    :raises HostError: one leads out of its volume.
    """
    release_sub_paths(row["netns"], name)
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


def release_sub_paths(netns: str, name: str) -> None:
    _delete(f"{SUBPATHS}/{netns}/{name}")
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
        _chmod(made, stat.S_IMODE(os.fstat(at).st_mode))
    finally:
        os.close(made)


def _chmod(descriptor: int, mode: int) -> None:
    """Of what a descriptor (O_PATH) stands for, which may have another name by now. A link has no mode."""
    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.chmod(f"/proc/self/fd/{descriptor}", mode)


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
        _give_to_group(directory, group, 0o440)
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


def _give_to_group(path: str, group: int, rights: int) -> None:
    """``fsGroup``: files belong to it and directories pass it on (pkg/volume/volume_linux.go).

    :param rights: what the group may at least do with a file.
    :raises HostError: the host does not have the id.
    """
    try:
        _give_below(None, path, group, rights, MOST_NESTED)
    except OSError as error:
        why = "; this host's user namespace has no such id" if error.errno == errno.EINVAL else ""
        raise HostError(f"fsGroup {group}: {path}: {error.strerror}{why}") from error


def _give_below(at: int | None, name: str, group: int, rights: int, levels: int) -> None:
    """By descriptors: whoever writes to the volume may put a link in the place of anything at any time."""
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        os.fchown(directory, -1, group)
        os.fchmod(directory, stat.S_IMODE(os.fstat(directory).st_mode) | rights | 0o2110)
        for entry in os.listdir(directory):
            found = os.open(entry, mounts.STEP, dir_fd=directory)
            try:
                is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
                if not is_directory:
                    os.chown(entry, -1, group, dir_fd=directory, follow_symlinks=False)
                    _chmod(found, stat.S_IMODE(os.fstat(found).st_mode) | rights)
            finally:
                os.close(found)
            if is_directory and levels:
                _give_below(directory, entry, group, rights, levels - 1)
    finally:
        os.close(directory)


def _make_on_host(volume: Mapping[str, Any]) -> None:
    """What the kubelet makes, and for a volume without a type what containerd makes."""
    path = volume["path"]
    if volume["type"] in ("", "DirectoryOrCreate"):
        if not os.path.exists(path):
            os.makedirs(path, 0o755)
    elif volume["type"] == "FileOrCreate":
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


# --- the end ----------------------------------------------------------------------------------------------


def _delete(path: str) -> None:
    if os.path.isdir(path):
        unmount_beneath([path])
        delete_tree(path)


def delete_tree(path: str) -> None:
    """A container can nest directories deeper than Python can call; rm(1) takes those away, too."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        run(["rm", "-rf", "--", path])


def unmount_beneath(paths: Sequence[str]) -> None:
    """Unmount all that is mounted at these paths or below.

    :raises HostError: something stays. Then nobody may delete there.
    """
    for _ in range(10):  # mounts may lie on each other
        left = mounted(paths)
        if not left:
            return
        # Lazily: a process that stands in it must not keep it.
        run(["umount", "--lazy", *reversed(left)])
    raise HostError(f"cannot unmount {' '.join(left)}")


def mounted(paths: Sequence[str]) -> list[str]:
    """Mount points at these paths or below, in the order in which they were mounted (proc_pid_mountinfo(5)).

    Only the uppermost mount of a place counts. The table also lists those that another mount hides: the machine's
    below an embedded host's own /run, and the second of a pair where the directory above is shared and bound on itself.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split(" ", 5) for line in file]
    table = [
        (number, re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path)) for number, *_, path, _ in fields
    ]
    # Asked of no others: one on a server that does not answer would keep whoever asks.
    asked = [(n, at) for n, at in table if any(at == path or at.startswith(f"{path}/") for path in paths)]
    return [at for number, at in asked if _uppermost_mount(at) == number]


def _uppermost_mount(path: str) -> str | None:
    """The number, as /proc/self/mountinfo has it, of the mount that is seen at a path."""
    try:
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with open(f"/proc/self/fdinfo/{found}", encoding="ascii") as file:
            return next((line.split()[1] for line in file if line.startswith("mnt_id:")), None)
    finally:
        os.close(found)

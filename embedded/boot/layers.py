"""What a host has of the machine's file system: to read, with a layer of its own over it to write to."""

from __future__ import annotations

import contextlib
import os
import re
import shutil

from .syscalls import MS_BIND, MS_REC, is_overlay, mount, read_only

# What a host has of the machine: through an overlay, so that what is written stays in the host, and what is a socket
# or a pipe there leads nowhere. Folders named here are made in the upper layer, where they belong to the host's root;
# in the lower one they belong to the machine's, whom no lab maps. With those of update-alternatives a host chooses
# its iptables.
SEEN = {
    "usr": ("bin", "sbin", "local", "local/bin"),
    "opt": (),
    "etc": ("alternatives",),
    "var/lib/dpkg": ("alternatives",),
}
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # into /usr, or directories of their own
# Containers lay more over these, and Linux stacks no three overlays. Where the machine's own root is one, as in a
# container, a host sees them through a read-only mount.
DEEP = ("usr", "opt", *LINKS)
# Directories that are there with all that they hold of directories, and these are empty: programs count on theirs,
# and what is in them is the machine's own business.
EMPTY = ("var", "var/lib", "var/cache", "var/log", "var/spool")


def same_directories(directory: str, root: str) -> None:
    os.makedirs(f"{root}/{directory}", exist_ok=True)
    for entry in entries(f"/{directory}"):
        path = f"{root}/{directory}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry), path)
        elif entry.is_dir() and not os.path.exists(path):
            os.mkdir(path)
            os.chmod(path, entry.stat().st_mode & 0o1777)


def entries(directory: str) -> list[os.DirEntry[str]]:
    """What is in a directory of the machine, whose root no lab is: of one that is not for everybody, nothing."""
    if not os.path.isdir(directory) or not os.access(directory, os.R_OK | os.X_OK):
        return []
    with os.scandir(directory) as found:
        return list(found)


def see(directory: str, folders: tuple[str, ...], root: str, layers: str) -> None:
    """Lay an empty layer over a directory of the machine, if there is such a one."""
    below, above = f"/{directory}", f"{layers}/{directory}"
    os.makedirs(f"{root}/{directory}", exist_ok=True)
    if not os.path.isdir(below):
        return
    if is_overlay(below) and directory in DEEP:
        mount(below, f"{root}/{directory}", "", MS_BIND | MS_REC)
        return read_only(f"{root}/{directory}")
    lay_over(below, f"{root}/{directory}", above, folders, [f"{root}{point}" for point in mount_points()])


def lay_over(source: str, target: str, layer: str, folders: tuple[str, ...], mounts: list[str]) -> None:
    """Let a host write to a directory of the machine's, which stays as it is below.

    overlayfs takes no directory with mounts in it here: they hide what a user namespace may not see. One with such
    (/var/log on a disk of its own, a container's /etc/hosts) is made of layers over what it holds.

    :param source: where the directory is seen when ``target`` is covered; ``mounts`` are those of ``target``.
    :param layer: a directory for what the host writes.
    :param folders: what of it exists, and is the host's own, from the beginning.
    """
    if not any(point.startswith(f"{target}/") for point in mounts):
        for folder in ("", *folders):
            if not os.path.islink(f"{source}/{folder}"):
                os.makedirs(f"{layer}/{folder}", exist_ok=True)
        os.chmod(layer, os.stat(source).st_mode & 0o1777)
        os.makedirs(f"{layer}-work")
        options = f"lowerdir={source},upperdir={layer},workdir={layer}-work,userxattr"
        mount("overlay", target, "overlay", options=options)
        return
    below = f"{layer}-below"
    os.makedirs(below)
    mount(source, below, "", MS_BIND | MS_REC)
    mount("tmpfs", target, "tmpfs", options="mode=755")
    for entry in entries(below):
        place = f"{target}/{entry.name}"
        inner = tuple(path.partition("/")[2] for path in folders if path.startswith(f"{entry.name}/"))
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.is_dir():
            os.mkdir(place)
            with contextlib.suppress(OSError):  # a file system that no layer can be laid over: the host does without
                lay_over(entry.path, place, f"{layer}/{entry.name}", inner, mounts)
        elif entry.is_file():
            with contextlib.suppress(OSError):  # not for everybody to read
                shutil.copy(entry.path, place)
    for folder in folders:
        os.makedirs(f"{target}/{folder}", exist_ok=True)


def mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.split(" ")[4] for line in file]
    return [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path) for path in paths]

"""What a person would type for a pod's volumes."""

from __future__ import annotations

import base64
import posixpath
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ...configs import PodConfig
from .. import script_text
from ..script_text import Snippet, Typed
from .paths import CLAIMS, VOLUMES, is_own_volume, volume_path

DATA = "..2000_01_01_00_00_00.0"  # the kubelet's name for it is the time; its form is what counts

_TESTS = {
    **{"Directory": "-d", "DirectoryOrCreate": "-d", "File": "-f", "FileOrCreate": "-f"},
    **{"Socket": "-S", "CharDevice": "-c", "BlockDevice": "-b"},
}


def tmpfs_argv(volume: Mapping[str, Any], path: str) -> list[str]:
    """An emptyDir of medium Memory. Without a size it is the kernel's default, half of the memory."""
    size = f"size={volume['size']}," if volume.get("size") is not None else ""
    return ["mount", "-t", "tmpfs", "-o", f"{size}mode=0777", "podlab", path]


def lines(row: PodConfig, name: str) -> list[Typed]:
    """Make a volume."""
    volume, home = row.get("volumes", {})[name], f"{VOLUMES}/{row['netns']}"
    path, group = f"{home}/{name}", row.get("fs_group")
    if volume["kind"] == "hostPath":
        return _on_host(volume)
    if volume["kind"] == "claim":
        path = volume_path(row, name)
        owner = [_group_line(path, group, "rw")] if group is not None else []
        return [f"mkdir -p -m 700 {CLAIMS} && {{ [ -d {path} ] || mkdir -m 777 {path}; }}", *owner]
    made: list[Typed] = [f"mkdir -p {path} && chmod 700 {home} && chmod 777 {path}"]
    if volume["kind"] == "files":
        words = f"# write volume {name}: {', '.join(sorted(volume['files']))}"
        return [*made, Snippet(words, tuple(_file_lines(path, volume["files"], group)))]
    if volume["medium"] == "Memory":
        made.append(shlex.join(tmpfs_argv(volume, path)))
    return [*made, *([_group_line(path, group, "rw")] if group is not None else [])]


def _on_host(volume: Mapping[str, Any]) -> list[Typed]:
    path, kind = shlex.quote(volume["path"]), volume["type"]
    if kind == "":
        return [f"[ -e {path} ] || mkdir -p {path}"]
    test = f"[ {_TESTS[kind]} {path} ]"
    return [{"DirectoryOrCreate": f"mkdir -p {path}", "FileOrCreate": f"[ -e {path} ] || : >{path}"}.get(kind, test)]


def _file_lines(volume: str, files: Mapping[str, Mapping[str, Any]], group: int | None) -> Iterator[str]:
    """As the kubelet does it: names that point into ``..data``, which points to a directory with the files."""
    data = f"{volume}/{DATA}"
    for directory in sorted({posixpath.dirname(f"{data}/{path}") for path in files} | {data}):
        yield f"mkdir -p {shlex.quote(directory)}"
    for path, file in files.items():
        content = base64.b64decode(file["base64"]) if "base64" in file else file["text"]
        yield from script_text.file_lines(f"{data}/{path}", content)
        yield f"chmod {file['mode']:o} {shlex.quote(f'{data}/{path}')}"
    if group is not None:
        yield _group_line(data, group, "r")
    yield f"ln -s {DATA} {volume}/..data"
    for top in sorted({path.split("/")[0] for path in files}):
        yield f"ln -s {shlex.quote(f'..data/{top}')} {shlex.quote(f'{volume}/{top}')}"
    if group is not None:
        yield f"chgrp {group} {volume} && chmod 2777 {volume}"


def _group_line(path: str, group: int, rights: str) -> str:
    """``fsGroup``: files belong to it and directories pass it on."""
    directories, files = f"-type d -exec chmod ug+{rights}x,g+s {{}} +", f"-type f -exec chmod ug+{rights} {{}} +"
    return f"chgrp -hR {group} {path} && find {path} {directories} -o {files}"


def end(netns: str, names: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Take away all volumes of a pod; ``names``: the volumes that it had."""
    home = f"{VOLUMES}/{netns}"
    if not any(map(is_own_volume, names.values())):
        return []
    mounted = " ".join(f"{home}/{name}" for name, volume in names.items() if volume.get("medium") == "Memory")
    return [f"umount {mounted} && rm -r {home}" if mounted else f"rm -r {home}"]

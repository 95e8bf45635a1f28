"""The volumes of a pod, and where its containers mount them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from ..model import File, Mount, Volume
from . import names
from .environment import Environment, written
from .field_table import FILES_OF_ROOT, VOLUME
from .quantities import WORDS, quantity, rounded_up
from .reading import Field, no_backsteps, relative_path
from .references import FILE_FIELDS, Data, Scope, field_ref, resource, source

_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_MODE_WORDS = "must be a number between 0 and 0777 (octal), both inclusive"
_ONE_TYPE = "may not specify more than 1 volume type"


# Kinds that podlab has; the others are refused by the table of fields.
_Reader = Callable[[Field, Scope, Mapping[str, Field]], Volume]


def volumes(node: Field, scope: Scope, containers: Mapping[str, Field]) -> dict[str, Volume]:
    """The volumes by name. One that is wrong in itself is there as well, so that its mounts find it."""
    found: dict[str, Volume] = {}
    for volume in node.items():
        name = volume["name"].text()
        if volume["name"].absent:
            volume["name"].required()
        elif name and volume["name"].check(names.dns1123_label(name)) and name in found:
            volume["name"].duplicate()
        made = _volume(volume, scope, containers)
        for path in made.files:
            if any(parent in made.files for parent in _parents(path)):
                volume.invalid("a part of this path is a file of the volume itself", path)
        found.setdefault(name, made)
    return found


def _parents(path: str) -> list[str]:
    return [path[:index] for index, letter in enumerate(path) if letter == "/"]


def _volume(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    kinds = [kind for kind, value in node.mapping().items() if kind != "name" and value is not None]
    # Without any it is an emptyDir, as the API server's defaults have it (``SetDefaults_Volume``).
    for kind in kinds[1:]:
        node[kind].forbidden(_ONE_TYPE)
    for kind in kinds[:1]:
        if kind in _READERS:
            return _READERS[kind](node[kind], scope, containers)
        if kind in VOLUME:
            node[kind].refuse_empty(VOLUME[kind].why)
    return Volume("emptyDir")


def _empty_dir(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    if node["mode"].given:
        node["mode"].refuse("every user may write to an emptyDir; use securityContext.fsGroup")
    medium = node["medium"].text()
    if medium not in ("", "Memory"):
        # The API server takes any word, and the kubelet then starts nothing.
        node["medium"].refuse("use Memory, or leave it out for the node's disk")
    limit = node["sizeLimit"].number_or_text("number")
    size = None if limit is None else quantity(limit)
    if limit is not None and size is None:
        node["sizeLimit"].invalid(WORDS)
    elif size is not None and size < 0:
        node["sizeLimit"].forbidden("SizeLimit field must be a valid resource quantity")
    # Only what lies in memory has a limit of its own; on disk the kubelet would evict the pod, and there is none.
    return Volume("emptyDir", medium, rounded_up(size) if medium == "Memory" and size else None)


def _host_path(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    path = node["path"].text()
    kind = node["type"].text()
    if node["path"].absent:
        node["path"].required()
    elif path and not path.startswith("/"):
        node["path"].invalid("must be an absolute path")
    elif "\0" in path:
        node["path"].invalid("must not contain NUL")
    no_backsteps(node["path"], path)
    if kind not in _HOST_PATH_TYPES:
        node["type"].unsupported(kind, _HOST_PATH_TYPES)
    if not scope.allow_host_path:
        node.forbidden(
            "a pod could write to the machine; set podlab_allow_host_path to true in the inventory to allow it"
        )
    return Volume("hostPath", path=path, type=kind)


# --- volumes of files -----------------------------------------------------------------------------------


def _config_map(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    return Volume("files", files=_keys(node, "ConfigMap", "name", scope, _mode(node["defaultMode"], 0o644)))


def _secret(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    return Volume("files", files=_keys(node, "Secret", "secretName", scope, _mode(node["defaultMode"], 0o644)))


def _downward(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    return Volume("files", files=_fields(node, containers, _mode(node["defaultMode"], 0o644)))


def _projected(node: Field, scope: Scope, containers: Mapping[str, Field]) -> Volume:
    """Several sources in one directory; no two of them may name the same path."""
    mode = _mode(node["defaultMode"], 0o644)
    files: dict[str, File] = {}
    chosen: set[str] = set()  # paths that the manifest names
    for item in node["sources"].items():
        kinds = [kind for kind, value in item.mapping().items() if value is not None]
        if len(kinds) > 1:
            item.forbidden(_ONE_TYPE)
        for kind in kinds:
            if kind in ("configMap", "secret"):
                of, name_field = ("ConfigMap", "name") if kind == "configMap" else ("Secret", "name")
                more = _keys(item[kind], of, name_field, scope, mode)
            elif kind == "downwardAPI":
                more = _fields(item[kind], containers, mode)
            else:
                continue
            if not item[kind]["items"].absent:
                for path in more:
                    if path in chosen:
                        node.invalid("conflicting duplicate paths", item[kind]["name"].text() or path)
                    chosen.add(path)
            files.update(more)
    return Volume("files", files=files)


def _keys(node: Field, kind: str, name_field: str, scope: Scope, mode: int) -> dict[str, File]:
    """The files of a ConfigMap or Secret: all of them, or those that ``items`` names."""
    data = source(node, kind, scope, name_field)
    _no_user(node)
    content = _content(data)
    if node["items"].absent:
        return {key: File(value, mode) for key, value in content.items()}
    files: dict[str, File] = {}
    for item in node["items"].items():
        key, path = item["key"].text(), _path(item["path"])
        own = _mode(item["mode"], mode)
        if item["key"].absent:
            item["key"].required()
        elif key in content:
            files[path] = File(content[key], own)
        elif key and data is not None and not node["optional"].boolean():
            name = node[name_field].text()
            item["key"].not_found(f"{kind} {name} has no such key; add it there, or set optional: true")
    return files


def _content(data: Data | None) -> dict[str, bytes]:
    return {**data.text, **data.binary} if data else {}


def _fields(node: Field, containers: Mapping[str, Field], mode: int) -> dict[str, File]:
    """The files of a downwardAPI source."""
    _no_user(node)
    files: dict[str, File] = {}
    for item in node["items"].items():
        path, own = _path(item["path"]), _mode(item["mode"], mode)
        if item["fieldRef"].given:
            if item["resourceFieldRef"].given:
                item.invalid("fieldRef and resourceFieldRef can not be specified simultaneously", "resource")
            found = field_ref(item["fieldRef"], FILE_FIELDS)
            if found:
                files[path] = File(found, own)
        elif item["resourceFieldRef"].given:
            number = resource(item["resourceFieldRef"], containers)
            if number is not None:
                files[path] = File(number.encode(), own)
        else:
            item.required("one of fieldRef and resourceFieldRef is required")
    return files


def _path(node: Field) -> str:
    """Where in its volume a file lies."""
    path = node.text()
    if node.absent:
        node.required()
    relative_path(node, path)
    if path.startswith("..") and not path.startswith("../") and path != "..":
        node.invalid("must not start with '..'")  # the kubelet's own names in the volume do
    _no_nul(node, path)
    if path and posixpath.normpath(path) == ".":
        node.invalid("must be the path of a file")
    return posixpath.normpath(path)


def _no_nul(node: Field, path: str) -> None:
    if "\0" in path:
        node.invalid("must not contain NUL", path)


def _no_user(node: Field) -> None:
    """Owners of single files, which the API has had since 1.37."""
    for owner in (node["defaultUser"], *(item["user"] for item in node["items"].items())):
        if owner.given:
            owner.refuse(FILES_OF_ROOT)


def _mode(node: Field, default: int) -> int:
    mode = node.integer(default)
    if not 0 <= mode <= 0o777:
        node.invalid(_MODE_WORDS)
    return mode


_READERS: Mapping[str, _Reader] = {
    "configMap": _config_map,
    "downwardAPI": _downward,
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "projected": _projected,
    "secret": _secret,
}


# --- mounts ---------------------------------------------------------------------------------------------


def mounts(node: Field, known: Mapping[str, Volume], env: Environment) -> tuple[Mount, ...]:
    """``volumeMounts`` of a container."""
    made: list[Mount] = []
    seen: set[str] = set()
    for item in node.items():
        name, path = item["name"].text(), item["mountPath"].text()
        if path and not path.startswith("/"):
            path = f"/{path}"  # as the kubelet has it (volumeutil.MakeAbsolutePath)
        if item["name"].absent:
            item["name"].required()
        elif name and name not in known:
            item["name"].not_found("the pod has no volume of this name")
        if item["mountPath"].absent:
            item["mountPath"].required()
        elif path in seen:
            item["mountPath"].invalid("must be unique")
        elif not path.strip("/"):
            item["mountPath"].invalid("must not be the root of the container")
        elif ":" in path:
            item["mountPath"].invalid("must not contain ':'")
        no_backsteps(item["mountPath"], path)
        _no_nul(item["mountPath"], path)
        seen.add(path)
        sub_path, grows = _sub_path(item, env)
        made.append(Mount(name, path, sub_path, grows, item["readOnly"].boolean()))
    return tuple(made)


def _sub_path(node: Field, env: Environment) -> tuple[str, bool]:
    """The path in the volume, and whether it is to be expanded when the pod has its place."""
    plain, expression = node["subPath"], node["subPathExpr"]
    text = plain.text()
    if text:
        relative_path(plain, text)
        _no_nul(plain, text)
    if expression.absent:
        return text, False
    if text:
        expression.invalid("subPathExpr and subPath are mutually exclusive")
    wanted = expression.text()
    relative_path(expression, wanted)
    for name in env.unknown(wanted):
        expression.invalid(f'missing value for "{name}"')  # the kubelet's words
    parts = env.parts(wanted)
    known = env.known(parts)
    if known != wanted:
        relative_path(expression, known)
    _no_nul(expression, known)
    return written(parts)

"""ConfigMap and Secret: what is kept, and checked, as it is written (``ValidateConfigMap``, ``ValidateSecret``)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from . import names
from .reading import Field
from .references import decoded

_LARGEST = 1 << 20

# What a Secret of a type has to hold: the API server asks for the key, and not for anything in it.
_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_BASIC = ("username", "password")  # one of the two


def config_map(root: Field) -> Mapping[str, Any]:
    """A ConfigMap as ``get -o yaml`` shows it."""
    text, binary = root["data"], root["binaryData"]
    size = 0
    for key in text.mapping():
        _check_key(text, key)
        if key in binary.mapping():
            text.at(key).invalid("duplicate of key present in binaryData", key)
        size += _length(text[key].text())
    for key in binary.mapping():
        _check_key(binary, key)
        size += len(_bytes(binary, key))
    if size > _LARGEST:
        root["data"].too_long(_LARGEST)
    return _as_written(root)


def secret(root: Field) -> Mapping[str, Any]:
    """A Secret as the API server keeps it: ``stringData`` is a way to write ``data``, and no field of its own."""
    data, plain, kind = root["data"], root["stringData"], root["type"].text()
    size = 0
    for key in data.mapping():
        _check_key(data, key)
        if key not in plain.mapping():
            size += len(_bytes(data, key))
    for key in plain.mapping():
        _check_key(plain, key)
        size += _length(plain[key].text())
    if size > _LARGEST:
        data.too_long(_LARGEST)
    there = {**data.mapping(), **plain.mapping()}
    for key in _KEYS.get(kind, ()):
        if key not in there:
            data.at(key).required()
    if kind == "kubernetes.io/basic-auth" and not any(key in there for key in _BASIC):
        for key in _BASIC:
            data.at(key).required()
    body = {key: value for key, value in _as_written(root).items() if key != "stringData"}
    if there:
        encoded = {
            key: base64.b64encode(plain[key].text().encode("utf-8", "replace")).decode() for key in plain.mapping()
        }
        body["data"] = {**data.mapping(), **encoded}
    return {**body, "type": kind or "Opaque"}


def _as_written(root: Field) -> Mapping[str, Any]:
    return dict(root.mapping())


def _check_key(node: Field, key: str) -> None:
    node.at(key).check(names.data_key(key), key)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _bytes(node: Field, key: str) -> bytes:
    """What base64 at ``key`` stands for. A bad one is not shown: it may be a secret all the same."""
    text = node[key].text()
    found = decoded(text)
    if found is None:
        node.at(key).invalid("illegal base64 data", "")
    return found or b""

"""The volumes of a pod. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..objects import Object
from ..table import NONE
from . import fields


def volumes(volumes: Sequence[Object]) -> fields.Lines:
    if not volumes:
        return [f"Volumes:\t{NONE}"]
    lines = ["Volumes:"]
    for volume in volumes:
        lines += [f"  {volume['name']}:", *(f"    {line}" for line in _volume(volume))]
    return lines


def _volume(volume: Object) -> fields.Lines:
    if "emptyDir" in volume:
        directory = volume["emptyDir"] or {}
        return [
            "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)",
            f"Medium:\t{directory.get('medium', '')}",
            f"SizeLimit:\t{directory.get('sizeLimit') or '<unset>'}",
        ]
    if "configMap" in volume:
        source = volume["configMap"]
        return [
            "Type:\tConfigMap (a volume populated by a ConfigMap)",
            f"Name:\t{source.get('name', '')}",
            f"Optional:\t{str(bool(source.get('optional'))).lower()}",
        ]
    if "secret" in volume:
        source = volume["secret"]
        return [
            "Type:\tSecret (a volume populated by a Secret)",
            f"SecretName:\t{source.get('secretName', '')}",
            f"Optional:\t{str(bool(source.get('optional'))).lower()}",
        ]
    if "downwardAPI" in volume:
        return [
            "Type:\tDownwardAPI (a volume populated by information about the pod)",
            "Items:",
            *_items(volume["downwardAPI"]),
        ]
    if "projected" in volume:
        lines = ["Type:\tProjected (a volume that contains injected data from multiple sources)"]
        for source in volume["projected"].get("sources") or []:
            if "secret" in source:
                lines.append(f"SecretName:\t{source['secret']['name']}")
                lines.append(f"Optional:\t{_optional(source['secret'])}")
            elif "downwardAPI" in source:
                lines.append("DownwardAPI:\ttrue")
            elif "configMap" in source:
                lines.append(f"ConfigMapName:\t{source['configMap']['name']}")
                lines.append(f"Optional:\t{_optional(source['configMap'])}")
        return lines
    if "persistentVolumeClaim" in volume:
        return _claim(volume["persistentVolumeClaim"])
    if "hostPath" in volume:
        path = volume["hostPath"]
        return [
            "Type:\tHostPath (bare host directory volume)",
            f"Path:\t{path['path']}",
            f"HostPathType:\t{path.get('type', '')}",
        ]
    return ["<unknown>"]


def _claim(source: Object) -> fields.Lines:
    return [
        "Type:\tPersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        f"ClaimName:\t{source.get('claimName', '')}",
        f"ReadOnly:\t{str(bool(source.get('readOnly'))).lower()}",
    ]


def _items(source: Object) -> fields.Lines:
    found = []
    for item in source.get("items") or []:
        field = item.get("fieldRef", {}).get("fieldPath") or item.get("resourceFieldRef", {}).get("resource", "")
        found.append(f"  {field} -> {item['path']}")
    return found


def _optional(source: Object) -> str:
    return str(bool(source.get("optional"))).lower()

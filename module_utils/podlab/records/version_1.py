"""Records of version 1, of which every host had all there is in one part, ``cluster``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .host_record import HostRecord
from .reading import Known, version_of


def converted(record: HostRecord | None, known: Known) -> HostRecord | None:
    """A record of version 1 with what it tells of the cluster in the sections of today."""
    if not record or version_of(record) > 1 or "cluster" not in record:
        return record
    told = record["cluster"]
    if ("converted", id(told)) not in known:
        known["converted", id(told)] = _of_version_1(told)
    return {**record, **known["converted", id(told)]}


def _of_version_1(told: Mapping[str, Any]) -> dict[str, Any]:
    generation = {"generation": told["generation"]} if "generation" in told else {}
    created = told.get("created", {})
    placed = told.get("pods", {})
    nodes = {*told.get("podCIDRs", {}), *(node for node, _ in placed.values())}
    pods: dict[str, Any] = {node: {"pods": {}, **generation} for node in sorted(nodes)}
    for key, (node, address) in placed.items():
        pods[node]["pods"][key] = [address, created.get(f"pod/{key}")]
    network = {name: told[name] for name in ("cidr", "podCIDRs", "foreign") if name in told}
    rest = {name: one for name, one in told.items() if name not in ("cidr", "podCIDRs", "foreign", "pods", "signature")}
    rest["created"] = {key: time for key, time in created.items() if key.removeprefix("pod/") not in placed}
    return {"network": {**network, **generation}, "cluster": rest, "pods": pods}

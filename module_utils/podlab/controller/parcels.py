"""What is long travels as JSON text: nested, Ansible would walk through all of it, leaf by leaf, several times.

330 pods are 30,000 leaves, and took two of the four seconds of a run that changes nothing (docs/decisions.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Rows = Mapping[str, Any]  # chapter -> row

LONG = {"pods": ("pods",), "verify": ("ends", "asks", "callers")}
"""Chapter -> parts of its row that grow with the pods. The modules take them as text."""


def opened(observation: Any) -> Any:
    """An observation as the planner wants it; None where there is none."""
    return json.loads(observation) if isinstance(observation, str) else observation


def closed(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan as Ansible carries it about."""
    once: dict[int, str] = {}  # all hosts are told of one cluster
    hosts = {name: _closed_rows(rows, once) for name, rows in plan["hosts"].items()}
    return {**plan, "hosts": hosts, "verify": _text(plan["verify"])}


def _closed_rows(rows: Rows, once: dict[int, str]) -> dict[str, Any]:
    found = _with(rows, _text)
    if "node" in found:
        record = dict(found["node"]["record"])
        cluster = record.pop("cluster")
        if id(cluster) not in once:
            once[id(cluster)] = _text(cluster)
        found["node"] = {**found["node"], "record": record, "cluster": once[id(cluster)]}
    return found


def opened_rows(rows: Rows) -> dict[str, Any]:
    """The rows of a host as the planner has made them."""
    found = _with(rows, json.loads)
    if "node" in found:
        node = dict(found["node"])
        cluster = json.loads(node.pop("cluster"))
        found["node"] = {**node, "record": {**node["record"], "cluster": cluster}}
    return found


def _with(rows: Rows, change: Callable[[Any], Any]) -> dict[str, Any]:
    """The rows with their long parts changed."""
    found = dict(rows)
    for chapter, keys in LONG.items():
        if chapter in found:
            found[chapter] = {**found[chapter], **{key: change(found[chapter][key]) for key in keys}}
    return found


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

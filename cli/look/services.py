"""Services and what stands behind them, as Kubernetes objects: what the last run has written down of them. Pure.

Endpoints are those that the nodes' rules lead to, ready or not as the last run has seen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from podlab.controller.transport import decode_part
from podlab.planner.services.model import BY_MIRROR, BY_SELECTOR, HEADLESS
from podlab.planner.services.record import as_object, service_object
from podlab.records import RECORD
from podlab.records.reading import misfit_of_part

from ..errors import CommandError
from .objects import Object, State

Entry = Mapping[str, Any]
"""What the record has of one Service, slice or object of kind Endpoints."""


def services(state: State) -> list[Object]:
    return [service_object(entry, *_named(key)) for key, entry in _entries(state, "services")]


def endpointslices(state: State) -> list[Object]:
    owners = _part(state, "services")
    return [_slice(entry, *_named(key), owners) for key, entry in _entries(state, "slices")]


def endpoints(state: State) -> list[Object]:
    """Those of Services with a selector, and those that are written down."""
    written = dict(_entries(state, "endpoints"))
    found = {key: as_object(entry, "Endpoints", *_named(key)) for key, entry in written.items()}
    behind: dict[str, list[Entry]] = {}
    for key, entry in _entries(state, "slices"):
        if entry.get("manager") == BY_SELECTOR:
            behind.setdefault(f"{key.partition('/')[0]}/{entry['service']}", []).append(entry)
    for key, entry in _entries(state, "services"):
        if key in behind:
            found[key] = _endpoints(entry, *_named(key), behind[key])
    return [found[key] for key in sorted(found)]


def _named(key: str) -> tuple[str, str]:
    namespace, _, name = key.partition("/")
    return namespace, name


def _entries(state: State, part: str) -> list[tuple[str, Entry]]:
    return sorted(_part(state, part).items())


def _part(state: State, part: str) -> Mapping[str, Entry]:
    """Of the newest record that is sound there: of hosts that remember the same one may have its own damaged.

    :raises CommandError: none is.
    """
    damage = ""
    for record in state.records:
        if part in record:
            found: Mapping[str, Entry] = decode_part(record[part])
            if not (words := misfit_of_part(part, found)):
                return found
            damage = damage or words
    if damage:
        raise CommandError(f"error: the record ({RECORD}) of the cluster is damaged: {damage}; ./lab up writes it anew")
    return {}


# --- EndpointSlices ---------------------------------------------------------------------------------


def _slice(entry: Entry, namespace: str, name: str, owners: Mapping[str, Entry]) -> Object:
    if "body" in entry:
        made = as_object(entry, "EndpointSlice", namespace, name)
        ports = [{"name": "", "protocol": "TCP", **port} for port in made.get("ports") or ()]
        return {**made, "ports": ports}
    service, manager = entry["service"], entry["manager"]
    owner = owners.get(f"{namespace}/{service}", {})
    labels = {
        **_labels(owner),
        "endpointslice.kubernetes.io/managed-by": manager,
        "kubernetes.io/service-name": service,
        **({"service.kubernetes.io/headless": ""} if owner.get("clusterIP") == HEADLESS else {}),
    }
    kind = "Endpoints" if manager == BY_MIRROR else "Service"
    metadata = {
        "name": name,
        "namespace": namespace,
        "generateName": f"{service}-",
        "creationTimestamp": entry["created"],
        "labels": labels,
        "ownerReferences": [
            {"apiVersion": "v1", "kind": kind, "name": service, "controller": True, "blockOwnerDeletion": True}
        ],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [_endpoint(item, manager) for item in entry["endpoints"]],
        "ports": [{"name": "", **port} for port in entry["ports"]],
    }


def _endpoint(item: Entry, manager: str) -> Object:
    conditions = {"ready": item.get("ready", False)}
    if manager == BY_SELECTOR:  # who mirrors knows no more
        conditions |= {"serving": item.get("serving", False), "terminating": item.get("terminating", False)}
    found: Object = {"addresses": [item["address"]], "conditions": conditions}
    for key, field in (("node", "nodeName"), ("zone", "zone"), ("hostname", "hostname")):
        if item.get(key):
            found[field] = item[key]
    if item.get("zones"):
        found["hints"] = {"forZones": [{"name": zone} for zone in item["zones"]]}
    return {**found, **_target(item)}


def _target(item: Entry) -> Object:
    if not item.get("target"):
        return {}
    namespace, _, name = item["target"].partition("/")
    return {"targetRef": {"kind": "Pod", "namespace": namespace, "name": name}}


# --- Endpoints --------------------------------------------------------------------------------------


def _endpoints(entry: Entry, namespace: str, name: str, slices: Iterable[Entry]) -> Object:
    """What the endpoints controller makes for a Service beside its slices: a subset for each set of ports."""
    has_ports = bool((entry["body"].get("spec") or {}).get("ports"))
    groups: dict[tuple[tuple[Any, ...], ...], list[Entry]] = {}
    ports: dict[tuple[tuple[Any, ...], ...], list[Object]] = {}
    for part in slices:
        if has_ports and not part["ports"]:
            continue  # pods that have none of them, which only slices tell of
        key = tuple(tuple(sorted(port.items())) for port in part["ports"])
        ports[key] = list(part["ports"])
        stay = (item for item in part["endpoints"] if item.get("ready") or not item.get("terminating"))
        groups.setdefault(key, []).extend(stay)
    subsets = [_subset(some, ports[key]) for key, some in sorted(groups.items()) if some]
    metadata: Object = {"name": name, "namespace": namespace, "creationTimestamp": entry["created"]}
    if labels := _labels(entry):
        metadata["labels"] = labels
    found: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    return {**found, "subsets": subsets} if subsets else found


def _subset(items: Iterable[Entry], ports: list[Object]) -> Object:
    ordered = sorted(items, key=lambda item: int(ip_address(item["address"])))
    found: Object = {}
    for field, is_ready in (("addresses", True), ("notReadyAddresses", False)):
        some = [_address(item) for item in ordered if item.get("ready", False) == is_ready]
        if some:
            found[field] = some
    return {**found, "ports": ports} if ports else found


def _address(item: Entry) -> Object:
    found: Object = {"ip": item["address"]}
    if item.get("hostname"):
        found["hostname"] = item["hostname"]
    if item.get("node"):
        found["nodeName"] = item["node"]
    return {**found, **_target(item)}


def _labels(entry: Entry) -> dict[str, str]:
    labels = (entry.get("body", {}).get("metadata") or {}).get("labels") or {}
    return dict(labels)

"""Services of a person who has no cluster: Service and EndpointSlice objects in, what a node is told out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...changes import input_checks as check
from ..configs.services import port_configs
from ..inputs.settings import Cluster
from ..manifests.names import dns1123_subdomain
from ..manifests.objects import survey
from ..model import Document, Invalid
from .addresses import allocate
from .endpoints import slices_in_force

KINDS = ("Service", "EndpointSlice", "Endpoints", "Namespace")
INPUT = "services_objects"


def services_config(
    objects: Any, cluster_cidr: str, node_name: str, service_cidr: str, zone: str = ""
) -> dict[str, Any]:
    """The node's ``ServicesConfig`` without its addresses, which the host knows itself.

    A Service that names no cluster IP or node port is given one, the same on every node.

    :raises Invalid: with all that is wrong.
    """
    problems = [*check.of_network("services_cluster_cidr", cluster_cidr, "10.1.0.0/16")]
    problems += check.of_network("services_service_cidr", service_cidr, "10.96.0.0/16")
    problems += [f"services_node_name: {node_name!r}: {words}" for words in dns1123_subdomain(node_name)]
    if not isinstance(objects, list):
        raise Invalid([*problems, f"{INPUT}: write a list of objects"])
    documents = [Document(body, INPUT, number) for number, body in enumerate(objects) if isinstance(body, Mapping)]
    problems += [f"{INPUT}:{n}: write an object" for n, body in enumerate(objects) if not isinstance(body, Mapping)]
    problems += [
        f"{one.where}: {one.body.get('kind')} is none of {', '.join(KINDS)}"
        for one in documents
        if one.body.get("kind") not in KINDS
    ]
    found, wrong = survey([one for one in documents if one.body.get("kind") in KINDS], {})
    wrong += _twice(documents)
    if problems or wrong:
        raise Invalid([*problems, *wrong])
    cluster = Cluster(cidr=cluster_cidr, service_cidr=service_cidr)
    allocations = allocate(cluster, [], found.services)
    slices, notes = slices_in_force(found.services, [], found.slices, found.endpoints)
    if notes:  # a person means all that the list has
        raise Invalid(notes)
    return {
        "node": node_name,
        "zone": zone,
        "cluster_cidr": cluster_cidr,
        "service_cidr": service_cidr,
        "masquerade_all": False,
        # Kernel settings that this needs are remembered by a plan alone.
        "localhost_node_ports": False,
        "node_port_addresses": [],
        "affinity_by_ipset": False,
        "reject_undefined_ports": False,
        "ports": port_configs(found.services, allocations, slices),
    }


def _twice(documents: Sequence[Document]) -> list[str]:
    """Of manifests the last object of a name counts, with a note. A role has no notes, and its list is one text."""
    seen: dict[tuple[str, str, str], str] = {}
    problems = []
    for one in documents:
        metadata = one.body.get("metadata")
        known = metadata if isinstance(metadata, Mapping) else {}
        kind, name = str(one.body.get("kind")), str(known.get("name"))
        key = (kind, str(known.get("namespace") or "default"), name)
        if key in seen:
            problems.append(f'{one.where}: {kind} "{name}" already exists: first seen at {seen[key]}')
        seen.setdefault(key, one.where)
    return problems

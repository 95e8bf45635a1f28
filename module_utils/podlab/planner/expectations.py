"""Who must reach whom, and with which source address: what verify holds the answers against."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypedDict

from .cluster import Cluster, Host
from .model import Pod
from .names import file_name

SAMPLE = 50
"""Pods beyond this number are sampled: the matrix grows with their square."""


class End(TypedDict):
    """One row and column of the matrix. ``netns`` is None for a host itself."""

    name: str
    kind: str  # pod, node, outside
    host: str
    netns: str | None
    address: str


def matrix(
    cluster: Cluster,
    hosts: Sequence[Host],
    cidrs: Mapping[str, str],
    pods: Sequence[Pod],
    placed: Mapping[str, str],
    addresses: Mapping[str, str | None],
) -> dict[str, Any]:
    """``ends`` and ``expect``: row name -> column name -> source address that the column has to see."""
    seen = {host.name for host in hosts if host.is_probed}
    probed = [pod for pod in pods if placed.get(pod.key) in seen and addresses.get(pod.key)]
    chosen = _sample(probed)
    ends: list[End] = [
        {
            "name": pod.key,
            "kind": "pod",
            "host": placed[pod.key],
            "netns": file_name(pod.namespace, pod.name),
            "address": str(addresses[pod.key]),
        }
        for pod in chosen
    ]
    ends += [
        {"name": host.name, "kind": host.role, "host": host.name, "netns": None, "address": host.address}
        for host in hosts
        if host.role != "gateway" and host.name in seen
    ]
    node_address = {host.name: host.address for host in hosts}
    expect: dict[str, dict[str, str]] = {}
    for source in ends:
        if source["kind"] != "outside":
            expect[source["name"]] = {
                target["name"]: _source(cluster, source, target, cidrs, node_address)
                for target in ends
                if "pod" in (source["kind"], target["kind"])
            }
    return {"port": cluster.verify_port, "ends": ends, "expect": expect, "pods": len(probed), "sampled": len(chosen)}


def probes(matrix: Mapping[str, Any], host: str) -> dict[str, Any]:
    """What one host has to ask and to answer: ``ends`` it listens at, ``asks`` (source -> target -> address),
    ``callers`` (how many will call at each of its ends) and ``deadline`` in seconds."""
    ends: list[End] = matrix["ends"]
    address = {end["name"]: end["address"] for end in ends}
    own = [end for end in ends if end["host"] == host]
    callers = Counter(target for row in matrix["expect"].values() for target in row)
    return {
        "port": matrix["port"],
        "ends": own,
        "asks": {
            end["name"]: {target: address[target] for target in matrix["expect"].get(end["name"], {})} for end in own
        },
        "callers": {end["name"]: callers[end["name"]] for end in own},
        # Hosts begin one after the other where there are more of them than cores.
        "deadline": 10 + len({end["host"] for end in ends}) // 2,
    }


def _source(cluster: Cluster, source: End, target: End, cidrs: Mapping[str, str], nodes: Mapping[str, str]) -> str:
    """The address that ``target`` has to see."""
    if source["kind"] == "node":
        # A node speaks to its own pods from the bridge, to others from the address of its uplink.
        own = IPv4Address(target["address"]) in IPv4Network(cidrs[source["host"]])
        return str(IPv4Network(cidrs[source["host"]])[1]) if own else source["address"]
    kept = target["kind"] == "pod" or target["host"] == source["host"] or _keeps(cluster, target["address"])
    return source["address"] if kept else nodes[source["host"]]


def _keeps(cluster: Cluster, address: str) -> bool:
    return any(IPv4Address(address) in IPv4Network(cidr) for cidr in (cluster.cidr, *cluster.non_masquerade_cidrs))


def _sample(pods: Sequence[Pod]) -> list[Pod]:
    """At most SAMPLE pods, the same ones in every run on the same pods."""
    if len(pods) <= SAMPLE:
        return list(pods)
    chosen = set(random.Random(len(pods)).sample(range(len(pods)), SAMPLE))
    return [pod for index, pod in enumerate(pods) if index in chosen]

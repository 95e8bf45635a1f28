"""Who must reach whom, and with which source address: what verify holds the answers against."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypedDict

from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..ipam.addresses import gateway
from ..model import Pod
from ..routing.registry import pod_routing

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
    probed = {host.name: host for host in hosts if host.is_probed}
    running = [pod for pod in pods if placed.get(pod.key) in probed and addresses.get(pod.key)]
    chosen = _sample(running)
    inside: list[End] = [
        {
            "name": pod.key,
            "kind": "pod",
            "host": placed[pod.key],
            "netns": pod.netns,
            "address": str(addresses[pod.key]),
        }
        for pod in chosen
    ]
    outside: list[End] = [
        {"name": host.name, "kind": host.role, "host": host.name, "netns": None, "address": host.address}
        for host in probed.values()
        if host.role != "gateway"
    ]
    return {
        "port": cluster.verify_port,
        "ends": [*inside, *outside],
        "expect": _expected_sources(cluster, probed, cidrs, inside, outside),
        "pods": len(running),
        "sampled": len(chosen),
    }


def _expected_sources(
    cluster: Cluster,
    probed: Mapping[str, Host],
    cidrs: Mapping[str, str],
    inside: Sequence[End],
    outside: Sequence[End],
) -> dict[str, dict[str, str]]:
    """Row name -> column name -> the source address that the column has to see."""
    untouched = [IPv4Network(cidr) for cidr in (cluster.cidr, *cluster.non_masquerade_cidrs)]
    kept = {end["name"] for end in outside if any(IPv4Address(end["address"]) in cidr for cidr in untouched)}
    expect: dict[str, dict[str, str]] = {}
    for source in inside:
        # What stays on the node passes no POSTROUTING rule of podlab's that would change it.
        mine = source["address"]
        nodes = probed[source["host"]].address
        expect[source["name"]] = {target["name"]: mine for target in inside} | {
            target["name"]: mine if target["name"] in kept or target["host"] == source["host"] else nodes
            for target in outside
        }
    for source in outside:
        if source["kind"] == "node":
            # A node speaks to its own pods from the bridge, to others from the link that leads there.
            bridge = gateway(cidrs[source["host"]])
            away = pod_routing(cluster).source_address(probed[source["host"]], cidrs[source["host"]])
            expect[source["name"]] = {
                target["name"]: bridge if target["host"] == source["host"] else away for target in inside
            }
    return expect


def probes(matrix: Mapping[str, Any], hosts: Iterable[str], *, far: bool = False) -> dict[str, dict[str, Any]]:
    """What each host has to ask and to answer: ``ends`` it listens at, ``asks`` (source -> target -> address),
    ``callers`` (how many will call at each of its ends) and ``deadline`` in seconds.

    :param far: whether there are machines among them, of which a slow one may begin long after the others.
    """
    ends: list[End] = matrix["ends"]
    address = {end["name"]: end["address"] for end in ends}
    callers = Counter(target for row in matrix["expect"].values() for target in row)
    own: dict[str, list[End]] = {host: [] for host in hosts}
    for end in ends:
        own[end["host"]].append(end)
    # Hosts begin one after the other where there are more of them than cores.
    deadline = (30 if far else 10) + sum(map(bool, own.values())) // 2
    return {
        host: {
            "port": matrix["port"],
            "ends": mine,
            "asks": {
                end["name"]: {target: address[target] for target in matrix["expect"].get(end["name"], {})}
                for end in mine
            },
            "callers": {end["name"]: callers[end["name"]] for end in mine},
            "deadline": deadline,
        }
        for host, mine in own.items()
    }


def _sample(pods: Sequence[Pod]) -> list[Pod]:
    """At most SAMPLE pods, the same ones in every run on the same pods."""
    if len(pods) <= SAMPLE:
        return list(pods)
    chosen = set(random.Random(len(pods)).sample(range(len(pods)), SAMPLE))
    return [pod for index, pod in enumerate(pods) if index in chosen]

"""Whether a node's pods are all as their rows say, found out by comparing alone.

It is the usual answer, and working out what differs (``pods.differences``) takes six times as long to come to it: 27 us
a pod, not 4. What is not plainly so is left to that: no here is not yet a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Interface
from socket import inet_aton, inet_ntoa  # noqa: TID251 - they translate, and speak to nobody

from ...configs import PodConfig
from ...records.observation import Link
from ...records.observation import ObservedPod as Pod
from .. import MARK
from .sandbox import alias, veth_name

_AMISS = ("lost", "incomplete", "unlogged", "neighbours")
"""What is told of a pod only where something is wrong with it."""


_OF_PODS = f"{MARK} "
"""How the aliases of pods' links begin."""


def all_hold(links: Mapping[str, Link], pods: Mapping[str, Pod], wanted: Mapping[str, PodConfig]) -> bool:
    """:param wanted: rows by the names of their pods. The kubelet is nothing of this."""
    if pods.keys() != wanted.keys():
        return False
    with_link = 0
    for netns, row in wanted.items():
        pod = pods[netns]
        if not (pod["sandbox"] and pod.get("row") == row and _runs(pod, row)):
            return False
        if not row.get("host_network"):
            with_link += 1
            if not (_is_wired(row, links.get(veth_name(netns))) and _is_addressed(row, pod)):
                return False
    return with_link == sum(link["alias"].startswith(_OF_PODS) for link in links.values())


def _runs(pod: Pod, row: PodConfig) -> bool:
    return row["containers"].keys() == set(pod["services"]) and not any(map(pod.get, _AMISS))


def _is_wired(row: PodConfig, veth: Link | None) -> bool:
    return (
        veth is not None
        and veth["up"]
        and veth["alias"] == alias(row["netns"])
        and veth["mtu"] == row["mtu"]
        and veth["master"] == row["bridge"]
        and not (veth.get("amiss") or veth["addresses"])
        and not (veth["port"] if "port" in veth else not veth["hairpin"])
    )


def _is_addressed(row: PodConfig, pod: Pod) -> bool:
    eth0 = pod.get("eth0")
    return (
        eth0 is not None
        and eth0["up"]
        and pod["lo_up"]
        and eth0["mac"] == row["mac"]
        and eth0["mtu"] == row["mtu"]
        and eth0["addresses"] == [row["address"]]
        and not eth0.get("amiss")
        and pod["routes"] == [f"default via {row['gateway']} dev eth0"]
        and ("connected" not in pod or network_of(row["address"]) in pod["connected"])
    )


def network_of(interface: str) -> str:
    """As ``IPv4Interface`` has it, which takes six times as long and is asked for what is written otherwise."""
    address, _, length = interface.partition("/")
    if length.isdecimal() and len(length) < 3 and (bits := int(length)) <= 32:
        try:
            packed = inet_aton(address)
        except OSError:
            packed = b""
        if packed and inet_ntoa(packed) == address:
            number = int.from_bytes(packed, "big") >> (32 - bits) << (32 - bits)
            return f"{inet_ntoa(number.to_bytes(4, 'big'))}/{bits}"
    return str(IPv4Interface(interface).network)

"""How pods speak to the world: which packets leave with the node's address, and which may pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...configs import TableConfig
from ...records.observation import Link, Route
from .. import input_checks as check
from ..network.defaults import uplink

SERVICE_MARK = "0x4000/0x4000"  # kube-proxy's masquerade mark: its packets are not podlab's to translate
FORWARD = "PODLAB-FORWARD"
EVERYTHING = "0.0.0.0/0"  # iptables-save leaves it out
EXAMPLE = "10.1.0.0/16"


def tables(
    cluster_cidr: str, non_masquerade_cidrs: Sequence[str], links: Sequence[str], open_ports: Sequence[str] = ()
) -> dict[str, TableConfig]:
    """Table -> chains of a node, as ``iptables-save`` prints them.

    :param links: by which pods' packets come and go.
    :param open_ports: what else the node accepts, as rules without their target.

    The rules are ip-masq-agent's, in a chain that only sees the cluster's pods: everything to
    ``non_masquerade_cidrs`` keeps the pod's address, so those networks need a way back to it
    (https://kubernetes.io/docs/tasks/administer-cluster/ip-masq-agent/). FORWARD accepts what pods send and
    get, because Docker sets that chain's policy to DROP. INPUT accepts answers to the node (probes of its kubelet,
    calls of its node ports) and ``open_ports``. What else listens there, the node's own firewall decides about.
    """
    untouched = [cluster_cidr, *(cidr for cidr in non_masquerade_cidrs if cidr != cluster_cidr)]
    return {
        "nat": {
            "chains": {
                "PODLAB-EGRESS": [
                    f"-m mark --mark {SERVICE_MARK} -j RETURN",
                    *("-j RETURN" if cidr == EVERYTHING else f"-d {cidr} -j RETURN" for cidr in untouched),
                    "-d 224.0.0.0/4 -j RETURN",
                    "-j MASQUERADE --random-fully",
                ]
            },
            "jumps": {"POSTROUTING": [f"-s {cluster_cidr} -j PODLAB-EGRESS"]},
        },
        "filter": {
            "chains": {
                FORWARD: passing([cluster_cidr]),
                "PODLAB-INPUT": [
                    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                    *(f"{rule} -j ACCEPT" for rule in open_ports),
                ],
            },
            "jumps": {"FORWARD": [f"-j {FORWARD}"], "INPUT": ["-j PODLAB-INPUT"]},
            "links": list(links),
        },
    }


def passing(networks: Sequence[str]) -> list[str]:
    return [f"{way} {network} -j ACCEPT" for network in networks for way in ("-s", "-d")]


# --- what a person says -------------------------------------------------------------------------------------


def complete(given: Mapping[str, Any], links: Mapping[str, Link], routes: Sequence[Route]) -> dict[str, TableConfig]:
    """:param given: what ``problems`` finds nothing wrong with."""
    ways = [given["bridge"], *filter(None, [uplink(links, routes)])]
    return tables(given["cluster_cidr"], given["non_masquerade_cidrs"], ways)


def problems(given: Mapping[str, Any]) -> Iterator[str]:
    """In the words of the role's inputs."""
    yield from check.of_network("egress_cluster_cidr", given["cluster_cidr"], EXAMPLE)
    for cidr in given["non_masquerade_cidrs"]:
        yield from check.of_network("egress_non_masquerade_cidrs", cidr, "10.0.0.0/8")
    yield from check.of_link("egress_bridge", given["bridge"])

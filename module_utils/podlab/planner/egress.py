"""How pods speak to the world: which packets leave with the node's address."""

from __future__ import annotations

from ..changes.rules import TableRow
from .cluster import Cluster

SERVICE_MARK = "0x4000/0x4000"  # kube-proxy's masquerade mark: its packets are not ours to translate


def rows(cluster: Cluster) -> dict[str, TableRow]:
    """Table -> chains of a node, as ``iptables-save`` prints them.

    The rules are ip-masq-agent's, in a chain that only sees the cluster's pods: everything to
    ``non_masquerade_cidrs`` keeps the pod's address, so those networks need a way back to it
    (https://kubernetes.io/docs/tasks/administer-cluster/ip-masq-agent/). FORWARD accepts what pods send and
    get, because Docker sets that chain's policy to DROP.
    """
    untouched = [cluster.cidr, *(cidr for cidr in cluster.non_masquerade_cidrs if cidr != cluster.cidr)]
    return {
        "nat": {
            "chains": {
                "PODLAB-EGRESS": [
                    f"-m mark --mark {SERVICE_MARK} -j RETURN",
                    # iptables-save leaves out a destination that is everything.
                    *("-j RETURN" if cidr == "0.0.0.0/0" else f"-d {cidr} -j RETURN" for cidr in untouched),
                    "-d 224.0.0.0/4 -j RETURN",
                    "-j MASQUERADE --random-fully",
                ]
            },
            "jumps": {"POSTROUTING": [f"-s {cluster.cidr} -j PODLAB-EGRESS"]},
        },
        "filter": {
            "chains": {"PODLAB-FORWARD": [f"-s {cluster.cidr} -j ACCEPT", f"-d {cluster.cidr} -j ACCEPT"]},
            "jumps": {"FORWARD": ["-j PODLAB-FORWARD"]},
        },
    }

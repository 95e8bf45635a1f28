"""How pods speak to the world: which packets leave with the node's address."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.netfilter.closing_rules import end_of
from ...changes.netfilter.rules import TableRow
from ..inputs.host import Host
from ..inputs.host_links import ways_out
from ..inputs.settings import Cluster
from .registry import pod_routing

SERVICE_MARK = "0x4000/0x4000"  # kube-proxy's masquerade mark: its packets are not ours to translate


FORWARD = "PODLAB-FORWARD"


def rows(cluster: Cluster, links: Sequence[str], nodes: Sequence[str] = ()) -> dict[str, TableRow]:
    """Table -> chains of a node, as ``iptables-save`` prints them.

    :param links: by which pods' packets come and go.
    :param nodes: addresses of the other nodes, which send their pods' packets in an overlay, if there is one.

    The rules are ip-masq-agent's, in a chain that only sees the cluster's pods: everything to
    ``non_masquerade_cidrs`` keeps the pod's address, so those networks need a way back to it
    (https://kubernetes.io/docs/tasks/administer-cluster/ip-masq-agent/). FORWARD accepts what pods send and
    get, because Docker sets that chain's policy to DROP. INPUT accepts what is for podlab itself: answers to the node
    (probes of its kubelet, calls of its node ports), verify's calls, the overlay of other nodes. What else listens on a
    node, the node's own firewall decides about.
    """
    port = pod_routing(cluster).overlay_port(cluster)
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
            "chains": {
                FORWARD: _passing([cluster.cidr]),
                "PODLAB-INPUT": [
                    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                    f"-p tcp -m tcp --dport {cluster.verify_port} -j ACCEPT",
                    *(f"-s {node}/32 -p udp -m udp --dport {port} -j ACCEPT" for node in nodes if port),
                ],
            },
            "jumps": {"FORWARD": [f"-j {FORWARD}"], "INPUT": ["-j PODLAB-INPUT"]},
            "links": list(links),
        },
    }


def relay_rows(cluster: Cluster, host: Host, nodes: Sequence[str]) -> dict[str, TableRow]:
    """The same for a gateway, which has rules of podlab's only where its own would keep pods' packets back.

    :param nodes: addresses of all nodes: with them pods' packets to the outside pass a gateway.
    """
    seen, links = host.seen, ways_out(host, nodes)
    chains = host.rules.get("filter", {})
    if not seen.get("forward_drops") and end_of(chains.get("FORWARD", ()), chains, links) is None:
        return {"filter": {"chains": {}, "jumps": {}}} if FORWARD in chains else {}
    chain = _passing([cluster.cidr, *(f"{node}/32" for node in nodes)])
    return {"filter": {"chains": {FORWARD: chain}, "jumps": {"FORWARD": [f"-j {FORWARD}"]}, "links": links}}


def _passing(networks: Sequence[str]) -> list[str]:
    return [f"{way} {network} -j ACCEPT" for network in networks for way in ("-s", "-d")]

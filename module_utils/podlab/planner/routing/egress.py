"""How pods speak to the world: what each host is told of it."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.netfilter.closing_rules import end_of
from ...changes.netfilter.egress import FORWARD, passing, tables
from ...changes.netfilter.rules import TableRow
from ..inputs.cluster import Host
from ..inputs.settings import Cluster
from ..preflight.host_checks import ways_out


def rows(cluster: Cluster, links: Sequence[str], nodes: Sequence[str] = ()) -> dict[str, TableRow]:
    """The chains of a node, with what podlab itself needs to be let in: verify's calls, the overlay of other nodes.

    :param links: by which pods' packets come and go.
    :param nodes: addresses of the nodes that send their pods' packets in an overlay, if there is one.
    """
    verify = f"-p tcp -m tcp --dport {cluster.verify_port}"
    overlay = [f"-s {node}/32 -p udp -m udp --dport {cluster.vxlan_port}" for node in nodes]
    return tables(cluster.cidr, cluster.non_masquerade_cidrs, links, [verify, *overlay])


def relay_rows(cluster: Cluster, host: Host, nodes: Sequence[str]) -> dict[str, TableRow]:
    """The same for a gateway, which has rules of podlab's only where its own would keep pods' packets back.

    :param nodes: addresses of all nodes: with them pods' packets to the outside pass a gateway.
    """
    seen, links = host.observation or {}, ways_out(host, nodes)
    chains = seen["rules"].get("filter", {})
    if not seen.get("forward_drops") and end_of(chains.get("FORWARD", ()), chains, links) is None:
        return {"filter": {"chains": {}, "jumps": {}}} if FORWARD in chains else {}
    chain = passing([cluster.cidr, *(f"{node}/32" for node in nodes)])
    return {"filter": {"chains": {FORWARD: chain}, "jumps": {"FORWARD": [f"-j {FORWARD}"]}, "links": links}}

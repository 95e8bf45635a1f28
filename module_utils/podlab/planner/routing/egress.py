"""How pods speak to the world: what each host is told of it."""

from __future__ import annotations

from collections.abc import Sequence

from ...changes.netfilter.closing_rules import end_of
from ...changes.netfilter.egress import FORWARD, passing, tables
from ...configs import TableConfig
from ..inputs.host import Host
from ..inputs.host_links import uplink_interfaces
from ..inputs.settings import Cluster
from .registry import pod_routing


def rows(cluster: Cluster, links: Sequence[str], nodes: Sequence[str] = ()) -> dict[str, TableConfig]:
    """The chains of a node, with what podlab itself needs to be let in: verify's calls, the overlay of other nodes.

    :param links: by which pods' packets come and go.
    :param nodes: addresses of the other nodes, which send their pods' packets in an overlay, if there is one.
    """
    verify, port = f"-p tcp -m tcp --dport {cluster.verify_port}", pod_routing(cluster).overlay_port(cluster)
    overlay = [f"-s {node}/32 -p udp -m udp --dport {port}" for node in nodes if port]
    return tables(cluster.cidr, cluster.non_masquerade_cidrs, links, [verify, *overlay])


def relay_rows(cluster: Cluster, host: Host, nodes: Sequence[str]) -> dict[str, TableConfig]:
    """The same for a gateway, which has rules of podlab's only where its own would keep pods' packets back.

    :param nodes: addresses of all nodes: with them pods' packets to the outside pass a gateway.
    """
    seen, links = host.seen, uplink_interfaces(host, nodes)
    chains = host.rules.get("filter", {})
    if not seen.get("forward_drops") and end_of(chains.get("FORWARD", ()), chains, links) is None:
        return {"filter": {"chains": {}, "jumps": {}}} if FORWARD in chains else {}
    chain = passing([cluster.cidr, *(f"{node}/32" for node in nodes)])
    return {"filter": {"chains": {FORWARD: chain}, "jumps": {"FORWARD": [f"-j {FORWARD}"]}, "links": links}}

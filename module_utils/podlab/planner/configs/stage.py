"""What each host is told: component -> config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...changes.netfilter import rules
from ...changes.network.bridge import BridgeRow
from ...changes.system import sysctls
from ...configs import PodRow
from ...records import VERSION
from ..claims.stage import Claims
from ..inputs.host import Host
from ..inputs.request import Request
from ..ipam.stage import Allocated
from ..preflight.host_checks import foreign_routes
from ..preflight.stage import Fleet
from ..record.stage import Remembered
from ..routing import egress
from ..routing.registry import pod_routing
from ..scheduler.stage import Scheduled
from ..services.stage import Chapter
from . import host_ports
from .hosts import bridge_row, sysctls_of, system_row
from .pods import Alike, pod_row

Configs = Mapping[str, Any]


def host_configs(
    request: Request,
    fleet: Fleet,
    claims: Claims,
    scheduled: Scheduled,
    allocated: Allocated,
    services: Chapter,
    remembered: Remembered,
) -> dict[str, Configs]:
    """Host -> its configs, for those that this run may write to."""
    cluster, alike = request.cluster, Alike()
    configs: dict[str, Configs] = {}
    addresses = tuple(host.address for host in fleet.hosts)
    for host in fleet.hosts:
        if not host.is_managed:
            continue
        node: dict[str, Any] = {}
        pods: list[PodRow] = []
        if host.role == "node":
            bridge = bridge_row(host, cluster, fleet.cidrs[host.name])
            pods = _pods(request, host, bridge, scheduled, allocated, remembered.created, alike)
            node = _of_node(request, fleet, host, bridge, pods)
            if host.name in claims.dropped:
                node["pods"]["drop_claims"] = list(claims.dropped[host.name])
        common = _of_all(request, fleet, host, addresses, pods)
        common["node"]["record"]["cursor"] = allocated.cursors.get(host.name)
        common["node"]["record"] |= remembered.sections.of_host[host.name]
        if host.role == "node":
            common["node"]["sysctls"] |= services.sysctls
            common["services"] = services.row(host, fleet.cidrs[host.name])
        if "sysctls" in host.lost:
            common["node"]["assumed"] = {
                key: sysctls.kernels(key, host.seen["sysctls"]) for key in common["node"]["sysctls"]
            }
        configs[host.name] = {**node, **common, "system": system_row(host, cluster, common["routes"])}
    return configs


def _pods(
    request: Request,
    node: Host,
    bridge: BridgeRow,
    scheduled: Scheduled,
    allocated: Allocated,
    created: Mapping[str, str],
    alike: Alike,
) -> list[PodRow]:
    return [
        pod_row(
            *(pod, node, request.cluster, bridge, str(allocated.addresses[pod.key]), created[pod.key], alike),
            links=allocated.links.of_pod(pod),
        )
        for pod in scheduled.by_node[node.name]
    ]


def _of_node(request: Request, fleet: Fleet, host: Host, bridge: BridgeRow, pods: Sequence[PodRow]) -> dict[str, Any]:
    """What only nodes have."""
    cluster = request.cluster
    way = pod_routing(cluster)
    is_wrapped = way.overlay_port(cluster) is not None
    peers = [node.address for node in fleet.nodes if node is not host] if is_wrapped else []
    ports = host_ports.rows(host_ports.of_rows(pods))
    return {
        "bridge": bridge,
        "pods": {"programs": dict(request.programs), "pods": list(pods)},
        "egress": rules.merged(egress.rows(cluster, way.carriers(cluster, host), peers), ports),
    }


def _of_all(
    request: Request, fleet: Fleet, host: Host, addresses: Sequence[str], pods: Sequence[PodRow]
) -> dict[str, Any]:
    """What nodes and gateways have. :param addresses: those of all hosts. :param pods: those of this one."""
    cluster, is_node, is_gateway = request.cluster, host.role == "node", host.role == "gateway"
    nodes = [node.address for node in fleet.nodes] if is_gateway else []
    foreign = foreign_routes(host, cluster)
    configs: dict[str, Any] = {
        "node": {
            "modules": host.seen["kernel"]["loadable"] if is_node else [],
            "runtime": is_node,
            "sysctls": sysctls_of(host, cluster, host_ports.of_rows(pods), nodes, addresses),
            "record": {"version": VERSION, "node": host.name, "foreign": foreign},
        },
        "routes": {
            "within": cluster.cidr,
            "foreign": foreign,
            "relay": is_gateway,
            "routes": fleet.routes[host.name],
            "vxlan": pod_routing(cluster).overlay(cluster, host, fleet.nodes, fleet.cidrs),
        },
    }
    if is_gateway and (relayed := egress.relay_rows(cluster, host, nodes)):
        configs["egress"] = relayed
    return configs

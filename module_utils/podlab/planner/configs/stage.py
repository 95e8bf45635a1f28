"""What each host is told: component -> config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from ...changes.netfilter import rules
from ...changes.system import sysctls
from ...configs import BridgeConfig, HostConfigs, NodeConfig, PodConfig, RoutesConfig
from ...records import VERSION
from ...records.host_record import HostRecord
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
from ..services.stage import ServicesPlan
from . import host_ports
from .hosts import bridge_config, sysctls_of, system_config
from .pod_inputs import PodInputs, known_again, with_inputs
from .pods import Alike, pod_row


def host_configs(
    request: Request,
    fleet: Fleet,
    claims: Claims,
    scheduled: Scheduled,
    allocated: Allocated,
    services: ServicesPlan,
    remembered: Remembered,
) -> dict[str, HostConfigs]:
    """Host -> its configs, for those that this run may write to."""
    cluster, alike = request.cluster, Alike()
    inputs = PodInputs(request.planner_code, cluster, chain.from_iterable(scheduled.by_node.values()))
    configs: dict[str, HostConfigs] = {}
    addresses, nodes = [host.address for host in fleet.hosts], [node.address for node in fleet.nodes]
    for host in fleet.hosts:
        if not host.is_managed:
            continue
        found, pods = HostConfigs(), list[PodConfig]()
        if host.role == "node":
            bridge = bridge_config(host, cluster, fleet.cidrs[host.name])
            pods = _pods(request, host, bridge, scheduled, allocated, remembered.created, alike, inputs)
            found = _of_node(request, fleet, host, bridge, pods)
            if host.name in claims.dropped:
                found["pods"]["drop_claims"] = list(claims.dropped[host.name])
        foreign = foreign_routes(host, cluster)
        record: HostRecord = {
            "version": VERSION,
            "node": host.name,
            "foreign": foreign,
            "cursor": allocated.cursors.get(host.name),
            **remembered.sections.of_host[host.name],
        }
        found["node"] = _node(request, fleet, host, addresses, pods, services, record)
        found["routes"] = _routes(request, fleet, host, foreign)
        if host.role == "node":
            found["services"] = services.row(host, fleet.cidrs[host.name])
        if host.role == "gateway" and (relayed := egress.relay_rows(cluster, host, nodes)):
            found["egress"] = relayed
        found["system"] = system_config(host, cluster, found["routes"])
        configs[host.name] = found
    return configs


def _pods(
    request: Request,
    node: Host,
    bridge: BridgeConfig,
    scheduled: Scheduled,
    allocated: Allocated,
    created: Mapping[str, str],
    alike: Alike,
    inputs: PodInputs,
) -> list[PodConfig]:
    found, of_node = list[PodConfig](), inputs.of_node(node, bridge)
    for pod in scheduled.by_node[node.name]:
        address, since = str(allocated.addresses[pod.key]), created[pod.key]
        digest = of_node.digest(pod, address, since)
        row = known_again(node, pod, digest)
        if row is None:
            links = allocated.links.of_pod(pod)
            row = pod_row(pod, node, request.cluster, bridge, address, since, alike, links)
            row = with_inputs(row, node, digest)
        found.append(row)
    return found


def _of_node(request: Request, fleet: Fleet, host: Host, bridge: BridgeConfig, pods: list[PodConfig]) -> HostConfigs:
    """What only nodes have."""
    cluster = request.cluster
    way = pod_routing(cluster)
    is_wrapped = way.overlay_port(cluster) is not None
    peers = [node.address for node in fleet.nodes if node is not host] if is_wrapped else []
    ports = host_ports.rows(host_ports.of_rows(pods))
    return {
        "bridge": bridge,
        "pods": {"programs": dict(request.programs), "pods": pods},
        "egress": rules.merged(egress.rows(cluster, way.carriers(cluster, host), peers), ports),
    }


def _node(
    request: Request,
    fleet: Fleet,
    host: Host,
    addresses: Sequence[str],
    pods: Sequence[PodConfig],
    services: ServicesPlan,
    record: HostRecord,
) -> NodeConfig:
    """:param addresses: those of all hosts. :param pods: those of this one."""
    is_node, ports = host.role == "node", host_ports.of_rows(pods)
    nodes = [] if is_node else [node.address for node in fleet.nodes]
    wanted = sysctls_of(host, request.cluster, ports, nodes, addresses) | (dict(services.sysctls) if is_node else {})
    config: NodeConfig = {
        "modules": host.seen["kernel"]["loadable"] if is_node else [],
        "runtime": is_node,
        "sysctls": wanted,
        "record": record,
    }
    if "sysctls" in host.lost:
        config["assumed"] = {key: sysctls.kernels(key, host.seen["sysctls"]) for key in wanted}
    return config


def _routes(request: Request, fleet: Fleet, host: Host, foreign: list[str]) -> RoutesConfig:
    cluster = request.cluster
    return {
        "within": cluster.cidr,
        "foreign": foreign,
        "relay": host.role == "gateway",
        "routes": fleet.routes[host.name],
        "vxlan": pod_routing(cluster).overlay(cluster, host, fleet.nodes, fleet.cidrs),
    }

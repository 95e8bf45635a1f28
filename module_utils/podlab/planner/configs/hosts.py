"""The rows of a host: what each chapter shall make true there. Those of its pods are in ``configs/pods.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...changes.network.bridge import BridgeRow
from ...changes.system import node_sysctls
from ...changes.system.node_sysctls import BRIDGE_NETFILTER
from ...changes.system.sysctls import FORWARD
from ...changes.system.systemd import SystemRow, patterns
from ..controllers.reconcile import Wanted
from ..inputs.cluster import Host
from ..inputs.settings import Cluster
from ..ipam.addresses import gateway, pod_mac
from ..ipam.allocations import newest_record
from ..manifests.updates import selector_object
from ..model import Desired, Workload
from ..preflight.host_checks import foreign_routes, legs, uplink, ways_out
from ..routing.pod_routing import pod_mtu
from ..scheduler.schedule import Placement
from .host_ports import HostPort
from .host_ports import sysctls as hostport_sysctls


def shared_record(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    wanted: Wanted,
    cidrs: Mapping[str, str],
    placement: Placement,
    addresses: Mapping[str, str | None],
    now: str,
    services: Mapping[str, Any],
) -> dict[str, Any]:
    """What every host is told about the cluster, so that a run that sees only some of them renumbers nobody.

    :param services: what there is to be remembered of services.
    """
    newest = newest_record(hosts)
    created = newest.get("created", {})
    workloads = [item for item in desired.workloads if item.key not in wanted.expired]
    keys = [f"pod/{pod.key}" for pod in wanted.pods]
    keys += [_created_key(item.key) for item in workloads]
    keys += [_created_key(key) for key in desired.objects]
    keys += [f"node/{node}" for node in cidrs]
    keys += [f"namespace/{name}" for name in desired.namespaces]
    count = Counter(pod.owner for pod in wanted.pods)
    record: dict[str, Any] = {
        "cidr": cluster.cidr,
        "podCIDRs": dict(cidrs),
        "pods": {key: [node, addresses.get(key)] for key, node in placement.nodes.items()},
        "nodes": {host.name: _node(host) for host in hosts if host.role == "node"},
        "namespaces": list(desired.namespaces),
        "workloads": [_workload(item, count[item.key]) for item in workloads],
        "objects": dict(desired.objects),
        **services,
        "created": {key: created.get(key, now) for key in keys},
        "waiting": list(placement.waiting),
    }
    if foreign := _foreign(hosts, cluster, newest.get("foreign", {})):
        record["foreign"] = foreign
    if wanted.expired:
        record["finished"] = dict(wanted.expired)
    same = {key: value for key, value in newest.items() if key != "generation"} == record
    record["generation"] = newest.get("generation", 0) + (not same)
    return record


def _foreign(hosts: Sequence[Host], cluster: Cluster, known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Routes inside the cluster CIDR that were there before podlab: a host may lose its own record."""
    found = {host.name: foreign_routes(host, cluster) if host.is_managed else known.get(host.name) for host in hosts}
    return {name: routes for name, routes in found.items() if routes}


def _created_key(key: str) -> str:
    kind, _, rest = key.partition("/")
    return f"{kind.lower()}/{rest}"


def _node(host: Host) -> dict[str, Any]:
    taints = [{"key": key, "value": value, "effect": effect} for key, value, effect in host.taints]
    return {"address": host.address, "labels": host.all_labels(), **({"taints": taints} if taints else {})}


def _workload(item: Workload, desired: int) -> dict[str, Any]:
    """What ``get`` needs to know of a workload beyond its pods, and the next run of what may not change."""
    return {
        "kind": item.kind,
        "namespace": item.namespace,
        "name": item.name,
        "replicas": item.replicas,
        "desired": desired,
        "templateHash": item.template_hash,
        "labels": dict(item.labels),
        "selector": selector_object(item.selector),
        "containers": [container.name for container in item.template.containers],
        "images": [container.image for container in item.template.containers],
        "strategy": item.strategy,
        "serviceName": item.service_name,
        "parallelism": item.parallelism,
        "nodeSelector": dict(item.template.node_selector),
        **({"job": item.fixed_job} if item.fixed_job else {}),
        **{key: value for key, value in _times(item).items() if value is not None},
    }


def _times(item: Workload) -> dict[str, int | None]:
    return {
        "minReadySeconds": item.min_ready or None,
        "activeDeadlineSeconds": item.deadline,
        "ttlSecondsAfterFinished": item.ttl,
        "backoffLimit": item.backoff_limit if item.kind == "Job" and item.backoff_limit != 6 else None,
    }


def sysctls_of(
    host: Host,
    cluster: Cluster,
    ports: Sequence[HostPort] = (),
    nodes: Sequence[str] = (),
    others: Sequence[str] = (),
) -> dict[str, str]:
    """Kernel settings that a host needs to carry packets that are not its own.

    :param ports: the host ports of its pods.
    :param nodes: addresses of all nodes.
    :param others: addresses of all other hosts.
    """
    device = uplink(host)
    wanted = {FORWARD: "1", **hostport_sysctls(ports)}
    seen, recorded = (host.observation or {})["sysctls"], host.record.get("sysctls", {})
    wanted |= node_sysctls.forwarding(ways_out(host, others), seen, recorded)
    if host.role == "node":
        wanted[BRIDGE_NETFILTER] = "1"
    if host.role == "gateway":
        # It sends packets out where they came in; told so, nodes would go past it.
        wanted["net.ipv4.conf.all.send_redirects"] = "0"
        wanted |= {f"net.ipv4.conf.{_slashed(leg)}.send_redirects": "0" for leg in [device, *legs(host, nodes)]}
    return wanted | node_sysctls.loose_rp_filter(str(device), seen, recorded)


def _slashed(device: str | None) -> str:
    return str(device).replace(".", "/")


def bridge_row(host: Host, cluster: Cluster, cidr: str) -> BridgeRow:
    address, length = gateway(cidr), cidr.partition("/")[2]
    mtu = pod_mtu(cluster, host)
    return {"name": cluster.bridge, "address": f"{address}/{length}", "mac": pod_mac(address), "mtu": mtu}


def system_row(host: Host, cluster: Cluster, ways: Mapping[str, Any]) -> SystemRow:
    """:param ways: the host's row of routes, with its end of the overlay."""
    return {"boot": boots(host), "links": patterns(cluster.bridge, ways.get("vxlan"))}


def boots(host: Host) -> bool:
    """Whether a host puts everything back after a reboot: without systemd only where somebody has asked for it."""
    return has_systemd(host) if host.boot is None else host.boot


def has_systemd(host: Host) -> bool:
    """Whether it is a machine: an embedded host has none."""
    return "systemd" in _system(host).get("daemons", ())


def kept_of(host: Host) -> list[str]:
    """Components of which a boot knows what they were told last, and the one that is the place for it."""
    return ["system", *_system(host).get("kept", ())]


def _system(host: Host) -> Mapping[str, Any]:
    return (host.observation or {}).get("system") or {}

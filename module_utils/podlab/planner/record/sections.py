"""What hosts are told to remember, so that a run that sees only some of them renumbers nobody.

What a run does not change stays the very section that it was, with its generation: whoever has it is not written to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...records.host_record import (
    ClaimEntry,
    ClusterRecord,
    CronJobEntry,
    HostRecord,
    NetworkRecord,
    NodeEntry,
    PendingPod,
    PodsRecord,
    Taint,
    Wait,
    WorkloadEntry,
)
from ..claims.model import Claim
from ..claims.stage import Claims
from ..configs.pod_object import pod_object
from ..controllers.reconcile import Wanted
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..manifests.model import CronJob
from ..manifests.updates import selector_object
from ..model import Desired, Pod, Workload
from ..preflight.host_checks import foreign_routes
from ..scheduler.schedule import Placement
from .copies import Copies
from .newest import created_of, newest_cluster, newest_network, newest_pods, next_generation


@dataclass(frozen=True)
class Sections:
    """All of them, and host -> what of them it keeps, as parts of its record."""

    network: NetworkRecord
    cluster: ClusterRecord
    pods: Mapping[str, PodsRecord]  # by node
    of_host: Mapping[str, HostRecord]


def created_at(hosts: Sequence[Host], pods: Iterable[Pod], now: str) -> dict[str, str]:
    """Pod key -> when it was made."""
    known = created_of(hosts)
    return {pod.key: known.get(f"pod/{pod.key}", now) for pod in pods}


def sections(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    wanted: Wanted,
    cidrs: Mapping[str, str],
    placement: Placement,
    addresses: Mapping[str, str | None],
    claims: Claims,
    created_at: Mapping[str, str],
    now: str,
    services: ClusterRecord,
) -> Sections:
    """:param created_at: pod key -> when it was made.
    :param services: what there is to be remembered of services.
    """
    generation = next_generation(hosts)
    known_pods = newest_pods(hosts)
    network = _kept(newest_network(hosts), _network(cluster, hosts, cidrs), generation)
    whole = _cluster(hosts, desired, wanted, placement, claims, created_at, now, services)
    cluster_section = _kept(newest_cluster(hosts), whole, generation)
    placed = _pods_by_node(cidrs, placement, addresses, created_at)
    held = {node: _pods_record(pods, claims.of_node(node, placement.claims)) for node, pods in placed.items()}
    pods = {node: _kept(known_pods.get(node, PodsRecord()), one, generation) for node, one in held.items()}
    return Sections(network, cluster_section, pods, _parts(hosts, network, cluster_section, pods, generation))


_Section = TypeVar("_Section", NetworkRecord, ClusterRecord, PodsRecord)


def _kept(before: _Section, told: _Section, generation: int) -> _Section:
    same = {key: value for key, value in before.items() if key != "generation"} == told
    return before if same and before else {**told, "generation": generation}


def _parts(
    hosts: Sequence[Host],
    network: NetworkRecord,
    cluster: ClusterRecord,
    pods: Mapping[str, PodsRecord],
    generation: int,
) -> dict[str, HostRecord]:
    """Host -> its parts of the record."""
    copies = Copies(hosts)
    having: dict[str, list[str]] = {node: [] for node in pods}
    for host in hosts:
        for node, section in host.record.get("pods", {}).items():
            if node in pods and section == pods[node]:
                having[node].append(host.name)
    parts: dict[str, HostRecord] = {host.name: {"network": network, "pods": {}} for host in hosts}
    for node, section in pods.items():
        is_changed = section["generation"] == generation
        for name in copies.keepers(node, having[node], is_changed=is_changed, is_node=True):
            parts[name]["pods"][node] = section
    known = [host.name for host in hosts if host.record.get("cluster") == cluster]
    is_changed = cluster["generation"] == generation
    for name in copies.keepers("cluster", known, is_changed=is_changed, is_node=False):
        parts[name]["cluster"] = cluster
    return parts


# --- the sections ---------------------------------------------------------------------------------------


def _network(cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str]) -> NetworkRecord:
    foreign = _foreign(hosts, cluster, newest_network(hosts).get("foreign", {}))
    return {"cidr": cluster.cidr, "podCIDRs": dict(cidrs), **({"foreign": foreign} if foreign else {})}


def _pods_by_node(
    cidrs: Mapping[str, str],
    placement: Placement,
    addresses: Mapping[str, str | None],
    created_at: Mapping[str, str],
) -> dict[str, dict[str, list[str | None]]]:
    found: dict[str, dict[str, list[str | None]]] = {node: {} for node in cidrs}
    for key, node in placement.nodes.items():
        found[node][key] = [addresses.get(key), created_at[key]]
    return found


def _pods_record(held: dict[str, list[str | None]], claims: list[str]) -> PodsRecord:
    return PodsRecord(pods=held, claims=claims) if claims else PodsRecord(pods=held)


def _cluster(
    hosts: Sequence[Host],
    desired: Desired,
    wanted: Wanted,
    placement: Placement,
    claims: Claims,
    created_at: Mapping[str, str],
    now: str,
    services: ClusterRecord,
) -> ClusterRecord:
    """What is about no single node. It grows with manifests, with endpoints of Services, and with the list of nodes."""
    before = newest_cluster(hosts)
    created = before.get("created", {})
    workloads = [item for item in desired.workloads if item.key not in wanted.expired]
    nodes = {host.name: _node(host) for host in hosts if host.role == "node"}
    keys = [_created_key(item.key) for item in workloads]
    keys += [_created_key(key) for key in desired.objects]
    keys += [f"persistentvolumeclaim/{key}" for key in claims.wanted]
    keys += [f"cronjob/{one.key}" for one in desired.cron_jobs]
    keys += [f"node/{node}" for node in nodes]
    keys += [f"namespace/{name}" for name in desired.namespaces]
    waiting = {f"pod/{key}": created_at[key] for key in (*placement.waiting, *placement.pending)}
    count = Counter(pod.owner for pod in wanted.pods)
    return {
        "nodes": nodes,
        "namespaces": list(desired.namespaces),
        "workloads": [_workload(item, count[item.key]) for item in workloads],
        "objects": dict(desired.objects),
        **services,
        "created": {**{key: created.get(key, now) for key in keys}, **waiting},
        "waiting": list(placement.waiting),
        **({"pending": _pending(wanted, placement, created_at)} if placement.pending else {}),
        **({"claims": {key: _claim(one) for key, one in claims.wanted.items()}} if claims.wanted else {}),
        **({"cronJobs": {one.key: _cron_job(one) for one in desired.cron_jobs}} if desired.cron_jobs else {}),
        **({"jobsByHand": dict(desired.jobs_by_hand)} if desired.jobs_by_hand else {}),
        **({"finished": dict(wanted.expired)} if wanted.expired else {}),
    }


def _pending(wanted: Wanted, placement: Placement, created_at: Mapping[str, str]) -> dict[str, PendingPod]:
    """Pods that no host knows: no other place tells of them."""
    found: dict[str, PendingPod] = {}
    for pod in wanted.pods:
        if held := placement.pending.get(pod.key):
            waits: list[Wait] = [
                {"reason": one.reason, "message": one.message, "container": one.container} for one in held.waits
            ]
            found[pod.key] = {"object": pod_object(pod, held.node, created_at[pod.key]), "waits": waits}
    return found


def _foreign(hosts: Sequence[Host], cluster: Cluster, known: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Routes inside the cluster CIDR that were there before podlab: a host may lose its own record."""
    found = {host.name: foreign_routes(host, cluster) if host.is_managed else known.get(host.name) for host in hosts}
    return {name: routes for name, routes in found.items() if routes}


def _created_key(key: str) -> str:
    kind, _, rest = key.partition("/")
    return f"{kind.lower()}/{rest}"


def _node(host: Host) -> NodeEntry:
    taints: list[Taint] = [{"key": key, "value": value, "effect": effect} for key, value, effect in host.taints]
    entry: NodeEntry = {"address": host.address, "labels": host.all_labels()}
    if taints:
        entry["taints"] = taints
    return entry


def _cron_job(item: CronJob) -> CronJobEntry:
    return {"schedule": item.schedule, "timeZone": item.time_zone, "suspend": item.suspended}


def _workload(item: Workload, desired: int) -> WorkloadEntry:
    """What ``get`` needs to know of a workload beyond its pods, and the next run of what may not change."""
    entry: WorkloadEntry = {
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
    }
    if item.fixed_job:
        entry["job"] = item.fixed_job
    if item.min_ready:
        entry["minReadySeconds"] = item.min_ready
    if item.deadline is not None:
        entry["activeDeadlineSeconds"] = item.deadline
    if item.ttl is not None:
        entry["ttlSecondsAfterFinished"] = item.ttl
    if item.kind == "Job" and item.backoff_limit != 6:
        entry["backoffLimit"] = item.backoff_limit
    if item.claims:
        entry["volumeClaimTemplates"] = {claim.name: claim.spec for claim in item.claims}
    return entry


def _claim(item: Claim) -> ClaimEntry:
    entry: ClaimEntry = {"spec": item.spec}
    if item.owner:
        entry["owner"] = item.owner
    if item.is_retained:
        entry["retained"] = True
    return entry

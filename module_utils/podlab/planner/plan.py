"""The plan: from inventory, manifests and observations to the rows of every host.

Pure and deterministic: the same input gives the same rows. Everything that is wrong is raised together,
before anything was written anywhere.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..changes.netfilter import rules
from ..changes.network import bridge, routes
from ..changes.network.bridge import BridgeRow
from ..changes.pods import pods as pod_changes
from ..changes.system import sysctls, systemd
from ..configs import PodRow
from ..records import VERSION
from .configs import host_ports
from .configs.hosts import bridge_row, has_systemd, kept_of, sysctls_of, system_row
from .configs.pods import Alike, pod_row
from .controllers.context import revision_of
from .controllers.reconcile import Wanted, pods_of
from .inputs.cluster import check_hosts
from .inputs.host import Host
from .inputs.observed import lost_records, recovered, sound_hosts, unlikely_hosts, without
from .inputs.observed_pods import present_pods, unready
from .inputs.settings import Cluster
from .ipam.addresses import capacity
from .ipam.allocations import (
    allocate_addresses,
    allocate_cidrs,
    finished_of,
    past_of,
    with_remembered_labels,
)
from .manifests.updates import changed_pods, forbidden_updates
from .model import Desired, Invalid, Pod
from .preflight import firewalls
from .preflight.host_checks import (
    Refusals,
    foreign_routes,
    namespaces_in_the_way,
    routes_in_the_way,
    rules_in_the_way,
    said_once,
    told,
    unfit_hosts,
)
from .preflight.id_mapping import unmapped
from .record.newest import newest_record, out_of_reach
from .record.sections import created_at, sections
from .routing import egress
from .routing.registry import pod_routing
from .scheduler.schedule import Placement, place
from .services.addresses import allocate
from .services.endpoint_pods import PodPlaces
from .services.links import Links
from .services.model import Given
from .services.stage import services_chapter
from .verify import expectations, service_expectations, service_probes

T = TypeVar("T")

CHAPTERS = ("system", "node", "bridge", "pods", "routes", "egress", "services")


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: a plan has none, and a quarter of its time would be spent on the search."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    programs: Mapping[str, str],
    now: str,
    problems: Sequence[str] = (),
    *,
    settled: bool = False,
    chapters: Collection[str] = CHAPTERS,
    code: str = "",
) -> dict[str, Any]:
    """Work out every address, route and rule, for the hosts that can be changed.

    :param programs: podlab's own programs that containers run: file name -> text.
    :param now: time of the run, RFC 3339; it becomes the creation time of what is new.
    :param problems: what was found wrong on the way here; it is raised together with what is found now.
    :param settled: whether Services lead to pods that are yet to be made, as they will once those are ready.
    :param chapters: those that this run was asked for.
    :param code: the digest of podlab's own code, which hosts that put everything back after a reboot have.
    :return: what ``_plan`` does, and ``refused``: host -> why this run does not change it. It is like a host that the
        run is not for: its pods stay where they are, and those that only it may have wait.
    :raises Invalid: with every problem found, where there is one that is not about single hosts, or no host is left.
    """
    hosts, notes, refused = sound_hosts(hosts)
    more = unfit_hosts(hosts, cluster, desired.services)
    hosts, unlikely = unlikely_hosts(hosts, cluster)
    refused |= unlikely
    while True:
        refused |= {name: [*refused.get(name, ()), *words] for name, words in more.items()}
        left, more = without(hosts, refused), {}
        try:
            result = _plan(cluster, recovered(left), desired, programs, now, problems, more, settled, chapters, code)
        except Invalid as error:
            said = told({name: [*refused.get(name, ()), *more.get(name, ())] for name in {**refused, **more}})
            raise Invalid([*problems, *said, *error.problems]) from None
        if more:
            continue
        if refused and not any(host.is_managed for host in left):
            raise Invalid(told(refused))
        shared, refused = said_once(refused)
        return {**result, "notes": [*notes, *lost_records(left), *shared, *result["notes"]], "refused": refused}


@_uncollected()
def _plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    programs: Mapping[str, str],
    now: str,
    problems: Sequence[str],
    refused: Refusals,
    settled: bool,
    chapters: Collection[str],
    code: str,
) -> dict[str, Any]:
    """
    :param refused: is filled with hosts on which something is in the way of what they shall hold; then the plan stops
        there, and has to be made without them.
    :return: ``hosts`` (host -> chapter -> row, with ``pending``: chapters that have anything to do),
        ``verify`` (what the probes have to find), ``notes`` (what the user should know), ``rolling`` (workloads that
        need another step once these pods are ready, in words), ``moving`` (whether this step does anything to
        pods, so that there is somebody to wait for), ``leading`` (whether there are Services, which lead to pods that
        are ready).
    :raises Invalid: with every problem found.
    """
    hosts = with_remembered_labels(hosts)
    nodes = [host for host in hosts if host.role == "node"]
    past = past_of(hosts)
    inventory = check_hosts(hosts, cluster)
    way = pod_routing(cluster)
    with _collecting([*problems, *inventory]) as found:
        found.problems += way.validate(cluster, hosts) if not inventory else []
        found.problems += out_of_reach(hosts)
        found.problems += forbidden_updates(desired, newest_record(hosts))
        present = present_pods(hosts, past)
        wanted = found.unless_invalid(lambda: pods_of(desired, nodes, present, finished_of(hosts)), Wanted([]))
        pods = wanted.pods
        cidrs: dict[str, str] = {}
        if not inventory:  # what is wrong there would only be said twice
            cidrs = found.unless_invalid(lambda: allocate_cidrs(cluster, hosts, nodes), cidrs)
            refused.update(routes_in_the_way(cluster, hosts, way.routes(cluster, hosts, cidrs) if cidrs else {}))
        room = {node.name: capacity(cidrs[node.name]) if cidrs else sys.maxsize for node in nodes}
        placed = {key: node for key, (node, _) in past.items()}
        placement = Placement({})
        if nodes:
            placement = found.unless_invalid(lambda: place(pods, nodes, room, placed), placement)
        problems, lacking = unmapped(pods, placement.nodes, {node.name: node for node in nodes})
        found.problems += problems
        refused.update(lacking)
        given = found.unless_invalid(lambda: allocate(cluster, hosts, desired.services), dict[str, Given]())
        if not found.problems:  # or a name may be none
            names = {pod.key: pod.netns for pod in pods}
            for name, words in namespaces_in_the_way(hosts, names, placement.nodes).items():
                refused.setdefault(name, []).extend(words)
        links = Links.of(desired.services, given, pods)
        found.problems += links.too_many(pods)
    if refused:
        return {}
    on_nodes = {pod.key for pod in pods if is_on_node(pod)}
    wired = Placement({key: node for key, node in placement.nodes.items() if key not in on_nodes})
    addresses, cursors = allocate_addresses(nodes, cidrs, wired, past)
    by_name = {node.name: node for node in nodes}
    addresses |= {key: by_name[placement.nodes[key]].address for key in on_nodes if key in placement.nodes}

    placed = placement.nodes
    touches_pods = "pods" in chapters
    services = services_chapter(
        cluster,
        hosts,
        desired,
        given,
        pods,
        placed,
        addresses,
        present,
        now,
        settled=settled,
        touches_pods=touches_pods,
    )
    born = created_at(hosts, pods, now)
    shared = sections(cluster, hosts, desired, wanted, cidrs, placement, addresses, born, now, services.record)
    ways = way.routes(cluster, hosts, cidrs)
    filters = firewalls.findings(cluster, hosts)
    result: dict[str, Any] = {
        "hosts": {},
        "notes": [
            *_notes(desired, placement),
            *changed_pods(desired.pods, present),
            *wanted.notes,
            *services.notes,
            *rules_in_the_way(hosts, cluster),
            *firewalls.notes(filters),
        ],
        "rolling": wanted.rolling,
        "leading": bool(desired.services),
    }
    pods_by_node: dict[str, list[Pod]] = {node.name: [] for node in nodes}
    for pod in pods:
        if pod.key in placement.nodes:
            pods_by_node[placement.nodes[pod.key]].append(pod)
    alike: Alike = {}
    everywhere = tuple(host.address for host in hosts)
    # Their manifest has asked for this end.
    over = [
        pod.key for pod in pods if (one := present.get(pod.key)) and one.is_over and revision_of(one) == pod.revision
    ]
    result["notes"] += [f"pod {key}: Pod was active on the node longer than the specified deadline" for key in over]
    for host in hosts:
        if host.in_run and host.observation is None:
            result["hosts"][host.name] = {"pending": []}
        elif host.in_run:
            pod_rows: list[PodRow] = []
            rows: dict[str, Any] = {}
            if host.role == "node":
                mine = pods_by_node[host.name]
                frame = bridge_row(host, cluster, cidrs[host.name])
                pod_rows = [
                    pod_row(
                        *(pod, host, cluster, frame, str(addresses[pod.key]), born[pod.key], alike),
                        links=links.of_pod(pod),
                    )
                    for pod in mine
                ]
                rows = _node_rows(cluster, frame, pod_rows, programs)
                peers = [node.address for node in nodes if node is not host]
                ports = host_ports.rows(host_ports.of_rows(pod_rows))
                rows["egress"] = rules.merged(egress.rows(cluster, way.carriers(cluster, host), peers), ports)
            told = {"cursor": cursors.get(host.name), **shared.of_host[host.name]}
            rows |= _common_rows(host, cluster, told, host_ports.of_rows(pod_rows), nodes, everywhere)
            rows["routes"] |= {"routes": ways[host.name], "vxlan": way.overlay(cluster, host, nodes, cidrs)}
            if host.role == "gateway" and (relayed := egress.relay_rows(cluster, host, [it.address for it in nodes])):
                rows["egress"] = relayed
            if host.role == "node":
                rows["node"]["sysctls"] |= services.sysctls
                rows["services"] = services.row(host, cidrs[host.name])
            seen: Mapping[str, Any] = host.observation or {}
            if "sysctls" in seen.get("lost", ()):
                known = {key: sysctls.kernels(key, seen["sysctls"]) for key in rows["node"]["sysctls"]}
                rows["node"]["assumed"] = known
            rows["system"] = system_row(host, cluster, rows["routes"])
            is_pending = {
                **_PENDING,
                "system": lambda seen, row: bool(systemd.steps(seen.get("system", {}), row, code)),
                "services": services.is_pending,
            }
            untold = [name for name in rows if name not in kept_of(host)] if rows["system"]["boot"] else []
            pending = [
                name for name in CHAPTERS if name in rows and (name in untold or is_pending[name](seen, rows[name]))
            ]
            rows["routes_parts"] = _routes_parts(seen, rows["routes"]) or (["switch"] if "routes" in pending else [])
            if host.role == "node":
                awaited = {pod.netns: pod.until for pod in mine if not pod.kept and pod.key not in over}
                if wanted.rolling or "pods" in pending or any(unready(host, *item) for item in awaited.items()):
                    rows["ready"] = {"pods": awaited, "timeout": cluster.ready_timeout}
                    stepping = [pod for pod in mine if not pod.kept and pod.owner in wanted.min_ready]
                    if stepping:
                        rows["ready"]["available"] = {pod.netns: wanted.min_ready[str(pod.owner)] for pod in stepping}
            result["hosts"][host.name] = {**rows, "pending": pending}
    if any("ready" in rows for rows in result["hosts"].values()):
        # All hosts of the run take part: where pods have moved is news for each of them.
        for rows in result["hosts"].values():
            rows["pending"].append("rollout")
    if "node" not in chapters:
        # The record says which address is whose, and nobody else writes it then.
        for rows in result["hosts"].values():
            rows["pending"] += ["record"] if {"node", "services"} <= {*rows["pending"]} else []
    # What is yet to come is shown at once: nobody is led anywhere in between.
    if not settled and services.leaves_pods and any("pods" in rows["pending"] for rows in result["hosts"].values()):
        for host in hosts:
            rows = result["hosts"].get(host.name, {"pending": ()})
            if "services" in rows["pending"]:
                rows["pending"].append("leaving")
                rows["parting"] = services.parting.row(host, cidrs[host.name])
                rows["pending"] += ["gone"] if services.parting is not services.rows else []
    # A step that finds nothing to do is the last one, whatever still waits.
    result["moving"] = any("pods" in rows["pending"] for rows in result["hosts"].values())
    result["verify"] = expectations.matrix(
        cluster, hosts, cidrs, [pod for pod in pods if pod.key not in on_nodes], placement.nodes, addresses
    )
    for name, row in expectations.probes(result["verify"], result["hosts"], far=any(map(has_systemd, hosts))).items():
        result["hosts"][name]["verify"] = row
    ends, places = result["verify"]["ends"], PodPlaces(pods, placed, addresses, on_nodes, services.slices)
    matrix = service_expectations.service_matrix(cluster, hosts, cidrs, ends, services.rows.ports, places.of)
    result["verify"] |= {"services": matrix, **({"firewalls": filters} if filters else {})}
    for name, row in service_probes.probes(matrix, ends, result["hosts"]).items():
        result["hosts"][name]["verify_services"] = row
    return result


def chapters_of(tags: Collection[str], skipped: Collection[str]) -> list[str]:
    """The chapters that a run was asked for by ``--tags`` and ``--skip-tags``."""
    every = {"all", "tagged"}
    return [name for name in CHAPTERS if {name, *every} & {*tags} and not {name, *every} & {*skipped}]


def is_on_node(pod: Pod) -> bool:
    """Whether a pod is on its node's own network (``hostNetwork``)."""
    return bool(pod.kept.get("host_network")) if pod.kept else pod.template.host_network


def _node_rows(
    cluster: Cluster, frame: BridgeRow, pod_rows: Sequence[PodRow], programs: Mapping[str, str]
) -> dict[str, Any]:
    """What only nodes have."""
    return {
        "bridge": frame,
        "pods": {"programs": dict(programs), "pods": list(pod_rows)},
    }


def _common_rows(
    host: Host,
    cluster: Cluster,
    told: Mapping[str, Any],
    ports: Sequence[host_ports.HostPort],
    nodes: Sequence[Host],
    everywhere: Sequence[str],
) -> dict[str, Any]:
    """What nodes and gateways have; ``told`` is what the host shall remember."""
    loadable = (host.observation or {})["kernel"]["loadable"]
    addresses = [node.address for node in nodes] if host.role == "gateway" else []
    foreign = foreign_routes(host, cluster)
    return {
        "node": {
            "modules": loadable if host.role == "node" else [],
            "runtime": host.role == "node",
            "sysctls": sysctls_of(host, cluster, ports, addresses, everywhere),
            "record": {"version": VERSION, "node": host.name, "foreign": foreign, **told},
        },
        "routes": {"within": cluster.cidr, "foreign": foreign, "relay": host.role == "gateway"},
    }


class _Collector:
    """Goes on after a mistake, to find the others as well."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)

    def unless_invalid(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except Invalid as error:
            self.problems += error.problems
            return otherwise


@contextmanager
def _collecting(problems: Sequence[str]) -> Iterator[_Collector]:
    """Raise at the end of the block everything that was found wrong before and in it."""
    collector = _Collector(problems)
    yield collector
    if collector.problems:
        raise Invalid(collector.problems)


def _node_pending(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if seen.get("lost"):
        return True
    record = seen["record"] or {}
    recorded = record.get("sysctls", {})
    remembered = {**row["record"], "sysctls": sysctls.originals(seen["sysctls"], row["sysctls"], recorded)}
    changes = sysctls.changes(seen["sysctls"], row["sysctls"], recorded)
    amiss = seen.get("modes") or not seen.get("runtime", True)
    return bool(row["modules"] or changes or amiss) or record != remembered


def _pods_pending(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if seen["pods"].keys() != {pod["netns"] for pod in row["pods"]}:
        return True  # what exactly differs is the module's question
    differing = pod_changes.changes(seen["links"], seen["pods"], row["pods"])
    return bool(differing) or any(seen["programs"].get(name) != text for name, text in row["programs"].items())


_PENDING: dict[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "node": _node_pending,
    "bridge": lambda seen, row: bool(
        bridge.changes(seen["links"], row, seen["routes"])
        or bridge.forwarding(seen["links"], row)
        or bridge.settings(seen["links"], row, seen["sysctls"])
        or bridge.queues(seen["links"])
    ),
    "pods": _pods_pending,
    "routes": lambda seen, row: bool(_routes_parts(seen, row)),
    "egress": lambda seen, row: (
        any(rules.changes(seen["rules"][table], row[table]) for table in row)
        or bool(sysctls.opening(seen["sysctls"], rules.sysctls(row)))
        or bool(seen.get("flows"))
    ),
}


def _routes_parts(seen: Mapping[str, Any], row: Any) -> list[str]:
    return routes.steps(seen["links"], seen["tunnels"], seen["routes"], row).parts()


def _notes(desired: Desired, placement: Placement) -> list[str]:
    notes = [f"ignored, it has no meaning here: {path}" for path in desired.ignored]
    notes += [f"pod {key} waits: the nodes that it may run on are not part of this run" for key in placement.waiting]
    return notes

"""The plan: from inventory, manifests and observations to the rows of every host.

Pure and deterministic: the same input gives the same rows. Everything that is wrong is raised together,
before anything was written anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..changes import bridge, routes, rules, sysctls
from ..changes import pods as pod_changes
from . import egress, expectations
from .addresses import capacity
from .allocations import allocate_addresses, allocate_cidrs, past_of
from .cluster import Cluster, Host, check_hosts
from .fitness import foreign_routes, namespaces_in_the_way, routes_in_the_way, unfit_hosts
from .model import Desired, Invalid, Pod
from .names import file_name
from .rows import bridge_row, pod_row, shared_record, sysctls_of, ways_of
from .schedule import Placement, place

T = TypeVar("T")

CHAPTERS = ("node", "bridge", "pods", "routes", "egress")


def plan(
    cluster: Cluster,
    hosts: Sequence[Host],
    desired: Desired,
    programs: Mapping[str, str],
    now: str,
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """Work out every address, route and rule.

    :param programs: podlab's own programs that containers run: file name -> text.
    :param now: time of the run, RFC 3339; it becomes the creation time of what is new.
    :param problems: what was found wrong on the way here; it is raised together with what is found now.
    :return: ``hosts`` (host -> chapter -> row, with ``pending``: chapters that have anything to do),
        ``verify`` (what the probes have to find), ``notes`` (what the user should know).
    :raises Invalid: with every problem found.
    """
    nodes = [host for host in hosts if host.role == "node"]
    past = past_of(hosts)
    inventory = check_hosts(hosts, cluster)
    with _collecting([*problems, *inventory, *unfit_hosts(hosts, cluster)]) as found:
        cidrs: dict[str, str] = {}
        if not inventory:  # what is wrong there would only be said twice
            cidrs = found.unless_invalid(lambda: allocate_cidrs(cluster, hosts, nodes), cidrs)
            found.problems += routes_in_the_way(cluster, hosts, ways_of(cluster, hosts, cidrs) if cidrs else {})
        room = {node.name: capacity(cidrs[node.name]) if cidrs else sys.maxsize for node in nodes}
        placed = {key: node for key, (node, _) in past.items()}
        placement = Placement({})
        if nodes:
            placement = found.unless_invalid(lambda: place(desired.pods, nodes, room, placed), placement)
        if not found.problems:  # or a name may be none
            names = {pod.key: file_name(pod.namespace, pod.name) for pod in desired.pods}
            found.problems += namespaces_in_the_way(hosts, names, placement.nodes)
    addresses, cursors = allocate_addresses(nodes, cidrs, placement, past)

    shared = shared_record(cluster, hosts, desired, cidrs, placement, addresses, now)
    ways = ways_of(cluster, hosts, cidrs)
    result: dict[str, Any] = {"hosts": {}, "notes": _notes(desired, placement)}
    pods_by_node: dict[str, list[Pod]] = {node.name: [] for node in nodes}
    for pod in desired.pods:
        if pod.key in placement.nodes:
            pods_by_node[placement.nodes[pod.key]].append(pod)
    for host in hosts:
        if not host.in_run:
            continue
        rows: dict[str, Any] = {}
        seen = host.observation or {}
        if seen:
            rows["node"] = {
                "modules": seen["kernel"]["loadable"] if host.role == "node" else [],
                "sysctls": sysctls_of(host, cluster),
                "record": {
                    "node": host.name,
                    "cursor": cursors.get(host.name),
                    "foreign": foreign_routes(host, cluster),
                    "cluster": shared,
                },
            }
            rows["routes"] = {
                "within": cluster.cidr,
                "foreign": foreign_routes(host, cluster),
                "routes": ways[host.role],
            }
        if seen and host.role == "node":
            frame = bridge_row(host, cluster, cidrs[host.name])
            rows["bridge"] = frame
            rows["pods"] = {
                "programs": dict(programs),
                "pods": [
                    pod_row(pod, host.name, cluster, frame, addresses[pod.key], shared)
                    for pod in pods_by_node[host.name]
                ],
            }
            rows["egress"] = egress.rows(cluster)
        result["hosts"][host.name] = {
            **rows,
            "pending": [name for name in CHAPTERS if name in rows and _PENDING[name](seen, rows[name])],
        }
    result["verify"] = expectations.matrix(cluster, hosts, cidrs, desired.pods, placement.nodes, addresses)
    for name, row in expectations.probes(result["verify"], result["hosts"]).items():
        result["hosts"][name]["verify"] = row
    return result


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
    record = seen["record"] or {}
    recorded = record.get("sysctls", {})
    remembered = {**row["record"], "sysctls": sysctls.originals(seen["sysctls"], row["sysctls"], recorded)}
    changes = sysctls.changes(seen["sysctls"], row["sysctls"], recorded)
    return bool(row["modules"] or changes) or record != remembered


def _pods_pending(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    differing = pod_changes.changes(seen["links"], seen["pods"], row["pods"])
    return bool(differing) or seen["programs"] != row["programs"]


_PENDING: dict[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "node": _node_pending,
    "bridge": lambda seen, row: bool(bridge.changes(seen["links"], row)),
    "pods": _pods_pending,
    "routes": lambda seen, row: bool(routes.changes(seen["routes"], row)),
    "egress": lambda seen, row: any(rules.changes(seen["rules"][table], row[table]) for table in row),
}


def _notes(desired: Desired, placement: Placement) -> list[str]:
    notes = [f"ignored, it has no meaning here: {path}" for path in desired.ignored]
    notes += [f"pod {key} waits: the nodes that it may run on are not part of this run" for key in placement.waiting]
    return notes

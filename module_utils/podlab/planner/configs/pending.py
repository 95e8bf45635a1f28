"""What of a host's configs is not true yet, and so which plays it takes part in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...changes.netfilter import rules
from ...changes.network import bridge, routes
from ...changes.pods import pods as pod_changes
from ...changes.system import sysctls, systemd
from ...records.observation import Observation
from ..controllers.stage import Reconciled
from ..inputs.host import Host
from ..inputs.observed_pods import unready
from ..inputs.request import CHAPTERS, Request
from ..preflight.stage import Fleet
from ..scheduler.stage import Scheduled
from ..services.stage import Chapter
from .hosts import kept_of
from .stage import Configs


@dataclass(frozen=True)
class Pending:
    """``groups``: host -> the plays that it takes part in, ``pending_*`` in ``site.yml``. ``extras``: host -> what
    these plays need beside its configs."""

    groups: Mapping[str, list[str]]
    extras: Mapping[str, Mapping[str, Any]]

    @property
    def moves_pods(self) -> bool:
        """Whether anything is done to pods: a step that finds nothing to do is the last one, whatever still waits."""
        return any("pods" in groups for groups in self.groups.values())


def pending(
    request: Request,
    fleet: Fleet,
    reconciled: Reconciled,
    scheduled: Scheduled,
    services: Chapter,
    configs: Mapping[str, Configs],
) -> Pending:
    hosts = [host for host in fleet.hosts if host.in_run]
    parts = {host.name: _routes_parts(host.seen, configs[host.name]["routes"]) for host in hosts if host.is_managed}
    own = {
        host.name: _components(request, host, services, configs.get(host.name, {}), parts.get(host.name, []))
        for host in hosts
    }
    ready = {
        host.name: waits
        for host in hosts
        if host.is_managed and host.role == "node" and (waits := _waits(request, host, reconciled, scheduled, own))
    }
    # What is yet to come is shown at once where all is taken for settled: nobody is led anywhere in between.
    drains = not request.settled and services.leaves_pods and any("pods" in names for names in own.values())
    groups: dict[str, list[str]] = {}
    extras: dict[str, dict[str, Any]] = {}
    for host in hosts:
        mine = own[host.name]
        is_led = drains and "services" in mine
        groups[host.name] = [
            *mine,
            # All hosts of the run take part: where pods have moved is news for each of them.
            *(["rollout"] if ready else []),
            # The record says which address is whose, and nobody else writes it then.
            *(["record"] if "node" not in request.chapters and {"node", "services"} <= {*mine} else []),
            *(["services_drain"] if is_led else []),
            *(["services_finalize"] if is_led and services.parting is not services.rows else []),
        ]
        extras[host.name] = {}
        if host.is_managed:
            extras[host.name]["routes_parts"] = parts[host.name] or (["switch"] if "routes" in mine else [])
        if host.name in ready:
            extras[host.name]["ready"] = ready[host.name]
        if is_led:
            extras[host.name]["parting"] = services.parting.row(host, fleet.cidrs[host.name])
    return Pending(groups, extras)


def _components(
    request: Request, host: Host, services: Chapter, configs: Configs, routes_parts: Sequence[str]
) -> list[str]:
    """Those that have anything to do, and those of which a boot would not know what they were told."""
    is_pending: dict[str, Callable[[Observation, Any], bool]] = {
        **_PENDING,
        "node": lambda seen, row: bool(host.lost) or _node_pending(seen, row),
        "system": lambda seen, row: bool(systemd.steps(seen.get("system", {}), row, request.code)),
        "routes": lambda seen, row: bool(routes_parts),
        "services": services.is_pending,
    }
    untold = [name for name in configs if name not in kept_of(host)] if configs and configs["system"]["boot"] else []
    return [
        name for name in CHAPTERS if name in configs and (name in untold or is_pending[name](host.seen, configs[name]))
    ]


def _waits(
    request: Request, node: Host, reconciled: Reconciled, scheduled: Scheduled, own: Mapping[str, list[str]]
) -> dict[str, Any]:
    """What the run waits for on a node; empty where it is there."""
    wanted = reconciled.wanted
    new = [pod for pod in scheduled.by_node[node.name] if not pod.kept]
    awaited = {pod.netns: pod.until for pod in new if not reconciled.is_over(pod)}
    if not (wanted.rolling or "pods" in own[node.name] or any(unready(node, *item) for item in awaited.items())):
        return {}
    waits: dict[str, Any] = {"pods": awaited, "timeout": request.cluster.ready_timeout}
    if available := {pod.netns: wanted.min_ready[pod.owner] for pod in new if pod.owner in wanted.min_ready}:
        waits["available"] = available
    return waits


def _node_pending(seen: Observation, row: Mapping[str, Any]) -> bool:
    record = seen["record"] or {}
    recorded = record.get("sysctls", {})
    remembered = {**row["record"], "sysctls": sysctls.originals(seen["sysctls"], row["sysctls"], recorded)}
    changes = sysctls.changes(seen["sysctls"], row["sysctls"], recorded)
    amiss = seen.get("modes") or not seen.get("runtime", True)
    return bool(row["modules"] or changes or amiss) or record != remembered


def _pods_pending(seen: Observation, row: Mapping[str, Any]) -> bool:
    if seen["pods"].keys() != {pod["netns"] for pod in row["pods"]}:
        return True  # what exactly differs is the module's question
    differing = pod_changes.changes(_links(seen), cast("Mapping[str, pod_changes.Pod]", seen["pods"]), row["pods"])
    return bool(differing) or any(seen["programs"].get(name) != text for name, text in row["programs"].items())


def _egress_pending(seen: Observation, row: Any) -> bool:
    tables = cast("Mapping[str, Mapping[str, list[str]]]", seen["rules"])
    return (
        any(rules.changes(tables[table], row[table]) for table in row)
        or bool(sysctls.opening(seen["sysctls"], rules.sysctls(row)))
        or bool(seen.get("flows"))
    )


_PENDING: dict[str, Callable[[Observation, Any], bool]] = {
    "bridge": lambda seen, row: bool(bridge.actions(_links(seen), row, seen["routes"], seen["sysctls"])),
    "pods": _pods_pending,
    "egress": _egress_pending,
}


def _routes_parts(seen: Observation, row: Any) -> list[str]:
    found = cast("Sequence[routes.Route]", seen["routes"])
    return routes.steps(_links(seen), seen["tunnels"], found, row).parts()


def _links(seen: Observation) -> Mapping[str, bridge.Link]:
    """What differs is asked of links that lack a key as well: they have a type of their own there."""
    return cast("Mapping[str, bridge.Link]", seen["links"])

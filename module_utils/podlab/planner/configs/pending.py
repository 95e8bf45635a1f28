"""What of a host's configs is not true yet, and so which plays it takes part in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...changes.netfilter import rules
from ...changes.network import bridge, routes
from ...changes.pods import pods as pod_changes
from ...changes.system import sysctls, systemd
from ...configs import EgressConfig, HostConfigs, NodeConfig, PlayExtras, PodsConfig, ReadyConfig, RoutesConfig
from ...records.observation import Observation
from ..controllers.stage import Reconciled
from ..inputs.host import Host
from ..inputs.observed_pods import unready
from ..inputs.request import COMPONENTS, Request
from ..model import Pod
from ..preflight.stage import Fleet
from ..scheduler.stage import Scheduled
from ..services.stage import ServicesPlan
from .hosts import kept_of


@dataclass(frozen=True)
class Pending:
    """``groups``: host -> the plays that it takes part in, ``pending_*`` in ``site.yml``. ``extras``: host -> what
    these plays need beside its configs."""

    groups: Mapping[str, list[str]]
    extras: Mapping[str, PlayExtras]

    @property
    def changes_pods(self) -> bool:
        """Whether anything is done to pods: a step that finds nothing to do is the last one, whatever still waits."""
        return any("pods" in groups for groups in self.groups.values())


def pending(
    request: Request,
    fleet: Fleet,
    reconciled: Reconciled,
    scheduled: Scheduled,
    services: ServicesPlan,
    configs: Mapping[str, HostConfigs],
) -> Pending:
    hosts = [host for host in fleet.hosts if host.in_run]
    parts = {host.name: _routes_parts(host.seen, configs[host.name]["routes"]) for host in hosts if host.is_managed}
    own = {
        host.name: _components(request, host, services, configs.get(host.name, HostConfigs()), parts.get(host.name, []))
        for host in hosts
    }
    callers = early_callers(request, reconciled)
    ready = {
        host.name: waits
        for host in hosts
        if host.is_managed
        and host.role == "node"
        and (waits := _waits(request, host, reconciled, scheduled, own, partial=bool(callers)))
    }
    # What is yet to come is shown at once where all is taken for settled: nobody is led anywhere in between.
    changes_pods = not request.assume_ready and any("pods" in names for names in own.values())
    # A first packet that finds no rule goes astray, with all others of its connection, for minutes.
    is_called = any(pod.key not in reconciled.present for pod in callers)
    comes_first = changes_pods and (services.removes_endpoints or is_called)
    groups: dict[str, list[str]] = {}
    extras: dict[str, PlayExtras] = {}
    for host in hosts:
        mine = own[host.name]
        is_led = comes_first and "services" in mine
        groups[host.name] = [
            *mine,
            # All hosts of the run take part: where pods have moved is news for each of them.
            *(["rollout"] if ready or scheduled.placement.pending else []),
            # The record says which address is whose, and nobody else writes it then.
            *(["record"] if "node" not in request.components and {"node", "services"} <= {*mine} else []),
            *(["services_first"] if is_led else []),
            *(["services_finalize"] if is_led and services.draining is not services.rows else []),
        ]
        extras[host.name] = {}
        if host.is_managed:
            extras[host.name]["routes_parts"] = parts[host.name] or (["switch"] if "routes" in mine else [])
        if host.name in ready:
            extras[host.name]["ready"] = ready[host.name]
        if is_led:
            extras[host.name]["draining"] = services.draining.row(host, fleet.cidrs[host.name])
    return Pending(groups, extras)


def _components(
    request: Request, host: Host, services: ServicesPlan, configs: HostConfigs, routes_parts: Sequence[str]
) -> list[str]:
    """Those that have anything to do, and those of which a boot would not know what they were told."""
    is_pending: dict[str, Callable[[Observation, HostConfigs], bool]] = {
        **_PENDING,
        "node": lambda seen, configs: bool(host.lost) or _node_pending(seen, configs["node"]),
        "system": lambda seen, configs: bool(systemd.steps(seen.get("system", {}), configs["system"], request.code)),
        "routes": lambda seen, configs: bool(routes_parts),
        "services": lambda seen, configs: services.is_pending(seen, configs["services"]),
    }
    untold = [name for name in configs if name not in kept_of(host)] if configs and configs["system"]["boot"] else []
    return [name for name in COMPONENTS if name in configs and (name in untold or is_pending[name](host.seen, configs))]


def early_callers(request: Request, reconciled: Reconciled) -> list[Pod]:
    """Pods that may call a Service before they are ready: their init containers do, or what their probes ask."""
    if not (request.desired.services and {"pods", "services"} <= {*request.components}):
        return []
    return [
        pod
        for pod in reconciled.pods
        if pod.pinned is None
        and (pod.template.init_containers or any(one.readiness or one.startup for one in pod.template.containers))
    ]


def _waits(
    request: Request,
    node: Host,
    reconciled: Reconciled,
    scheduled: Scheduled,
    own: Mapping[str, list[str]],
    *,
    partial: bool,
) -> ReadyConfig | None:
    """What the run waits for on a node; None where it is there."""
    wanted = reconciled.wanted
    new = [pod for pod in scheduled.by_node[node.name] if not pod.pinned]
    awaited = {pod.netns: pod.until for pod in new if not reconciled.is_over(pod)}
    if not (wanted.unfinished or "pods" in own[node.name] or has_unready(node, reconciled, new)):
        return None
    waits: ReadyConfig = {"pods": awaited, "timeout": request.cluster.ready_timeout}
    if available := {pod.netns: wanted.min_ready[pod.owner] for pod in new if pod.owner in wanted.min_ready}:
        waits["available"] = available
    if partial:
        waits["partial"] = True
    return waits


def has_unready(node: Host, reconciled: Reconciled, pods: Sequence[Pod]) -> bool:
    """Whether the run has to wait for any of these pods. Of one that was found ready there nobody asks again."""
    for pod in pods:
        there = reconciled.present.get(pod.key)
        is_it = there is not None and there.node == node.name and there.row and there.row["netns"] == pod.netns
        if there is not None and is_it and there.ready and pod.until != "Ended":
            continue
        if not reconciled.is_over(pod) and unready(node, pod.netns, pod.until):
            return True
    return False


def _node_pending(seen: Observation, config: NodeConfig) -> bool:
    record = seen["record"] or {}
    recorded = record.get("sysctls", {})
    remembered = {**config["record"], "sysctls": sysctls.originals(seen["sysctls"], config["sysctls"], recorded)}
    changes = sysctls.changes(seen["sysctls"], config["sysctls"], recorded)
    amiss = seen.get("modes") or not seen.get("runtime", True)
    return bool(config["modules"] or changes or amiss) or record != remembered


def _pods_pending(seen: Observation, config: PodsConfig) -> bool:
    if not {*seen.get("claims", ())}.isdisjoint(config.get("drop_claims", ())):
        return True
    if seen["pods"].keys() != {pod["netns"] for pod in config["pods"]}:
        return True  # what exactly differs is the module's question
    differing = pod_changes.changes(seen["links"], seen["pods"], config["pods"])
    return bool(differing) or any(seen["programs"].get(name) != text for name, text in config["programs"].items())


def _egress_pending(seen: Observation, config: EgressConfig) -> bool:
    return (
        any(rules.changes(seen["rules"][table], row) for table, row in config.items())
        or bool(sysctls.opening(seen["sysctls"], rules.sysctls(config)))
        or bool(seen.get("flows"))
    )


_PENDING: dict[str, Callable[[Observation, HostConfigs], bool]] = {
    "bridge": lambda seen, configs: bool(
        bridge.actions(seen["links"], configs["bridge"], seen["routes"], seen["sysctls"])
    ),
    "pods": lambda seen, configs: _pods_pending(seen, configs["pods"]),
    "egress": lambda seen, configs: _egress_pending(seen, configs["egress"]),
}


def _routes_parts(seen: Observation, row: RoutesConfig) -> list[str]:
    return routes.steps(seen["links"], seen["tunnels"], seen["routes"], row).parts()

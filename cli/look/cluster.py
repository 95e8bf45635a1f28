"""What the hosts of an inventory tell of the cluster, and what to say where they tell nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

from .. import inventory
from ..errors import CommandError
from ..hosts import Embedded, Host, ask
from . import objects, workloads

LISTS: dict[str, Callable[[objects.State], list[objects.Object]]] = {
    "pods": lambda state: state.pods,
    "nodes": objects.nodes,
    "daemonsets": workloads.daemonsets,
    "deployments": workloads.deployments,
    "replicasets": workloads.replicasets,
    "statefulsets": workloads.statefulsets,
    "jobs": workloads.jobs,
    "services": lambda state: _services().services(state),
    "endpoints": lambda state: _services().endpoints(state),
    "endpointslices": lambda state: _services().endpointslices(state),
    "configmaps": objects.configmaps,
    "secrets": objects.secrets,
    "namespaces": objects.namespaces,
}


def _services() -> ModuleType:
    """Imported late: it brings the planner's words along, 0.1 s that other kinds need not spend."""
    from . import services

    return services


def observe(sources: Sequence[str]) -> objects.State:
    """Ask all hosts of the inventory that have anything to tell."""
    hosts = inventory.read(sources)
    must_be_on(hosts)
    return observed_state(hosts)


def observed_state(hosts: Sequence[Host]) -> objects.State:
    """Hosts beyond the cluster are not asked: podlab keeps nothing there."""
    answers = ask([host for host in hosts if host.role in ("node", "gateway")])
    return objects.cluster_state(answers, [host.name for host in hosts if host.role == "node"])


def must_be_known(state: objects.State, missing: Sequence[str]) -> None:
    """Tell "there is none" from "no host has answered". What a run has made is in the record of every host.

    :param missing: what was asked for by name and is not there.
    :raises CommandError: nodes are silent, and the others do not know either.
    """
    if state.silent and not (missing and state.record):
        raise CommandError(f"error: what there is cannot be told: no answer from {', '.join(state.silent)}")


def must_be_on(hosts: Sequence[Host]) -> None:
    """:raises CommandError: the inventory is nothing but embedded hosts, and none of them is on."""
    if all(isinstance(host, Embedded) and host.pid is None for host in hosts):
        raise CommandError("the lab is off; ./lab up starts it")


def not_found(plural: str, name: str) -> str:
    return f'Error from server (NotFound): {plural} "{name}" not found'

"""Which pod is meant, on which host it runs, and which of its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podlab import phases
from podlab.configs import PodConfig

from .. import inventory
from ..errors import CommandError
from ..hosts import Host, ask
from ..look import columns, objects, workloads
from ..look.cluster import LISTS, must_be_known, must_be_on, not_found
from ..output import print_error

SCAN_DIR = "/run/podlab/services"
DEFAULT = "kubectl.kubernetes.io/default-container"
SERVICES_KIND = "services"
WORKLOADS = {
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
}


@dataclass(frozen=True)
class Target:
    """A pod that is there: its host, what that host tells of it, and the object made of this; and the Service by which
    it was asked for, if any."""

    host: Host
    live: Mapping[str, Any]
    pod: objects.Object
    service: objects.Object | None = None

    @property
    def row(self) -> PodConfig:
        row: PodConfig = self.live["row"]
        return row

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def container(self, asked: str) -> str:
        """The container asked for, or the one that is meant if none was, said aloud where there are others.

        :raises CommandError: the pod has none of that name.
        """
        init = self.row.get("init", [])
        main = phases.regular(self.row)
        if asked:
            if asked not in self.row["containers"]:
                raise CommandError(f"error: container {asked} is not valid for pod {self.name}")
            return asked
        chosen = self.pod["metadata"].get("annotations", {}).get(DEFAULT)
        if chosen in self.row["containers"]:
            return str(chosen)
        if len(main) + len(init) > 1:
            others = ", ".join([*main, *(f"{name} (init)" for name in init)])
            print_error(f'Defaulted container "{main[0]}" out of: {others}')
        return main[0]

    def status(self, container: str) -> objects.Object:
        """What the pod's status says of a container."""
        status = self.pod["status"]
        both = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return next((found for found in both if found["name"] == container), {"state": {}, "lastState": {}})

    def entering(self, container: str, command: Sequence[str]) -> list[str]:
        """The command, for the pod's host, that runs ``command`` in a container.

        :raises CommandError: nothing runs there.
        """
        if (phase := self.pod["status"]["phase"]) in ("Succeeded", "Failed"):
            raise CommandError(f"error: cannot exec into a container in a completed pod; current phase is {phase}")
        pid = self.live["containers"].get(container, {}).get("pid")
        if pid is None:
            raise CommandError(f'error: unable to upgrade connection: container not found ("{container}")')
        # Written with the container's own run script, so that it gets what the container got.
        return self.host.filtered([f"{SCAN_DIR}/{self.row['netns']}.{container}/enter", str(pid), *command])


def find(word: str, namespace: str, sources: Sequence[str]) -> Target:
    """The pod of ``POD``, ``pod/POD``, ``deploy/NAME`` or ``svc/NAME``: of several one that is ready, if there is one.

    :raises CommandError: there is no such thing, or it runs nowhere; in kubectl's words.
    """
    hosts = inventory.read(sources)
    must_be_on(hosts)
    nodes = {host.name: host for host in hosts if host.role == "node"}
    answers = ask([host for host in hosts if host.role == "node"])
    state = objects.cluster_state(answers, list(nodes))
    must_be_known(state, [word])
    name = pod_name(state, word, namespace)
    pod = next((pod for pod in state.pods if _named(pod) == (namespace, name)), None)
    if pod is None:
        raise CommandError(not_found("pods", name))
    where = pod["spec"].get("nodeName")
    for live in (answers.get(where) or {}).get("pods", []):
        if live["row"]["object"]["metadata"] == pod["metadata"]:
            return Target(nodes[where], live, pod, service_of(state, word, namespace))
    if where is None:
        raise CommandError(f"error: pod {name} does not have a host assigned")
    if where in state.silent:
        raise CommandError(f"error: pod {name} is on {where}, which does not answer")
    raise CommandError(f"error: pod {name} is not running on {where}")


def pod_name(state: objects.State, word: str, namespace: str) -> str:
    """The name of the pod that a word means. Pure.

    :raises CommandError: what the word names is not there, or has no pods.
    """
    resource, sign, name = word.rpartition("/")
    plural = columns.ALIASES.get(resource.lower()) if sign else "pods"
    if plural == "pods":
        return name
    if plural is None:
        raise CommandError(f'error: the server doesn\'t have a resource type "{resource}"')
    if plural != SERVICES_KIND and plural not in WORKLOADS:
        raise CommandError(f"error: cannot attach to {word}: it is neither a pod nor does it make any")
    if not any(_named(item) == (namespace, name) for item in LISTS[plural](state)):
        raise CommandError(not_found(columns.KINDS[plural].plural, name))
    service = service_of(state, word, namespace)
    pods = _selected(state, service) if service else workloads.pods_of(state, WORKLOADS[plural], namespace, name)
    if not pods:
        raise CommandError(f"error: there is no pod of {word} yet")
    chosen = min(pods, key=lambda pod: (not objects.is_ready(pod), pod["status"]["phase"] != "Running"))
    return str(chosen["metadata"]["name"])


def service_of(state: objects.State, word: str, namespace: str) -> objects.Object | None:
    """The Service that a word names, if it does."""
    resource, _, name = word.rpartition("/")
    if columns.ALIASES.get(resource.lower()) != SERVICES_KIND:
        return None
    return next((item for item in LISTS[SERVICES_KIND](state) if _named(item) == (namespace, name)), None)


def _selected(state: objects.State, service: objects.Object) -> list[objects.Object]:
    """The pods with a Service's labels, whether it sends them anything or not: as kubectl has it."""
    wanted, (namespace, name) = service["spec"].get("selector"), _named(service)
    if not wanted:
        raise CommandError(
            f"error: cannot attach to *v1.Service: invalid service '{name}': Service is defined without a selector"
        )
    return [
        pod
        for pod in state.pods
        if pod["metadata"]["namespace"] == namespace and wanted.items() <= pod["metadata"].get("labels", {}).items()
    ]


def _named(item: objects.Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]

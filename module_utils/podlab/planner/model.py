"""The words of the plan: what manifests become, and what can be wrong with them.

Everything here is a plain value. Nothing in the planner reads a file, asks the kernel or knows
Ansible; the linter enforces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ..configs import PodConfig
from ..records.host_record import FixedJob, JobByHand
from .claims.model import Claim, ClaimTemplate
from .manifests.model import CronJob, Ignored, Wait
from .manifests.names import file_name
from .scheduler.model import ANY_NODE, NodeAffinity, PodAffinityTerm, Selector, Spread, Toleration
from .services.model import Endpoints, Service, Slice


class Invalid(ValueError):
    """Every problem of a run at once, in the user's words.

    A ``ValueError`` on purpose: Ansible shows its text with file, line and column of the task.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        # The same mistake may be met on two ways; one line each is enough, in the order of finding.
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Document:
    """One YAML or JSON document (or one item of a ``List``) and where it was written."""

    body: Mapping[str, Any]
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class FieldRef:
    """A value that is known when the pod has a node and an address: ``metadata.name``, ``status.podIP``, ..."""

    path: str


Value = str | FieldRef


@dataclass(frozen=True)
class Port:
    """``host_port`` 0 is none; an empty ``host_ip`` is every address of the node."""

    number: int
    protocol: str = "TCP"
    name: str = ""
    host_port: int = 0
    host_ip: str = ""


@dataclass(frozen=True)
class Handler:
    """What a probe or a hook does; fields by ``kind``: ``exec``, ``http``, ``tcp``, ``grpc``, ``sleep``."""

    kind: str
    command: tuple[str, ...] = ()
    host: str = ""  # empty: the pod's own address
    port: int = 0
    path: str = "/"
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()
    service: str = ""
    seconds: int = 0
    lacks: str = ""  # the name of a port that its container has not


@dataclass(frozen=True)
class Probe:
    """Times are seconds. ``grace`` is the probe's own terminationGracePeriodSeconds."""

    handler: Handler
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    success: int = 1
    failure: int = 3
    grace: int | None = None


@dataclass(frozen=True)
class Security:
    """Who a container's process is. ``capabilities`` None is containerd's default set; ``user`` None is root."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] | None = None
    read_only_root: bool = False
    privileged: bool = False


@dataclass(frozen=True)
class StandIn:
    """What takes the place of a program of ``image`` where a node has no such. ``ends``: at once; it never listens."""

    image: str
    tcp: tuple[int, ...] = ()
    tls: tuple[int, ...] = ()  # of TCP as well
    udp: tuple[int, ...] = ()
    ends: bool = False


@dataclass(frozen=True)
class File:
    """A file of a configMap, secret, downwardAPI or projected volume."""

    content: bytes | FieldRef
    mode: int = 0o644


@dataclass(frozen=True)
class Volume:
    """``kind`` is ``emptyDir``, ``files``, ``hostPath`` or ``claim``; ``size`` bytes, of a Memory medium only."""

    kind: str
    medium: str = ""
    size: int | None = None
    files: Mapping[str, File] = field(default_factory=dict)  # path inside of the volume -> file
    path: str = ""
    type: str = ""
    claim: str = ""  # name of a PersistentVolumeClaim
    read_only: bool = False  # wherever it is mounted


@dataclass(frozen=True)
class Mount:
    """``sub_path`` may hold ``$(VAR)`` where ``expand`` says so (subPathExpr)."""

    volume: str
    path: str
    sub_path: str = ""
    expand: bool = False
    read_only: bool = False


@dataclass(frozen=True)
class Container:
    """One process of a pod: ``argv`` is command and arguments after the image's own were merged in.

    ``argv`` and ``env`` still hold what is known only when the pod has an address, as ``$(status.podIP)``:
    ``environment.resolved`` makes them whole.
    ``restart_policy`` is ``Always`` for a sidecar among the init containers and else empty: the pod's.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, Value] = field(default_factory=dict)
    working_dir: str = "/"
    path: str = ""  # the image's own programs, before the system's
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    binds: Mapping[str, str] = field(default_factory=dict)  # what the image brings: path in it -> on the host
    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None
    post_start: Handler | None = None
    pre_stop: Handler | None = None
    security: Security = Security()
    restart_policy: str = ""
    stand_in: StandIn | None = None  # None: its program is there, or has to be


@dataclass(frozen=True)
class Dns:
    """``policy`` and ``dnsConfig`` of a pod; ``options`` as resolv.conf has them (``ndots:2``)."""

    policy: str = "ClusterFirst"
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class PodTemplate:
    """What is the same for every replica."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    restart_policy: str = "Always"
    grace: int | None = None  # terminationGracePeriodSeconds as written
    deadline: int | None = None  # activeDeadlineSeconds
    # where it runs
    node_name: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    spread: tuple[Spread, ...] = ()
    node_affinity: NodeAffinity = ANY_NODE
    affinity: tuple[PodAffinityTerm, ...] = ()
    anti_affinity: tuple[PodAffinityTerm, ...] = ()
    # who it is
    hostname: str | None = None
    subdomain: str | None = None
    fqdn_as_hostname: bool = False
    host_aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()  # address, names
    dns: Dns = Dns()
    host_network: bool = False
    share_processes: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    fs_group: int | None = None
    service_account: str = "default"
    service_links: bool = True
    waits: tuple[Wait, ...] = ()  # none of its pods is started, though all else of them is sound
    spec: Mapping[str, Any] = field(default_factory=dict)  # as written, for ``get -o yaml``


@dataclass(frozen=True)
class Pod:
    """One pod that shall run somewhere: a bare ``Pod`` or one replica of a workload.

    ``pinned`` is the row of a pod that stays as it runs, though its workload's template is another by now.
    """

    namespace: str
    name: str
    template: PodTemplate
    where: str
    owner: str | None = None  # "Deployment/default/web": replicas of one owner are spread over nodes
    revision: str = ""  # another one under the same name is another pod
    controller: str = ""  # "ReplicaSet/web-5c9f", what ownerReferences names
    until: str = "Ready"  # what a run waits for: Ready, or Ended (a Job's pods that others wait for)
    pinned: PodConfig | None = None

    @cached_property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @cached_property
    def netns(self) -> str:
        """The name of its network namespace, and of its files."""
        return file_name(self.namespace, self.name)


@dataclass(frozen=True)
class Workload:
    """What makes pods out of a template. ``replicas`` of a Job are its completions; a DaemonSet has none.

    ``strategy``: ``RollingUpdate`` or ``Recreate`` (Deployment), ``OrderedReady`` or ``Parallel`` (StatefulSet),
    ``Indexed`` or ``NonIndexed`` (Job).
    """

    kind: str
    namespace: str
    name: str
    replicas: int
    template: PodTemplate
    template_hash: str
    where: str
    labels: Mapping[str, str] = field(default_factory=dict)
    selector: Selector = field(default_factory=Selector)
    strategy: str = ""
    max_surge: int = 1  # pods, percentages worked out
    max_unavailable: int = 0
    percent_of_nodes: int = 0  # of a DaemonSet: what the one of the two that is not 0 is, rounded up
    partition: int = 0
    first_ordinal: int = 0
    service_name: str = ""
    parallelism: int = 1
    backoff_limit: int = 6
    suspended: bool = False
    fixed_job: FixedJob | None = None
    deadline: int | None = None  # activeDeadlineSeconds of a Job
    ttl: int | None = None  # ttlSecondsAfterFinished
    min_ready: int = 0  # minReadySeconds
    claims: tuple[ClaimTemplate, ...] = ()  # volumeClaimTemplates

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Present(NamedTuple):
    """A pod as the run finds it. ``row`` is None where its node was not seen; ``node`` where it was placed."""

    key: str
    node: str
    row: PodConfig | None
    ready: bool
    phase: str  # Pending, Running, Succeeded, Failed, Unknown
    ready_for: float = float("inf")  # seconds
    age: float | None = None  # seconds since its node has begun with it, where anybody counts them
    ended_for: float | None = None  # seconds since the last of its containers has ended
    is_over: bool = False  # it was active for as long as it may be


@dataclass(frozen=True)
class Image:
    """A line of the catalogue: which program of the host an image name stands for.

    ``entrypoint`` and ``cmd`` are merged with a container's ``command`` and ``args`` as Kubernetes does.
    ``path`` is put before the container's ``PATH``. ``binds`` are files and directories beyond ``/usr`` that the
    program reads: path in the container -> path on the host. ``ports`` are those that the image listens on: where a
    host has no such program, or no host has, it is stood in for.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    path: str = ""
    binds: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Desired:
    """All that a manifest directory asks for."""

    pods: tuple[Pod, ...] = ()  # bare ones
    workloads: tuple[Workload, ...] = ()
    cron_jobs: tuple[CronJob, ...] = ()
    jobs_by_hand: Mapping[str, JobByHand] = field(default_factory=dict)  # of CronJobs: "default/web" -> the Job
    namespaces: tuple[str, ...] = ("default",)
    objects: Mapping[str, Any] = field(default_factory=dict)  # "ConfigMap/default/web" -> as written
    claims: Mapping[str, Claim] = field(default_factory=dict)  # by key
    services: tuple[Service, ...] = ()
    slices: tuple[Slice, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)  # of those and of slices: file and line
    ignored: tuple[str, ...] = ()  # field paths without meaning here, each once
    ignored_objects: tuple[Ignored, ...] = ()
    notes: tuple[str, ...] = ()  # what is taken otherwise than it is written

"""What hosts are told: the types that planner, changes and modules share. What they answer is in
``records/observation.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from .records.host_record import HostRecord, JobByHand


class Mount(TypedDict):
    """A volume of the pod, or what ``sub_path`` names in it, at ``path`` of the container."""

    volume: str
    path: str
    sub_path: str
    read_only: bool


class _PlainContainer(TypedDict):
    image: str
    argv: list[str]
    env: dict[str, str]
    working_dir: str


class ContainerConfig(_PlainContainer, total=False):
    """A plain container has the first four keys alone. Argument vector, environment and paths are fully expanded.

    Probes and hooks are the kubelet's; nothing here reads more of them than whether they are there.
    """

    services: dict[str, str]  # the variables of Services, as they were when the plan started it; those of ``env`` win
    restart_policy: str  # where it is not the pod's: OnFailure or Never of an init container, Always of a sidecar
    mounts: list[Mount]
    binds: dict[str, str]  # what the image brings, read-only: path in the container -> on the host
    user: int
    group: int
    groups: list[int]
    user_namespace: bool  # one of its own, in which ``user`` and ``group`` stand for root of the node
    capabilities: list[str]  # the whole set, without CAP_; containerd's default if left out
    read_only: bool
    privileged: bool  # the node's devices, and settings that may be written; ``capabilities`` has all of them
    readiness: dict[str, Any]
    liveness: dict[str, Any]
    startup: dict[str, Any]
    post_start: dict[str, Any]
    pre_stop: dict[str, Any]


class _PlainPod(TypedDict):
    netns: str
    address: str  # with prefix length
    gateway: str
    mac: str
    mtu: int
    bridge: str
    hostname: str
    restart_policy: str
    etc: dict[str, str]  # resolv.conf, hosts, hostname
    containers: dict[str, ContainerConfig]
    object: dict[str, Any]


class PodConfig(_PlainPod, total=False):
    """One pod on one node. ``object`` is the Kubernetes object for ``get``; nothing here reads it.

    The rest is there only where a pod differs from a plain one, so that rows stay small, and those that an older
    podlab applied stay equal.
    """

    revision: str  # another one under the same name is another pod
    init: list[str]  # names of the init containers, in their order; they are among ``containers``
    host_network: bool  # no network and no host name of its own; ``address`` is the node's, with /32
    host_pid: bool  # no PID namespace of its own
    host_ipc: bool  # no IPC namespace of its own
    share_processes: bool  # one PID namespace for all containers, with pause as its process 1
    sysctls: dict[str, str]  # set when the namespaces are made
    volumes: dict[str, dict[str, Any]]
    fs_group: int
    grace: int  # seconds; the manifest's terminationGracePeriodSeconds
    deadline: int  # seconds that it may be active
    inputs: str  # the digest of what the plan has made it of (``planner.configs.pod_inputs``)


class EndpointConfig(TypedDict):
    address: str
    port: int
    node: str
    """Where it runs; empty where it is not known."""
    ready: bool
    """As in the EndpointSlice's conditions; ``publishNotReadyAddresses`` has made it true already."""
    serving: bool
    terminating: bool
    zones: list[str]
    """``hints.forZones``."""


class ServicePortConfig(TypedDict):
    """One port of one Service. Headless ones, ExternalName and those that opted out are in no row."""

    service: str
    """``default/web``."""
    port_name: str
    """Empty where it has none."""
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    cluster_ip: str
    port: int
    node_port: int
    """0: none."""
    external_ips: list[str]
    load_balancer_ips: list[str]
    """Without those of ``ipMode: Proxy``."""
    source_ranges: list[str]
    """``loadBalancerSourceRanges`` of this family, normalised."""
    external_local: bool
    internal_local: bool
    affinity_seconds: int
    """0: none."""
    health_check_node_port: int
    """0: none."""
    endpoints: list[EndpointConfig]


class _Liberal(TypedDict, total=False):
    is_liberal: bool
    """There, and true, where the node's kernel is so (LIBERAL)."""


class ServicesConfig(_Liberal):
    """What a node is told about services. It writes the rules itself: they are several times as long."""

    node: str
    zone: str
    """Its label ``topology.kubernetes.io/zone``, or nothing."""
    addresses: list[str]
    """Its own, as far as the plan knows them; the first one is the node's IP."""
    cluster_cidr: str
    service_cidr: str
    masquerade_all: bool
    localhost_node_ports: bool
    node_port_addresses: list[str]
    """CIDRs; none: every address."""
    affinity_by_ipset: bool
    """Remember sticky clients in ipsets: xt_recent, which kube-proxy uses, forgets all but 100 of each endpoint."""
    reject_undefined_ports: bool
    """Refuse what goes to a service's address and to none of its ports: kube-proxy lets it be routed away."""
    ports: list[ServicePortConfig]
    """By (service, port_name, protocol)."""


class BridgeConfig(TypedDict):
    name: str
    address: str  # with prefix length
    mac: str
    mtu: int


class _Way(TypedDict):
    to: str
    via: str


class RouteConfig(_Way, total=False):
    """``dev``: the next hop is on that link, whatever the link's addresses say (``onlink``)."""

    dev: str | None


class PeerConfig(TypedDict):
    """Another node: its address in the overlay, the MAC there, and the address that carries both."""

    address: str
    mac: str
    node: str


class VxlanConfig(TypedDict):
    name: str
    id: int  # the VNI, 24 bits
    port: int  # UDP
    local: str
    link: str  # the link that bears the node's address
    address: str  # with prefix length
    mac: str
    mtu: int
    peers: list[PeerConfig]


class _Relay(TypedDict, total=False):
    relay: bool


class RoutesConfig(_Relay):
    """Every route inside ``within`` (None: only what bears its mark) is podlab's, but for those of ``foreign``, which
    were there before it, and those that the kernel makes for an address of a link. ``vxlan`` is the overlay's end on
    this host. ``relay``: the packets are others', as on a gateway."""

    within: str | None
    foreign: list[str]
    routes: list[RouteConfig]
    vxlan: VxlanConfig | None


class _Links(TypedDict, total=False):
    links: list[str]


class TableConfig(_Links):
    """``jumps``: built-in chain -> rules that lead into chains of ours, behind all that the host has there itself, but
    before what refuses everybody. ``links``: those that pods' packets pass, where that matters."""

    chains: dict[str, list[str]]
    jumps: dict[str, list[str]]


class SystemConfig(TypedDict):
    boot: bool
    links: list[str]  # podlab's own, as patterns of a shell


class _Assumed(TypedDict, total=False):
    assumed: dict[str, str]
    """Where the record of what they were before podlab is lost: what the settings are taken to have been."""


class NodeConfig(_Assumed):
    """What a host is told of itself."""

    modules: list[str]
    """Kernel modules that are not loaded yet."""
    runtime: bool
    """Whether it has pods, whose files lie in a directory of their own."""
    sysctls: dict[str, str]
    record: HostRecord
    """What it remembers; its ``sysctls`` are added where they are read."""


class _Pods(TypedDict):
    programs: dict[str, str]
    """podlab's own programs that containers run: file name -> text."""
    pods: list[PodConfig]


class PodsConfig(_Pods, total=False):
    drop_claims: list[str]
    """Directories of claims that there are no more."""


EgressConfig = dict[str, TableConfig]
"""By table of iptables."""


class _Ready(TypedDict):
    pods: dict[str, str]
    """Network namespace -> ``Ready`` or ``Ended``."""
    timeout: int


class ReadyConfig(_Ready, total=False):
    """What a run waits for on a node."""

    available: dict[str, int]
    """Network namespace -> for how many seconds it has to be ready, where it is more than none."""
    partial: bool
    """Whether to go on as soon as some are ready, as Services have to lead to these: others may wait for that."""


class PlayExtras(TypedDict, total=False):
    """What a host's plays need beside its configs."""

    routes_parts: list[str]
    ready: ReadyConfig
    draining: ServicesConfig
    """What a node is told of Services before pods come and go."""


class HostConfigs(TypedDict, total=False):
    """All that one host is told, by component. A gateway has no ``bridge``, ``pods`` and ``services``."""

    bridge: BridgeConfig
    pods: PodsConfig
    egress: EgressConfig
    node: NodeConfig
    routes: RoutesConfig
    services: ServicesConfig
    system: SystemConfig


class VerifyExtras(TypedDict, total=False):
    """Whom a host calls for verify: of pods, and of Services."""

    verify: Mapping[str, Any]
    verify_services: Mapping[str, Any]


class _Pending(TypedDict):
    pending: list[str]
    """Components that have anything to do there."""


class PlannedHost(HostConfigs, PlayExtras, VerifyExtras, _Pending):
    """All of a host that a plan says."""


class PendingPod(TypedDict):
    """A pod that a run does not start."""

    pod: str
    owner: str
    """Its workload as ``kind/name``; empty for a pod that has none."""
    node: str
    """Empty for a pod that fits none."""
    words: list[str]


class Plan(TypedDict):
    hosts: dict[str, PlannedHost]
    notes: list[str]
    """What the user should know."""
    unfinished: Sequence[str]
    """Workloads that need another step once these pods are ready, in words."""
    has_services: bool
    """Whether there are Services, which lead to pods that are ready."""
    pods_changed: bool
    """Whether this step does anything to pods, so that there is something to wait for."""
    verify: Mapping[str, Any]
    """What the probes have to find."""
    refused: Mapping[str, Sequence[str]]
    """Host -> why this run does not change it: its pods stay where they are, and those that only it may have wait."""
    pending_pods: list[PendingPod]
    jobs_by_hand: dict[str, JobByHand]
    """Jobs of CronJobs, which no manifest has."""

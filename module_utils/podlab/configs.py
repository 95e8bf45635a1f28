"""What hosts are told of their pods and Services: the types that planner, changes and modules share."""

from __future__ import annotations

from typing import Any, TypedDict


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


class ContainerRow(_PlainContainer, total=False):
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
    capabilities: list[str]  # the whole set, without CAP_; containerd's default if left out
    read_only: bool
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
    containers: dict[str, ContainerRow]
    object: dict[str, Any]


class PodRow(_PlainPod, total=False):
    """One pod on one node. ``object`` is the Kubernetes object for ``get``; nothing here reads it.

    The rest is there only where a pod differs from a plain one, so that rows stay small, and those that an older
    podlab applied stay equal.
    """

    revision: str  # another one under the same name is another pod
    init: list[str]  # names of the init containers, in their order; they are among ``containers``
    host_network: bool  # no network and no host name of its own; ``address`` is the node's, with /32
    share_processes: bool  # one PID namespace for all containers, with pause as its process 1
    sysctls: dict[str, str]  # set when the namespaces are made
    volumes: dict[str, dict[str, Any]]
    fs_group: int
    grace: int  # seconds; the manifest's terminationGracePeriodSeconds
    deadline: int  # seconds that it may be active


class EndpointRow(TypedDict):
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


class ServicePortRow(TypedDict):
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
    endpoints: list[EndpointRow]


class _Liberal(TypedDict, total=False):
    is_liberal: bool
    """There, and true, where the node's kernel is so (LIBERAL)."""


class ServicesRow(_Liberal):
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
    ports: list[ServicePortRow]
    """By (service, port_name, protocol)."""

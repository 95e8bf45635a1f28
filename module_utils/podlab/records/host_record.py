"""The record of a host (``record.json``), and in its sections what hosts keep of the cluster."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from ..shapes import CheckedAs, Rule
from .formats import Address, AnyAddress, ClusterIP, Count, Key, Network, ObjectKey, Strings, Sysctl, Time
from .object_meta import ObjectMeta
from .pod_object import PodObject


class Taint(TypedDict):
    key: str
    value: str
    effect: str


class NodeEntry(TypedDict, total=False):
    address: str
    labels: Strings
    taints: list[Taint]


class _Expression(TypedDict):
    key: str
    operator: str


class Expression(_Expression, total=False):
    values: list[str]


class WorkloadSelector(TypedDict, total=False):
    matchLabels: Strings
    matchExpressions: list[Expression]


class FixedJob(TypedDict):
    """What may not change of a Job. Its templates are hashes; ``unscheduled`` is that without what may change while the
    Job is suspended."""

    completions: int | None
    suspended: bool
    template: str
    unscheduled: str


class _Workload(TypedDict):
    kind: str
    namespace: str
    name: str
    replicas: int
    desired: int
    templateHash: str
    labels: Strings
    selector: WorkloadSelector
    containers: list[str]
    images: list[str]
    strategy: str
    serviceName: str
    parallelism: int
    nodeSelector: Strings


class _Requests(TypedDict, total=False):
    requests: dict[str, str | int | float] | None


class ClaimSpec(TypedDict, total=False):
    accessModes: list[str] | None
    resources: _Requests | None
    storageClassName: str | None
    volumeAttributesClassName: str | None
    volumeMode: str | None


class WorkloadEntry(_Workload, total=False):
    job: FixedJob
    minReadySeconds: int
    activeDeadlineSeconds: int
    ttlSecondsAfterFinished: int
    backoffLimit: int
    volumeClaimTemplates: dict[str, ClaimSpec]  # by name


Workload = Annotated[
    WorkloadEntry, Rule(lambda one: len(one["containers"]) == len(one["images"]), "of one image a container")
]


class ObjectBody(TypedDict, total=False):
    """A ConfigMap or Secret as it was written."""

    metadata: ObjectMeta | None
    data: dict[str, Any] | None
    stringData: Strings | None
    binaryData: Strings | None
    immutable: bool | None
    type: str | None


PortNumber = Annotated[int, Rule(lambda number: 0 < number < 65536, "a port")]


class _Port(TypedDict):
    port: PortNumber


class ServicePort(_Port, total=False):
    name: str | None
    protocol: str | None


class ServiceSpec(TypedDict, total=False):
    ports: list[ServicePort] | None
    selector: Strings | None


class ServiceBody(TypedDict, total=False):
    metadata: ObjectMeta | None
    spec: ServiceSpec | None


class Ingress(TypedDict, total=False):
    ip: Address
    ipMode: str
    hostname: str


class _Created(TypedDict):
    created: Time


class _Service(_Created):
    body: ServiceBody


class ServiceEntry(_Service, total=False):
    clusterIP: ClusterIP
    nodePorts: list[int]
    healthCheckNodePort: int
    ingress: list[Ingress]


class _Addressed(TypedDict):
    address: AnyAddress


class SliceEndpoint(_Addressed, total=False):
    node: str
    target: str
    hostname: str
    zone: str
    zones: list[str]
    ready: bool
    serving: bool
    terminating: bool


class SlicePort(_Port, total=False):
    name: str
    protocol: str
    appProtocol: str


class _Slice(_Created):
    service: str


class MadeSlice(_Slice):
    manager: str
    ports: list[SlicePort]
    endpoints: list[SliceEndpoint]


class WrittenSlice(_Slice):
    """One that a manifest has."""

    body: dict[str, Any]


SliceEntry = MadeSlice | WrittenSlice


class EndpointsEntry(_Created):
    body: dict[str, Any]


class Wait(TypedDict):
    """``planner.model.Wait``, as an event and a container's state tell of it."""

    reason: str
    message: str
    container: str


class PendingPod(TypedDict):
    """A pod that no host has been told of."""

    object: Annotated[dict[str, Any], CheckedAs(PodObject)]
    waits: list[Wait]


class CronJobEntry(TypedDict):
    schedule: str
    timeZone: str
    suspend: bool


class JobByHand(TypedDict):
    """A Job of a CronJob's that no manifest has."""

    cronJob: Key
    body: dict[str, Any]


class Section(TypedDict, total=False):
    """What a run writes as a whole. Of two of the same name the one with the higher ``generation`` was written last."""

    generation: Count
    signature: str  # of all the rest, by the controller that has written it


class NetworkRecord(Section, total=False):
    """What every host is told."""

    cidr: Network
    podCIDRs: dict[str, Network]
    foreign: dict[str, list[Network]]  # of the hosts that have any


class _Claim(TypedDict):
    spec: ClaimSpec


class ClaimEntry(_Claim, total=False):
    owner: str  # key of the StatefulSet whose template it is of
    retained: bool  # it stays without its manifest or its owner


PlacedPod = Annotated[list[str | None], CheckedAs(tuple[Address | None, Time | None])]
"""Its address, and when it was made."""


class PodsRecord(Section, total=False):
    """The pods of one node. The node has it, and a few others."""

    pods: dict[Key, PlacedPod]
    claims: list[Key]


class ClusterRecord(Section, total=False):
    """What is about no single node. A few hosts have it."""

    nodes: dict[str, NodeEntry]
    namespaces: list[str]
    workloads: list[Workload]
    objects: dict[ObjectKey, ObjectBody]
    services: dict[Key, ServiceEntry]
    slices: dict[Key, SliceEntry]
    endpoints: dict[Key, EndpointsEntry]
    created: dict[str, Time]
    waiting: list[Key]
    pending: dict[Key, PendingPod]
    claims: dict[Key, ClaimEntry]
    cronJobs: dict[Key, CronJobEntry]
    jobsByHand: dict[Key, JobByHand]
    finished: dict[str, str]  # Jobs that were taken away: the workload's key -> what it was
    # of version 1, of which every host had all there is
    cidr: Network
    podCIDRs: dict[str, Network]
    pods: dict[Key, tuple[str, Address | None]]
    foreign: dict[str, list[Network]]


class HostRecord(TypedDict, total=False):
    version: int
    node: str
    foreign: list[Network]  # routes inside the cluster CIDR that were there before podlab
    cursor: Address | None  # the address of a pod that was given last
    sysctls: dict[Sysctl, str]  # what they were before podlab
    network: NetworkRecord
    cluster: ClusterRecord
    pods: dict[str, PodsRecord]  # by node


PACKED = ("services", "slices", "endpoints")
"""Parts of a ClusterRecord that hosts keep packed (``controller.transport``): to whoever has not opened them a word."""

"""What podlab reads back from a host: the one place that knows its shapes, and says what does not fit.

A person, a full disk or another podlab may have written any of it. What is damaged is left aside, field by field, and
told; the rest and what the kernel tells go on. What a newer podlab has written is never guessed at.

A part that is added to a record is one line in its type here. It may be missing in every record that is older.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Interface, IPv4Network, ip_address
from math import isfinite
from socket import inet_aton, inet_ntoa
from typing import Annotated, Any, TypedDict

from .changes.netfilter.firewalls import BaseChain
from .changes.network.vxlan import Tunnel
from .changes.system.systemd import System as ObservedSystem
from .configs import PodRow as _PodRow
from .shapes import Rule, misfit, salvaged

VERSION = 2
"""Of all that a host keeps (``record.json`` and the rows of pods beside it). It goes up when a podlab that does not
know of a change would read it wrongly; a record without it is of version 1."""

DEFAULTS = "Kernel settings from before podlab are not known any more: ./lab down will give them the kernel's defaults"

HOME = "/var/lib/podlab"
RECORD = f"{HOME}/record.json"
PODS = "/run/podlab/pods"

# --- words that are more than a string -------------------------------------------------------------------


def _is_address(text: str) -> bool:
    try:
        return inet_ntoa(inet_aton(text)) == text
    except (OSError, ValueError):
        return False


_LENGTHS = frozenset(map(str, range(33)))


def _is_made_by(kind: Callable[[str], object]) -> Any:
    def holds(text: str) -> bool:
        try:
            kind(text)
            return True
        except ValueError:
            return False

    return holds


def _is_interface(text: str) -> bool:
    """As ``IPv4Interface`` reads it, which takes ten times as long: each pod has two of them."""
    address, _, length = text.partition("/")
    return (_is_address(address) and length in _LENGTHS) or _is_written_otherwise(text)


_is_written_otherwise: Callable[[str], bool] = _is_made_by(IPv4Interface)


def _matches(pattern: str) -> Any:
    fits = re.compile(pattern).fullmatch
    return lambda text: fits(text) is not None


_is_like_a_time: Callable[[str], bool] = _matches("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_is_date_and_time = _is_made_by(datetime.fromisoformat)


def is_time(text: str) -> bool:
    """RFC 3339 in UTC, as Kubernetes writes it, of a day that there is."""
    return _is_like_a_time(text) and bool(_is_date_and_time(text[:-1]))


Address = Annotated[str, Rule(_is_address, "an IPv4 address")]
AnyAddress = Annotated[str, Rule(_is_made_by(ip_address), "an IP address")]
Interface = Annotated[str, Rule(_is_interface, "an IPv4 address with prefix length")]
Network = Annotated[str, Rule(_is_made_by(IPv4Network), "an IPv4 network")]
Name = Annotated[str, Rule(_matches("[A-Za-z0-9][A-Za-z0-9._-]*"), "a name")]
Key = Annotated[str, Rule(_matches("[^/]+/[^/]+"), "namespace/name")]
ObjectKey = Annotated[str, Rule(_matches("[^/]+/[^/]+/[^/]+"), "Kind/namespace/name")]
Time = Annotated[str, Rule(is_time, "a time")]
Count = Annotated[int, Rule(lambda number: number >= 0, "greater than or equal to 0")]
Moment = Annotated[float, Rule(lambda seconds: 0 <= seconds < 2**37, "seconds since 1970")]
Seconds = Annotated[float, Rule(isfinite, "a number of seconds")]
Sysctl = Annotated[str, Rule(_matches(r"net\.[A-Za-z0-9_./-]+(?<!\.\.)"), "a kernel setting of the network")]
ClusterIP = Annotated[str, Rule(lambda text: text in ("", "None") or _is_address(text), "an IPv4 address or None")]
Strings = dict[str, str]

# --- the record of a host --------------------------------------------------------------------------------


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
    """What may not change of a Job (``planner.model.FixedJob``)."""

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


class WorkloadEntry(_Workload, total=False):
    job: FixedJob
    minReadySeconds: int
    activeDeadlineSeconds: int
    ttlSecondsAfterFinished: int
    backoffLimit: int


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


class Section(TypedDict, total=False):
    """What a run writes as a whole. Of two of the same name the one with the higher ``generation`` was written last."""

    generation: Count
    signature: str  # of all the rest, by the controller that has written it


class NetworkRecord(Section, total=False):
    """What every host is told."""

    cidr: Network
    podCIDRs: dict[str, Network]
    foreign: dict[str, list[Network]]  # of the hosts that have any


class PodsRecord(Section, total=False):
    """The pods of one node: address, and when it was made. The node has it, and a few others."""

    pods: dict[Key, tuple[Address | None, Time | None]]


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

# --- the row of a pod, and how its containers fare -------------------------------------------------------


class OwnerReference(TypedDict):
    kind: str
    name: str


class ObjectMeta(TypedDict, total=False):
    labels: Strings | None
    annotations: Strings | None
    creationTimestamp: Time
    ownerReferences: list[OwnerReference] | None


class _Named(TypedDict):
    name: Name
    namespace: Name


class PodMeta(_Named, ObjectMeta):
    pass


class ContainerPort(TypedDict):
    containerPort: int


class PodPort(ContainerPort, total=False):
    name: str | None
    protocol: str | None
    hostPort: int | None
    hostIP: str | None


class _NamedContainer(TypedDict):
    name: str


class PodContainer(_NamedContainer, total=False):
    image: str
    args: list[str] | None
    ports: list[PodPort] | None
    restartPolicy: str | None


class PodSpec(TypedDict, total=False):
    nodeName: str
    nodeSelector: Strings | None
    restartPolicy: str
    hostname: str | None
    subdomain: str | None
    hostNetwork: bool | None
    containers: list[PodContainer]
    initContainers: list[PodContainer]


class PodObject(TypedDict):
    metadata: PodMeta
    spec: PodSpec


def _has_its_parts(volume: dict[str, Any]) -> bool:
    """Its kind tells what else a volume has (``planner.volumes``)."""
    needed: dict[str, dict[str, type]] = {
        "files": {"files": dict},
        "hostPath": {"path": str, "type": str},
        "emptyDir": {"medium": str},
    }
    parts = needed.get(str(volume.get("kind")))
    return parts is not None and all(isinstance(volume.get(name), kind) for name, kind in parts.items())


Volume = Annotated[dict[str, Any], Rule(_has_its_parts, "a volume of kind files, hostPath or emptyDir")]


class PodRow(_PodRow, total=False):
    """What tells more of a field than the type that its writers have."""

    netns: Name  # type: ignore[misc]
    address: Interface  # type: ignore[misc]
    object: PodObject  # type: ignore[misc]
    volumes: dict[str, Volume]


class Ended(TypedDict):
    exit: int
    signal: int
    started: Moment
    ended: Moment


class ProbeHealth(TypedDict):
    ok: bool | None
    message: str


class Health(TypedDict, total=False):
    pid: int
    started: bool
    ready: bool
    startup: ProbeHealth | None
    readiness: ProbeHealth | None
    liveness: ProbeHealth | None
    post_start: ProbeHealth | None
    ready_at: Moment


class Failed(TypedDict):
    """Why the kubelet has ended a pod for good."""

    reason: str
    message: str


class Facts(TypedDict):
    """What ``host.status.container`` tells. Much of it comes from files: ``sound_facts`` leaves aside what does not
    fit."""

    pid: int | None
    started: Moment | None
    restarts: Count
    last: Ended | None
    backoff: Count
    health: Health | None
    down: bool
    failed: Failed | None
    seen: Moment


_NO_FACTS: dict[str, Any] = {
    **{"pid": None, "started": None, "restarts": 0, "last": None, "backoff": 0, "health": None},
    **{"down": False, "failed": None, "seen": 0.0},
}


class _Event(TypedDict):
    time: Moment
    type: str
    reason: str
    message: str


class Event(_Event, total=False):
    """One line of a pod's ``events``."""

    first: Moment
    count: int


# --- what a host tells of itself -------------------------------------------------------------------------


class _Tunnelled(TypedDict, total=False):
    amiss: list[str]
    port: list[str]
    bridge: list[str]
    queues: list[str]
    vxlan: dict[str, Any]
    neighbours: list[str]
    forwarding: list[str]


class Link(_Tunnelled):
    """``changes.bridge.Link``, as it always comes."""

    kind: str | None
    alias: str
    mac: str
    mtu: int
    up: bool
    master: str | None
    hairpin: bool
    addresses: list[Interface]


class _Metric(TypedDict, total=False):
    metric: int
    table: str
    more: str


class Route(_Metric):
    """``changes.routes.Route``, as it always comes."""

    to: Network
    via: Address | None
    dev: str | None
    protocol: str


class AnswerPod(TypedDict):
    row: Any  # a record
    started: Moment | None
    containers: dict[str, dict[str, Any]]  # container -> Facts, as far as they fit


class System(TypedDict):
    os: str
    kernel: str
    machine: str
    runtime: str


class _Answer(TypedDict):
    record: Any
    system: System
    pods: list[AnswerPod]


class Answer(_Answer, total=False):
    """What ``host.status`` tells."""

    rebooted: bool


class _ObservedPod(TypedDict):
    sandbox: bool
    row: Any  # a record: it is read by itself, so that one that is damaged stands for itself alone
    services: list[str]
    facts: dict[str, dict[str, Any]]  # container -> Facts, as far as they fit
    eth0: Link | None
    lo_up: bool
    routes: list[str]


class ObservedPod(_ObservedPod, total=False):
    initialized: bool
    lost: list[str]
    incomplete: list[str]
    unlogged: list[str]
    age: Seconds | None
    kubelet: bool
    connected: list[str]
    neighbours: list[str]


class Tables(TypedDict):
    filter: dict[str, list[str]]
    nat: dict[str, list[str]]


class Features(TypedDict):
    loadable: list[str]
    missing: list[str]
    may_load: bool


class Ids(TypedDict):
    uid: list[tuple[int, int]]
    gid: list[tuple[int, int]]


class _ObservedServices(TypedDict):
    row: str
    sound: bool


class ObservedServices(_ObservedServices, total=False):
    others: list[str]
    warnings: list[str]


class ObservedLease(TypedDict):
    """``host.lease.Lease``, with the seconds since it was renewed."""

    run: str
    who: str
    machine: str
    process: int
    began: str
    renewed: float
    age: float


class _Observation(TypedDict):
    record: Any  # read by itself, too
    links: dict[str, Link]
    routes: list[Route]
    tunnels: dict[str, Tunnel]
    rules: Tables
    sysctls: Strings
    pods: dict[str, ObservedPod]
    programs: Strings
    missing: Strings
    kernel: Features
    ids: Ids
    resolv_conf: str


class Observation(_Observation, total=False):
    """What ``host.observe`` tells."""

    services: ObservedServices
    system: ObservedSystem
    namespaces: list[str]
    policy_rules: list[str]
    forward_drops: bool
    firewalls: list[BaseChain]
    flows: list[list[str]]
    machine: str
    modes: dict[str, int]
    kubernetes: str
    lease: ObservedLease | None
    runtime: bool


# --- reading ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A host's record, as far as it can be used. None: there is none. What is wrong with it is said in ``damage``,
    or in ``newer`` where nothing of it was read."""

    record: dict[str, Any] | None
    damage: list[str] = field(default_factory=list)
    newer: str = ""


Known = dict[Any, Any]
"""What was found out of something that hosts share, by its id: they need not be looked at one by one."""


def read(value: object, known: Known | None = None) -> Reading:
    """:param value: what stands in ``record.json``: JSON, or text that is none. None where there is no such file.
    :param known: where packed parts have been opened: what was found of other hosts' records.
    """
    if value is None:
        return Reading(None)
    if not isinstance(value, dict):
        return Reading({"version": VERSION}, [_damaged(["it is no JSON object"], lost=True)])
    version = value.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        words = f"the record ({RECORD}) is of a newer podlab (version {version}; this one knows {VERSION}); "
        return Reading(None, newer=words + "use that one, or take the cluster away with it first")
    found, wrong = salvaged(value, HostRecord, ("network", "cluster", "pods"))
    problems = list(wrong.values())
    for place, holder, name, kind in _sections_of(found):
        holder[name], inner = _read_section(holder[name], kind, known)
        problems += [f"{place}{words}" for words in inner]
        if holder[name] is None:
            del holder[name]
    damage = [_damaged(problems, lost="sysctls" in wrong)] if problems else []
    return Reading({**found, "version": version_of(value)}, damage)


def _sections_of(record: dict[str, Any]) -> list[tuple[str, dict[str, Any], str, Any]]:
    """Where sections are in a record, which is a copy: the path, what has it by which name, and its type."""
    found = [(name, record, name, kind) for name, kind in _SECTIONS.items() if name in record]
    if isinstance(record.get("pods"), dict):
        record["pods"] = dict(record["pods"])
        found += [(f"pods.{node}", record["pods"], node, PodsRecord) for node in record["pods"]]
    elif "pods" in record:
        found.append(("pods", record, "pods", PodsRecord))
    return found


_SECTIONS: dict[str, Any] = {"network": NetworkRecord, "cluster": ClusterRecord}


def _read_section(value: object, kind: Any, known: Known | None) -> tuple[dict[str, Any] | None, list[str]]:
    """As much of it as fits, and what does not."""
    if not isinstance(value, dict):
        return None, [": must be of type object"]
    if known is not None and id(value) in known:
        found: tuple[dict[str, Any], list[str]] = known[id(value)]
        return found
    kept, inner = salvaged(value, kind, PACKED)
    for name in PACKED:
        words = _misfit_of_part(name, value[name], known) if name in value else ""
        if words:
            del kept[name]
            inner[name] = words
    if known is not None:
        known[id(value)] = kept, [f".{words}" for words in inner.values()]
    return kept, [f".{words}" for words in inner.values()]


def version_of(record: Mapping[str, Any]) -> int:
    """One that does not say so is of version 1, unless it has what that had not."""
    version = record.get("version")
    return version if isinstance(version, int) else VERSION if "network" in record else 1


def converted(record: dict[str, Any] | None, known: Known) -> dict[str, Any] | None:
    """A record of version 1 with what it tells of the cluster in the sections of today."""
    if not record or version_of(record) > 1 or "cluster" not in record:
        return record
    told = record["cluster"]
    if ("converted", id(told)) not in known:
        known["converted", id(told)] = _of_version_1(told)
    return {**record, **known["converted", id(told)]}


def _of_version_1(told: Mapping[str, Any]) -> dict[str, Any]:
    generation = {"generation": told["generation"]} if "generation" in told else {}
    created = told.get("created", {})
    placed = told.get("pods", {})
    nodes = {*told.get("podCIDRs", {}), *(node for node, _ in placed.values())}
    pods: dict[str, Any] = {node: {"pods": {}, **generation} for node in sorted(nodes)}
    for key, (node, address) in placed.items():
        pods[node]["pods"][key] = [address, created.get(f"pod/{key}")]
    network = {name: told[name] for name in ("cidr", "podCIDRs", "foreign") if name in told}
    rest = {name: one for name, one in told.items() if name not in ("cidr", "podCIDRs", "foreign", "pods", "signature")}
    rest["created"] = {key: time for key, time in created.items() if key.removeprefix("pod/") not in placed}
    return {"network": {**network, **generation}, "cluster": rest, "pods": pods}


def _misfit_of_part(name: str, part: object, known: Known | None) -> str:
    if known is None and isinstance(part, str):
        return ""
    known = {} if known is None else known
    if id(part) not in known:
        known[id(part)] = misfit({name: part}, ClusterRecord)
    return str(known[id(part)])


def misfit_of_part(name: str, part: object) -> str:
    """What is wrong with a part that was packed, once it is opened."""
    return _misfit_of_part(name, part, {})


def _damaged(problems: list[str], *, lost: bool) -> str:
    words = f"the record ({RECORD}) is damaged: {'; '.join(problems)}; "
    words += "that is left aside, and what the kernel and the other hosts tell goes on"
    if lost:
        words += f". {DEFAULTS}"
    return words


def pod_path(netns: str) -> str:
    return f"{PODS}/{netns}/pod.json"


def misfit_of_row(row: object, netns: str) -> str:
    """What is wrong with a pod's row, as words; empty for a sound one."""
    words = misfit(row, PodRow)
    if not words and isinstance(row, dict):
        unknown = [name for name in row.get("init", []) if name not in row["containers"]]
        if row["netns"] != netns:
            words = "netns: is that of another pod"
        elif unknown:
            words = f"init: there is no container {unknown[0]}"
    return words


def row_damage(row: object, netns: str) -> str:
    """A sentence about a pod's row that does not fit. Nothing for one that does, or that is not there."""
    words = misfit_of_row(row, netns) if row is not None else ""
    return (
        f"the record of pod {netns} ({pod_path(netns)}) is damaged: {words}; its containers start anew" if words else ""
    )


def sound_facts(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Facts of a container, with what is told where nothing is known in place of what does not fit; and for each of
    these what is wrong."""
    kept, wrong = salvaged(facts, Facts)
    return {**_NO_FACTS, **kept}, wrong


def _sound_facts_of(pod: Mapping[str, Any], netns: str) -> tuple[dict[str, Any], list[str]]:
    """The same of all containers of a pod, with a sentence about each that has something wrong."""
    found, notes = {}, []
    for name, facts in pod.items():
        found[name], wrong = sound_facts(facts)
        if wrong:
            whose = f"what is kept of container {name} of pod {netns}"
            notes.append(f"{whose} cannot be read in part: {'; '.join(wrong.values())}; that is left aside")
    return found, notes


def sound_observation(seen: Any, known: Known) -> tuple[Any, list[str], list[str]]:
    """What a host has told, with the records in it read: what is damaged of them left aside.

    :param known: as for ``read``.
    :return: that (None if it is of no use), notes, problems.
    """
    if words := misfit(seen, Observation):
        return None, [], [f"what the host tells of itself cannot be read: {words}"]
    found = read(seen["record"], known)
    notes, pods = list(found.damage), dict(seen["pods"])
    for netns, pod in pods.items():
        words = row_damage(pod["row"], netns)
        facts, told = _sound_facts_of(pod["facts"], netns)
        notes += [words] * bool(words) + told
        pods[netns] = {**pod, "row": None if words else pod["row"], "facts": facts}
    record = converted(found.record, known)
    return {**seen, "record": record, "pods": pods}, notes, [found.newer] if found.newer else []


def sound_answer(answer: Any) -> tuple[Any, list[str]]:
    """The same of what ``host.status`` tells, to look at: a pod whose row is of no use is left out."""
    if words := misfit(answer, Answer):
        return None, [f"what the host tells of itself cannot be read: {words}"]
    found = read(answer["record"])
    notes, pods = [*found.damage, *filter(None, [found.newer])], []
    for pod in answer["pods"]:
        netns = str(pod["row"].get("netns")) if isinstance(pod["row"], dict) else "?"
        words = misfit_of_row(pod["row"], netns)
        if not words and "containers" not in pod["row"]["object"]["spec"]:
            words = "object.spec.containers: is missing"
        if words:
            notes.append(f"the record of a pod ({pod_path(netns)}) is damaged: {words}")
        else:
            facts, told = _sound_facts_of(pod["containers"], netns)
            notes += told
            pods.append({**pod, "containers": facts})
    return {**answer, "record": found.record, "pods": pods}, notes

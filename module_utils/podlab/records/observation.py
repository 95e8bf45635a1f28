"""What a host tells of itself: to a run (``Observation``), and to those who look (``Answer``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from ..configs import PodConfig
from ..fitting import fits
from ..shapes import CheckedAs, misfit
from . import pod_path, pod_row
from .formats import Address, Interface, Moment, Network, Seconds, Strings
from .host_record import HostRecord
from .pod_row import Facts, misfit_of_row, misnomer, row_damage, sound_facts_of
from .reading import Known, read
from .version_1 import converted


class VxlanDevice(TypedDict):
    """What the kernel lets no device change."""

    id: int | None
    port: int | None
    local: str | None
    link: str | None
    learning: bool | None


class _Mending(TypedDict, total=False):
    """What is there only where it has something to say."""

    amiss: list[str]  # words for ``ip link set`` (``link_state``); of a port of a bridge and of a bridge:
    port: list[str]
    bridge: list[str]
    queues: list[str]  # of links of ours: lines for ``tc -batch``
    vxlan: Annotated[VxlanDevice, CheckedAs(dict[str, Any])]  # of a vxlan device
    neighbours: list[str]  # of a bridge: addresses that somebody gave a permanent ARP entry
    forwarding: list[str]  # of a bridge: FDB entries that somebody wrote, in the words of bridge(8)


class Link(_Mending):
    """A link of the host as ``ip -d addr show`` tells it."""

    kind: str | None
    alias: str
    mac: str
    mtu: int
    up: bool
    master: str | None
    hairpin: bool
    addresses: list[Interface]  # IPv4


class _Metric(TypedDict, total=False):
    metric: int
    table: str  # another one than main: local, by its number
    more: str  # what a plain route has not: another kind (blackhole ...), an MTU, several next hops


class Route(_Metric):
    """A route of the main table, or one that somebody wrote into the local one, as ``ip route show`` tells it;
    ``default`` is 0.0.0.0/0."""

    to: Network
    via: Address | None
    dev: str | None
    protocol: str


class Tunnel(TypedDict):
    """What hangs on an overlay's device: permanent ARP entries (address -> MAC), and (MAC, node, whether it is
    permanent).

    A node has the words after its address that make an entry another one (``10.100.0.3 port 4789``).
    """

    neighbours: dict[str, str]
    forwarding: list[tuple[str, str, bool]]
    settings: dict[str, str]  # of ``changes.network.vxlan.SETTINGS``, as they are


Test = tuple[str, bool, list[str]]
"""``(saddr, True, [10.0.0.0/8])``: what of a packet is looked at, whether it must be another one, and the values.

``saddr``, ``daddr``, ``iif``, ``oif``, ``state`` and ``port`` are what they say. ``all`` are packets of IPv4,
``elsewhere`` those of other families. A ``set`` has a name, and members that are not read; the rest is ``unknown``."""


class ForeignRule(TypedDict):
    does: str  # accept, drop, reject, masquerade, snat, return or jump
    only: list[Test]  # what a packet has to be for it
    depth: int  # of the jumps that lead to it; the rules behind a jump are those of the chain that it leads into


class BaseChain(TypedDict):
    tool: str  # nft, iptables or iptables-legacy: what shows and changes it
    family: str
    table: str
    chain: str
    hook: str
    policy: str  # accept or drop
    rules: list[ForeignRule]


class ObservedSystem(TypedDict, total=False):
    """``daemons``: those of ``changes.system.systemd.DAEMONS`` that are installed; systemd counts where it is
    process 1."""

    daemons: list[str]
    files: dict[str, str]  # those of FILES that are there
    enabled: bool
    code: str  # a digest of what lies at CODE
    kept: list[str]  # components of which a boot knows what they were told last
    keeps: bool  # whether there is a place for it
    python: str


Record = Annotated[HostRecord | None, CheckedAs(Any)]
"""Read by itself (``reading``): as a host tells it, it may be anything."""

AppliedRow = Annotated[PodConfig | None, CheckedAs(Any)]
"""Read by itself as well, so that one that is damaged stands for itself alone."""

FactsByContainer = dict[str, Annotated[Facts, CheckedAs(dict[str, Any])]]
"""As far as they fit."""


class AnswerPod(TypedDict):
    row: AppliedRow
    started: Moment | None
    containers: FactsByContainer


class System(TypedDict):
    os: str
    kernel: str
    machine: str
    runtime: str


class _Answer(TypedDict):
    record: Record
    system: System
    pods: list[AnswerPod]


class Answer(_Answer, total=False):
    """What ``host.status`` tells."""

    rebooted: bool


class _Inside(TypedDict):
    eth0: Link | None
    lo_up: bool
    routes: list[str]  # "default via 10.1.1.1", as far as the kernel did not make them


class PodInside(_Inside, total=False):
    """What a pod's network namespace holds; nothing where there is none to enter."""

    connected: list[str]  # networks on eth0, as far as the kernel made the routes
    neighbours: list[str]  # addresses that somebody gave a permanent ARP entry on eth0


class _ObservedPod(PodInside):
    sandbox: bool  # pause lives, in the namespaces that bear the pod's name
    row: AppliedRow
    services: list[str]  # containers under supervision
    facts: FactsByContainer


class ObservedPod(_ObservedPod, total=False):
    initialized: bool  # one of the containers that come after the init containers was started once
    lost: list[str]  # volumes that it was given and that are not there any more
    unlogged: list[str]  # containers whose log directory is gone: what they say is written nowhere
    incomplete: list[str]  # containers whose s6 directory lacks a file, as where an earlier podlab has started them
    kubelet: bool  # the host's kubelet is there; the same for all of its pods
    age: Seconds | None  # since the kubelet has begun with it; it counts them where there is a deadline


class _Tables(TypedDict):
    filter: dict[str, list[str]]
    nat: dict[str, list[str]]


Tables = Annotated[dict[str, dict[str, list[str]]], CheckedAs(_Tables)]
"""Both of them: table -> chain -> its rules as ``iptables-save`` prints them, without the leading ``-A CHAIN``."""


class Features(TypedDict):
    loadable: list[str]  # modules that the kernel has on disk only
    missing: list[str]  # what it cannot do, as sentences
    may_load: bool


class Ids(TypedDict):
    uid: list[tuple[int, int]]
    gid: list[tuple[int, int]]


class _ObservedServices(TypedDict):
    row: str  # the digest of what was applied last
    sound: bool  # whether all of that is still there


class ObservedServices(_ObservedServices, total=False):
    others: list[str]
    """Chains that bear kube-proxy's names on a node without a record of services. On a gateway they are in nobody's
    way."""
    warnings: list[str]  # sentences


class Run(TypedDict):
    """A run that writes on hosts: who has begun it, where, and by which process."""

    run: str
    who: str
    machine: str
    process: int
    began: str


class Lease(Run):
    """Which run was the last to write (``host.lease``)."""

    renewed: float


class ObservedLease(Lease):
    age: float  # seconds since it was renewed


class _Observation(TypedDict):
    record: Record
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
    claims: list[str]  # directories


# --- reading ---------------------------------------------------------------------------------------------


class _WholePod(ObservedPod):
    row: pod_row.PodConfig  # type: ignore[misc]
    facts: dict[str, Facts]


class _Whole(Observation):
    """Of which nothing has to be left aside and nothing is missing, as of most: one question then, and no copy of
    anything; to read it pod by pod takes twice the time."""

    pods: dict[str, _WholePod]  # type: ignore[misc]


def sound_observation(seen: Any, known: Known) -> tuple[Observation | None, list[str], list[str]]:
    """What a host has told, with the records in it read: what is damaged of them left aside.

    :param known: as for ``read``.
    :return: that (None if it is of no use), notes, problems.
    """
    is_whole = fits(_Whole)(seen)
    if not is_whole and (words := misfit(seen, Observation)):
        return None, [], [f"what the host tells of itself cannot be read: {words}"]
    found = read(seen["record"], known)
    notes, pods = list(found.damage), seen["pods"]
    if not is_whole or any(misnomer(pod["row"], netns) for netns, pod in pods.items()):
        pods, told = _sound_pods(pods)
        notes += told
    record = converted(found.record, known)
    sound: Observation = seen | {"record": record, "pods": pods}
    return sound, notes, [found.newer] if found.newer else []


def _sound_pods(pods: Mapping[str, ObservedPod]) -> tuple[dict[str, ObservedPod], list[str]]:
    """What is not damaged of them, and notes of the rest."""
    sound, notes = dict[str, ObservedPod](), list[str]()
    for netns, pod in pods.items():
        words = row_damage(pod["row"], netns)
        facts, told = sound_facts_of(pod["facts"], netns)
        notes += [words] * bool(words) + told
        sound[netns] = {**pod, "row": None if words else pod["row"], "facts": facts}
    return sound, notes


def sound_answer(answer: Any) -> tuple[Answer | None, list[str]]:
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
            facts, told = sound_facts_of(pod["containers"], netns)
            notes += told
            pods.append({**pod, "containers": facts})
    sound: Answer = answer | {"record": found.record, "pods": pods}
    return sound, notes

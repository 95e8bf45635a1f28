"""What a host tells of itself: to a run (``Observation``), and to those who look (``Answer``)."""

from __future__ import annotations

from typing import Any, TypedDict

from ..changes.netfilter.firewalls import BaseChain
from ..changes.network.vxlan import Tunnel
from ..changes.system.systemd import System as ObservedSystem
from ..fitting import fits
from ..shapes import misfit
from . import pod_path
from .formats import Address, Interface, Moment, Network, Seconds, Strings
from .pod_row import misfit_of_row, row_damage, sound_facts_of
from .reading import Known, read
from .version_1 import converted


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


def sound_observation(seen: Any, known: Known) -> tuple[Any, list[str], list[str]]:
    """What a host has told, with the records in it read: what is damaged of them left aside.

    :param known: as for ``read``.
    :return: that (None if it is of no use), notes, problems.
    """
    if not fits(Observation)(seen) and (words := misfit(seen, Observation)):
        return None, [], [f"what the host tells of itself cannot be read: {words}"]
    found = read(seen["record"], known)
    notes, pods = list(found.damage), dict(seen["pods"])
    for netns, pod in pods.items():
        words = row_damage(pod["row"], netns)
        facts, told = sound_facts_of(pod["facts"], netns)
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
            facts, told = sound_facts_of(pod["containers"], netns)
            notes += told
            pods.append({**pod, "containers": facts})
    return {**answer, "record": found.record, "pods": pods}, notes

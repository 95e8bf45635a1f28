"""Many Services on one node: from the plan to the kernel, beside kube-proxy's figures and iptables-restore alone."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import chain
from typing import Any

from podlab.controller import transport

from . import iptables
from .bench_run import BenchRun
from .figures import Limit, Row, at_most
from .labs import ROOT, BenchLab, address, changed, deployment, lab, own_endpoints, service
from .memory import Watch
from .node import NODE
from .processes import Failed, NotHere, run

WHAT = "10,000 services on a node, with each kind of iptables: first, unchanged, one changed; memory"

SERVICES, PODS, APP = 10_000, 3, "sleeper"
MOST = {"legacy": 5, "nft": 8}  # seconds from plan to kernel
RECORDED = {"legacy": 3.7, "nft": 187.0}  # kube-proxy 1.30.5's first sync of as many, on 2 cores with iptables 1.8.9
COUNTED = ("plan", "pack", "module")
NOFLUSH, WHOLE = "iptables-restore --noflush", "iptables-restore"
SHARED = "RSS, so what forks share counts for each of them"
KUBE_PROXY = (
    "kube-proxy cannot be run here: it is what 1.30.5 took for its first sync, without a plan, on another day "
    "(2 cores, Linux 6.18, iptables 1.8.9)"
)


@dataclass
class Found:
    """What the rounds with one kind have found, by what it is: seconds, MiB."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, str] = field(default_factory=dict)  # of the last round; or why a peer is not here


def rows(course: BenchRun, count: int = SERVICES) -> Iterator[Row]:
    """:param count: of Services. The limits and kube-proxy's figures are for 10,000."""
    for kind in iptables.KINDS:
        found = Found()
        try:
            for number in course.rounds(f"{count:,} services, iptables-{kind}"):
                _sync(found, kind, count, is_first=number == 0)
                _site(found, kind, count)
        except NotHere as error:
            found = Found(notes={"": str(error)})
        yield from _rows(found, f"{count:,} services, {kind}", kind)


# --- measuring ------------------------------------------------------------------------------------------


def _objects(count: int, port: int = 80) -> list[dict[str, Any]]:
    """:param port: of the one in the middle."""
    ports = {count // 2: port}
    return [deployment(APP, PODS), *(service(_name(number), APP, ports.get(number, 80)) for number in range(count))]


def _with_endpoints_of_their_own(count: int) -> list[dict[str, Any]]:
    """As on a cluster: no two services share any. The addresses are for benchmarks (RFC 2544)."""
    first = int(IPv4Address("198.18.0.0"))
    ends = [[str(IPv4Address(first + number * PODS + end)) for end in range(PODS)] for number in range(count)]
    return [*_objects(0), *chain.from_iterable(own_endpoints(_name(number), *each) for number, each in enumerate(ends))]


def _name(number: int) -> str:
    return f"service-{number:05}"


@contextlib.contextmanager
def _lit(kind: str) -> Iterator[BenchLab]:
    """A node and a gateway, bare but for the choice of iptables."""
    with lab("services") as made:
        made.has_nodes(1)
        made.play(ROOT / "playbooks" / "power_on.yml")
        iptables.use(made, NODE, kind)
        yield made


def _sync(found: Found, kind: str, count: int, *, is_first: bool) -> None:
    """The services of pods that stand, on a node that never had any; then the same rules by iptables-restore."""
    with _lit(kind) as made:
        planned = _from_plan_to_kernel(found, made, "sync", _objects(count))
        rules, size, told = planned["text"].count("\n-A "), len(planned["text"]) / 1e6, len(planned["row"]) / 1e6
        found.notes["sync"] += f"; {rules:,} rules of {size:.1f} MB, of which the node is told in {told:.2f} MB"
        peers = {WHOLE: [], NOFLUSH: ["--noflush"]}
        if kind == "nft" and not is_first:
            del peers[NOFLUSH]  # which takes as long as all the rest
        for peer, options in peers.items():
            try:
                found.samples[peer].append(iptables.restore(made, NODE, kind, planned["text"], *options))
            except NotHere as error:
                found.notes[peer] = str(error)
    with _lit(kind) as made:
        _from_plan_to_kernel(found, made, "own", _with_endpoints_of_their_own(count))


def _from_plan_to_kernel(found: Found, made: BenchLab, key: str, objects: list[dict[str, Any]]) -> Any:
    """What was planned; the pods are there before."""
    made.wants(*_objects(0))
    made.site_with("--skip-tags", "services")
    made.wants(*objects)
    planned = _planned(made)
    started = time.perf_counter()
    with Watch() as watch:
        answer = made.module(NODE, "podlab_services", {"config": planned["row"]})
    seconds = {**planned["phases"], "module": time.perf_counter() - started}
    seen = transport.decode(made.module(NODE, "podlab_observe", {"role": "node"})["observation"])
    if not (answer.get("changed") and seen["services"]["sound"]):
        raise Failed(f"the rules are not what they shall be: {answer.get('msg', 'nothing was said')}")
    found.samples[key].append(sum(seconds[phase] for phase in COUNTED))
    found.samples["module"] += [seconds["module"]] if key == "sync" else []
    found.samples["there"].append(watch.there)
    words = ", ".join(f"{phase} {seconds[phase]:.2f} s" for phase in COUNTED)
    found.notes[key] = f"{words}; not in it: {seconds['read']:.2f} s to read the manifests"
    return planned


def _planned(made: BenchLab) -> Any:
    """In a process of its own, which has no plan in its memory yet."""
    answers = {
        name: {"role": role, "address": address(name), **made.module(name, "podlab_observe", {"role": role})}
        for name, role in ((NODE, "node"), ("gateway", "gateway"))
    }
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'module_utils'}:{ROOT}"}
    argv = [sys.executable, "-m", "bench.service_planning", str(made.manifests), NODE]
    return json.loads(run(argv, json.dumps(answers), environment, ROOT).out)


def _site(found: Found, kind: str, count: int) -> None:
    """Whole runs of site.yml: from bare hosts, again, and with one Service changed."""
    with _lit(kind) as made:
        made.wants(*_objects(count))
        with Watch() as watch:
            found.samples["nothing"].append(made.site()[0])
            seconds, changes = made.site()
        if changes:
            raise Failed(f"the same run again has changed {changes} things")
        found.samples["again"].append(seconds)
        made.wants(*_objects(count, port=81))
        found.samples["one"].append(_one_changed(made, f"default/{_name(count // 2)}", watch))
        found.samples["here"].append(watch.here)
        found.samples["there"].append(watch.there)


def _one_changed(made: BenchLab, name: str, watch: Watch) -> float:
    """Seconds of the run. What the module says that it types shall be of this service alone, and the kernel shall go on
    counting all others."""
    places = iptables.portals(made.on(NODE, "iptables-save", "-t", "nat").out)
    for place in (min(places), max(places)):
        # Nothing listens there, but the rules count the call.
        made.on(NODE, "sh", "-c", f"timeout 2 bash -c ': </dev/tcp/{places[place]}/80' 2>/dev/null || true")
    before = iptables.counters(made.on(NODE, "iptables-save", "-c").out)
    own = iptables.own_chains(before, name)
    with watch:
        done = made.site_with("--diff")
    after = iptables.counters(made.on(NODE, "iptables-save", "-c").out)
    typed = iptables.typed(done.out)
    strange = [*iptables.of_others(typed, own), *iptables.touched(before, after, own)]
    if strange:
        raise Failed(f"{name} was changed, and {len(strange)} rules of others were written, such as: {strange[0]}")
    if not (own and typed and changed(done.out) and f'"{name} cluster IP" -m tcp --dport 81' in "\n".join(after)):
        raise Failed(f"{name} was to be changed, and was not")
    return done.seconds


# --- what was found -------------------------------------------------------------------------------------


def _rows(found: Found, what: str, kind: str) -> Iterator[Row]:
    def row(words: str, key: str, limit: Limit | None = None, unit: str = "s", note: str = "", **peer: Any) -> Row:
        note = found.notes.get("") or found.notes.get(peer.get("peer", "")) or note
        return Row(f"{what}: {words}", unit, tuple(found.samples[key]), limit, note=note, **peer)

    recorded: dict[str, Any] = {"peer": "kube-proxy, recorded", "peer_samples": (RECORDED[kind],)}
    for key, words in (("sync", "from plan to kernel"), ("own", "the same, no endpoint shared")):
        note = found.notes.get(key, "") + (f". {KUBE_PROXY}" if key == "sync" else "")
        yield row(words, key, at_most(MOST[kind], "s"), note=note, **recorded)
    for peer in (NOFLUSH, WHOLE):
        yield row("the module", "module", peer=peer, peer_samples=tuple(found.samples[peer]))
    yield row("site.yml from bare hosts", "nothing")
    yield row("the same run again, changed=0", "again", at_most(3, "s"))
    yield row("one of them changed", "one", at_most(3, "s"), note="nothing but its own chains was written")
    yield row("peak of ansible-playbook", "here", at_most(1024, "MiB"), "MiB", note=f"with its children; {SHARED}")
    yield row("peak of a module on the node", "there", at_most(500, "MiB"), "MiB", note="with its iptables-restore")

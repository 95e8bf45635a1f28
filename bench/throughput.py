"""What a packet between pods pays for being podlab's: the same topology made by hand beside it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from podlab.planner.inputs.cluster import cluster_of
from podlab.planner.model import Invalid

from . import by_hand, processes
from .bench_run import BenchRun
from .figures import Limit, Row, as_much_as_peer
from .labs import BenchLab, lab, pod
from .node import INSIDE

WHAT = "pod to pod on one node and across nodes in each of the ways, beside veths, bridges and routes made by hand"

PORT, SECONDS, TOLERANCE = 7000, 0.5, 0.03
ROUNDS = 5  # for each repeat: one sample is short, so that both of a pair meet the same machine
HOSTS = ("gateway", "node1", "node2")
PODS = {"a": "node1", "b": "node1", "c": "node2"}  # b and c serve, a calls
# The second has podlab's iptables rules as well, and with them connection tracking: what a rule costs the kernel.
PEERS = ("by hand", "by hand, with rules")
WAYS = ("gateway", "host-gw", "vxlan")
QUESTIONS = {"stream": ("TCP", "Gbit/s", True), "ask": ("one byte there and back", "us", False)}


@dataclass(frozen=True)
class Side:
    """A lab with pods in it, podlab's or made by hand. Pod -> its namespace, its address."""

    lab: BenchLab
    names: Mapping[str, str]
    addresses: Mapping[str, str]

    def inside(self, pod: str, *words: str) -> list[str]:
        """What to run here so that ``wire.py``, from standard input, runs in a pod's namespace."""
        there = ["nsenter", f"--net=/run/netns/{self.names[pod]}", "/usr/bin/python3", "-IS", "-", *words]
        return self.lab.entering(PODS[pod], *there)

    def measure(self, question: str, target: str) -> float:
        words = (question, self.addresses[target], str(PORT), str(SECONDS))
        return float(processes.run(self.inside("a", *words), _program()).out)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for target in ("b", "c"):
                stack.enter_context(_server(self.inside(target, "serve", str(PORT))))
            yield


def rows(course: BenchRun) -> Iterator[Row]:
    for way in WAYS:
        try:
            cluster_of({"podlab_pod_routing": way})
        except Invalid:
            yield Row(f"across nodes, {way}", "Gbit/s", limit=_limit("stream"), peer=PEERS[0], note="not here yet")
        else:
            yield from _way(course, way)


def _way(course: BenchRun, way: str) -> Iterator[Row]:
    targets = {"c": f"across nodes, {way}"} if way != WAYS[0] else {"b": "on one node", "c": f"across nodes, {way}"}
    found: dict[tuple[str, str], list[list[float]]] = {key: [] for key in product(targets, QUESTIONS)}
    course.say(f"three labs, {way}")
    with contextlib.ExitStack() as stack:
        ours = _ours(stack.enter_context(lab("podlab")), way)
        plain = _plain(stack.enter_context(lab("plain")), way)
        ruled = _plain(stack.enter_context(lab("ruled")), way)
        for node in by_hand.SUBNET:
            rules = ours.lab.on(node, "iptables-save").out
            ruled.lab.on(node, "iptables-restore", text=rules)
        sides = (ours, plain, ruled)
        for side in sides:
            stack.enter_context(side.serving())
        for _ in course.rounds(f"{way}: {ROUNDS} times each"):
            for (target, question), turn in product(found, range(ROUNDS)):
                # One right after the other, and who is first takes turns: it has a colder machine.
                order = [(turn + number) % len(sides) for number in range(len(sides))]
                figures = {number: sides[number].measure(question, target) for number in order}
                found[target, question].append([figures[number] for number in range(len(sides))])
    for (target, question), samples in found.items():
        mine, *others = zip(*samples, strict=True)
        for peer, theirs in zip(PEERS, others, strict=True):
            yield _row(f"{targets[target]}: {QUESTIONS[question][0]}", question, mine, peer, theirs)


def _row(what: str, question: str, mine: Sequence[float], peer: str, theirs: Sequence[float]) -> Row:
    """The note tells how far the machine's own noise reaches: a verdict between these is a matter of luck."""
    ratios = sorted(a / b for a, b in zip(mine, theirs, strict=True))
    note = f"half of the ratios are between {ratios[len(ratios) // 4]:.2f} and {ratios[-1 - len(ratios) // 4]:.2f}"
    unit = QUESTIONS[question][1]
    return Row(what, unit, tuple(mine), _limit(question), peer, tuple(theirs), paired=True, note=note)


def _limit(question: str) -> Limit:
    return as_much_as_peer(TOLERANCE, more_is_better=QUESTIONS[question][2])


def _ours(made: BenchLab, way: str) -> Side:
    made.has_nodes(2, podlab_pod_routing=way)
    made.wants(*(pod(name, nodeName=host) for name, host in PODS.items()))
    made.site()
    rows = {name: made.pod(host, name) for name, host in PODS.items()}
    return Side(
        made,
        {name: row["netns"] for name, row in rows.items()},
        {name: row["address"].split("/")[0] for name, row in rows.items()},
    )


def _plain(made: BenchLab, way: str) -> Side:
    made.start(*HOSTS)
    for host, script in by_hand.scripts(way, PODS).items():
        made.on(host, "sh", "-e", text=script)
    return Side(made, {name: name for name in PODS}, by_hand.addresses(PODS))


@contextlib.contextmanager
def _server(argv: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(_program())
        process.stdin.close()
        if process.stdout.readline() != "ready\n":
            raise processes.Failed("the server in a pod did not start")
        yield
    finally:
        process.stdout.close()
        processes.end(process)


def _program() -> str:
    return (INSIDE / "wire.py").read_text("utf-8")

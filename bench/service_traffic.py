"""What a packet to a service pays for the way there: pod to service beside pod to pod, many services beside few."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import product

from . import iptables
from .bench_run import BenchRun
from .figures import Limit, Row, as_much_as_peer
from .labs import ROOT, lab, pod, service
from .processes import Failed, NotHere
from .throughput import PODS, PORT, QUESTIONS, ROUNDS, Side

WHAT = "pod to service beside pod to pod; first byte through the first and the last of 10,000 services, and of 10"

SERVICES, FEW, TOLERANCE = 10_000, 10, 0.05
ENDS = ("first", "last")
# Where to, by way of a service and without: places of ``Side.addresses``.
WAYS = {"on one node": ("near", "b"), "across nodes": ("far", "c")}


def rows(course: BenchRun, count: int = SERVICES) -> Iterator[Row]:
    for kind in iptables.KINDS:
        try:
            yield from _kind(course, kind, count)
        except NotHere as error:
            yield Row(f"pod to service, {kind}", "Gbit/s", limit=_limit("stream"), note=str(error))


def _kind(course: BenchRun, kind: str, count: int) -> Iterator[Row]:
    course.say(f"two labs, iptables-{kind}, with {FEW} and {count:,} services")
    wires: dict[tuple[str, str], list[list[float]]] = {key: [] for key in product(WAYS, QUESTIONS)}
    calls: dict[str, list[list[float]]] = {end: [] for end in ENDS}
    direct: list[float] = []
    with contextlib.ExitStack() as stack:
        few, many = (stack.enter_context(_standing(kind, number)) for number in (FEW, count))
        for number in course.rounds(f"iptables-{kind}: {ROUNDS} times each"):
            for turn in range(number, number + ROUNDS):
                for (way, question), samples in wires.items():
                    samples.append(_in_turn([(many, question, target) for target in WAYS[way]], turn))
                for end, samples in calls.items():
                    samples.append(_in_turn([(many, "first", end), (few, "first", end)], turn))
                direct.append(many.measure("first", "b"))
    for (way, question), samples in wires.items():
        words, unit, _ = QUESTIONS[question]
        what = f"service {way}, {kind}: {words}"
        yield _row(what, unit, samples, "pod to pod", _limit(question) if question == "stream" else None)
    without = Row("", "us", tuple(direct)).value
    for end, samples in calls.items():
        what = f"first byte through the {end} of {count:,}, {kind}"
        yield _row(what, "us", samples, f"the {end} of {FEW}", None, f"; without a service {without:.0f} us")


def _in_turn(asked: list[tuple[Side, str, str]], turn: int) -> list[float]:
    """One right after the other, and who is first takes turns: it has a colder machine."""
    order = [(turn + number) % len(asked) for number in range(len(asked))]
    figures = {number: asked[number][0].measure(*asked[number][1:]) for number in order}
    return [figures[number] for number in range(len(asked))]


def _row(what: str, unit: str, samples: list[list[float]], peer: str, limit: Limit | None, more: str = "") -> Row:
    mine, theirs = zip(*samples, strict=True)
    ratios = sorted(a / b for a, b in zip(mine, theirs, strict=True))
    note = (
        f"half of the ratios are between {ratios[len(ratios) // 4]:.2f} and {ratios[-1 - len(ratios) // 4]:.2f}{more}"
    )
    return Row(what, unit, mine, limit, peer, theirs, paired=True, note=note)


def _limit(question: str) -> Limit:
    return as_much_as_peer(TOLERANCE, more_is_better=QUESTIONS[question][2])


# --- labs -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _standing(kind: str, count: int) -> Iterator[Side]:
    """Two nodes with the pods of ``throughput`` and so many services. One leads to the other node, all others to the
    pod beside the caller."""
    behind = {_name(number): "c" if number == count // 2 else "b" for number in range(count)}
    with lab(f"traffic-{count}") as made:
        made.has_nodes(2)
        made.play(ROOT / "playbooks" / "power_on.yml")
        for node in set(PODS.values()):
            iptables.use(made, node, kind)
        pods = [pod(name, nodeName=node) for name, node in PODS.items()]
        made.wants(*pods, *(service(name, app, PORT) for name, app in behind.items()))
        made.site()
        applied = {name: made.pod(node, name) for name, node in PODS.items()}
        addresses = {name: row["address"].split("/")[0] for name, row in applied.items()}
        addresses |= places(iptables.portals(made.on(PODS["a"], "iptables-save", "-t", "nat").out), behind)
        side = Side(made, {name: row["netns"] for name, row in applied.items()}, addresses)
        with side.serving():
            yield side


def _name(number: int) -> str:
    return f"service-{number:05}"


def places(portals: Mapping[str, str], behind: Mapping[str, str]) -> dict[str, str]:
    """What the services are called here -> cluster IP. ``near`` is the last one, as if the way there mattered."""
    ours = {name.removeprefix("default/"): ip for name, ip in portals.items()}
    if set(ours) != set(behind):
        raise Failed(f"there are {len(ours)} services in the rules, and not {len(behind)}")
    near = [ours[name] for name in ours if behind[name] == "b"]
    (far,) = (ours[name] for name in ours if behind[name] == "c")
    return {"first": near[0], "last": near[-1], "near": near[-1], "far": far}

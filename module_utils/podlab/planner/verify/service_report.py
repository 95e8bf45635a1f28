"""What clients of Services met, held against what they had to meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .expectations import End
from .expected_paths import ANSWER, LATE, REFUSED, SILENCE, Probe
from .service_expectations import HAIRPIN_CERTAINTY

Tries = Mapping[int, Sequence[tuple[str, int]]]
"""Place among the asks -> of each try what the client heard, and the port that it called from.

What it hears is ``answer``, ``late answer``, ``refused``, ``silence``, or other words for an error.
"""


class Flow(NamedTuple):
    """A connection as a node tracks it: as it came, and as it went on: from ``seen`` to ``to``."""

    protocol: str
    source: str
    source_port: int
    address: str
    port: int
    seen: str
    seen_port: int
    to: str
    to_port: int


@dataclass
class Report:
    """``wrong`` has a line for each kind of mistake, ``notes`` for each endpoint at which no program answers though the
    way there is as planned; ``asked`` counts questions, ``calls`` all tries."""

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: int = 0
    calls: int = 0


@dataclass
class _CallsOfItself:
    """What a pod has heard of a Service that leads to itself, too. Where its own calls do not come back to it, TCP asks
    again, and is led to another endpoint: nothing is silent, and some answers are late."""

    who: str
    itself: str
    endpoints: int
    calls: int = 0
    late: int = 0
    has_met: bool = False

    def add(self, outcomes: Sequence[tuple[str, int]], reached: Sequence[str]) -> None:
        self.calls += len(outcomes)
        self.late += sum(outcome == LATE for outcome, _ in outcomes)
        self.has_met |= self.itself in reached

    def wrong(self) -> list[str]:
        """Late answers alone are a busy machine's, and so few calls may miss an endpoint by chance."""
        if self.has_met or not self.late or self.calls < HAIRPIN_CERTAINTY * self.endpoints:
            return []
        late = f"{self.late} of {self.calls} answers late, all by others"
        return [f"{self.who}: expected to meet itself ({self.itself}) as well, got {late}"]


Tracked = Mapping[str, Mapping[object, Flow]]
"""Node -> connection as it came -> the same as it went on."""

Listening = Mapping[str, Sequence[str]]
"""``10.1.1.2:80/tcp`` -> what listened there, at each look: ``listens``, ``full``, ``nothing``, ``only at ADDRESS``."""

NOWHERE = "and to none of them"
LISTENS, NOTHING, FULL = "listens", "nothing", "full"


def judge(
    asks: Sequence[Probe],
    ends: Iterable[End],
    tries: Tries,
    flows: Mapping[str, Iterable[Flow]],
    listening: Listening,
    endpoints: Mapping[str, Mapping[str, Any]],
    incomplete: Iterable[str] = (),
    absent: Set[str] = frozenset(),
    parted: bool = False,
) -> Report:
    """:param flows: node -> what it tracked. :param endpoints: those of ``service_expectations.service_matrix``.
    :param incomplete: nodes that have lost some of what they tracked.
    :param absent: hosts that take no part any more: what has to do with one of them is not judged.
    :param parted: the router between the hosts is one of them."""
    by_name = {end["name"]: end for end in ends}
    tracked: dict[str, dict[object, Flow]] = {node: {flow[:5]: flow for flow in found} for node, found in flows.items()}
    judging = _Judging(tracked, listening)
    for at, ask in enumerate(asks):
        end = by_name[ask["source"]]
        hosts = {end["host"], *ask["path"], *ask["homes"].values()}
        if absent.isdisjoint(hosts) and not (parted and len(hosts) > 1):
            judging.add(ask, end, tries.get(at, ()))
    return judging.report(incomplete, endpoints)


class _Judging:
    """What has been found so far, one ask after the other."""

    def __init__(self, tracked: Tracked, listening: Listening) -> None:
        self.tracked = tracked
        self.listening = listening
        self.found = Report()
        self.unanswered: dict[str, None] = {}
        self.met: dict[tuple[str, str, frozenset[str]], set[str]] = defaultdict(set)
        self.of_itself: dict[tuple[str, str], _CallsOfItself] = {}

    def add(self, ask: Probe, end: End, outcomes: Sequence[tuple[str, int]]) -> None:
        """:param outcomes: of each try what the client heard, and the port that it called from."""
        wrong = self.found.wrong
        self.found.asked += 1
        who = f"{end['kind']} {end['name']} -> {ask['service']} at {ask['address']}:{ask['port']}/{ask['protocol']}"
        if not outcomes:
            wrong.append(f"{who}: no answer from the host")
            return
        self.found.calls += len(outcomes)
        reached = []
        problems: dict[str, None] = {}
        for outcome, port in outcomes:
            called = Flow(ask["protocol"], ask["caller"], port, ask["address"], ask["port"], "", 0, "", 0)
            flow = _followed(called, ask, self.tracked)
            if flow:
                reached.append(f"{flow.to}:{flow.to_port}")
            problems |= dict.fromkeys(_problems(ask, outcome, flow, self.tracked, self.listening))
            if flow and outcome in (REFUSED, SILENCE) and _program(ask, outcome, flow, self.listening) != LISTENS:
                self.unanswered[f"{ask['service']} -> {flow.to}:{flow.to_port}/{ask['protocol']}"] = None
        wrong += [f"{who}: {words}" for words in problems]
        if ask["sticky"]:
            if len(set(reached)) > 1:
                wrong.append(f"{who}: expected one endpoint for one client, got {', '.join(sorted(set(reached)))}")
            return
        if ask["backends"]:
            self.met[ask["service"], ask["path"][-1], frozenset(ask["backends"])] |= set(reached)
        if itself := _itself(ask):
            own = _CallsOfItself(who, itself, len(ask["backends"]))
            self.of_itself.setdefault((ask["service"], ask["source"]), own).add(outcomes, reached)

    def report(self, incomplete: Iterable[str], endpoints: Mapping[str, Mapping[str, Any]]) -> Report:
        """All of it, with what only shows when every ask was looked at."""
        wrong = self.found.wrong
        for (service, node, backends), some in self.met.items():
            if missing := sorted(backends - some):
                wrong.append(f"{service} on {node}: nobody has met {', '.join(missing)}")
        wrong += [words for own in self.of_itself.values() for words in own.wrong()]
        if any(NOWHERE in words for words in wrong):
            wrong += [f"{node}: it has lost events, and may not know where some calls went" for node in incomplete]
        self.found.notes += [_note(words, self.listening, endpoints) for words in self.unanswered]
        return self.found


def summary(matrix: Mapping[str, Any], report: Report) -> list[str]:
    """What there is to say when nothing is wrong; nothing where there are no Services."""
    lines = [str(line) for line in matrix["unprobed"]] + report.notes
    if matrix["sampled"] < matrix["ports"]:
        lines.append(f"{matrix['sampled']} of {matrix['ports']} ports of Services, a sample")
    if report.asked:
        lines.append(
            f"{report.asked} of {report.asked} ways to Services are as planned, source addresses included; "
            f"{report.calls} calls met every endpoint\n"
        )
    return lines


def _followed(flow: Flow, ask: Probe, tracked: Tracked) -> Flow | None:
    """The last node's view of a call that several may have turned; None where none has led it on to an endpoint."""
    found = None
    key: object = flow[:5]
    for node in ask["path"]:
        here = tracked.get(node, {}).get(key)
        if here is not None:
            found = here
            key = (here.protocol, here.seen, here.seen_port, here.to, here.to_port)
    return found if found and (found.to, found.to_port) != (ask["address"], ask["port"]) else None


def _itself(ask: Probe) -> str:
    """Which endpoint the client is, where the node that it is on leads it there without another one's help."""
    own = (to for to in ask["backends"] if to.rpartition(":")[0] == ask["caller"])
    return next((to for to in own if ask["path"] == [ask["homes"][to]]), "")


def _problems(ask: Probe, outcome: str, flow: Flow | None, tracked: Tracked, listening: Listening) -> list[str]:
    """What is wrong with one call."""
    if ask["outcome"] != ANSWER:
        if flow:
            return [f"expected {ask['outcome']}, got to {flow.to}:{flow.to_port}"]
        return [] if outcome == ask["outcome"] else [f"expected {ask['outcome']}, got {outcome}"]
    if flow is None:
        return [f"expected one of {', '.join(ask['backends'])}, got {outcome} {NOWHERE}"]
    to = f"{flow.to}:{flow.to_port}"
    if to not in ask["backends"]:
        return [f"expected one of {', '.join(ask['backends'])}, got to {to}"]
    wanted = ask["backends"][to]
    if wanted and flow.seen != wanted:
        return [f"{to}: expected source {wanted}, got source {flow.seen}"]
    return _problems_at_endpoint(ask, outcome, flow, tracked, listening)


def _problems_at_endpoint(ask: Probe, outcome: str, flow: Flow, tracked: Tracked, listening: Listening) -> list[str]:
    """What is wrong with a call that was led where it should be. Where no program takes it, that is no fault of the
    network, if only it got there: what refuses or drops it on the way is one."""
    to = f"{flow.to}:{flow.to_port}"
    # A client of UDP hears the same from nobody and from a program that has nothing to say.
    may_be_silent = to in ask["no_reply"] or ask["protocol"] == "udp"
    if outcome in (ANSWER, LATE):
        return []
    if (outcome == SILENCE and may_be_silent) or _program(ask, outcome, flow, listening) != LISTENS:
        home = ask["homes"][to]
        if _has_come(flow, home, ask, tracked):
            return []
        return [f"{to}: expected an answer, got {outcome}, and {home} has not seen the call"]
    return [f"{to}: expected an answer, got {outcome}" + (", though a program listens" if outcome == REFUSED else "")]


def _has_come(flow: Flow, home: str, ask: Probe, tracked: Tracked) -> bool:
    """Whether the endpoint's node has seen a call, too, where that one is another and can be asked."""
    key = (flow.protocol, flow.seen, flow.seen_port, flow.to, flow.to_port)
    return home == ask["path"][-1] or home not in tracked or key in tracked[home]


def _program(ask: Probe, outcome: str, flow: Flow, listening: Listening) -> str:
    """What was there of an endpoint's program when it was called. What is not known listens, or nothing were red.

    One that has begun to listen between two looks, or has ended, may have refused. A queue that is full for a moment
    loses no call: only one that is so in the end. Where nothing listens TCP is refused: silence is somebody else's.
    """
    to = f"{flow.to}:{flow.to_port}"
    looks = listening.get(f"{to}/{ask['protocol']}", ())
    if outcome == REFUSED or (outcome == SILENCE and (ask["protocol"] == "udp" or to in ask["no_reply"])):
        for look in looks:
            if look not in (LISTENS, FULL):
                return look
    return FULL if outcome == SILENCE and looks and looks[-1] == FULL else LISTENS


def _note(words: str, listening: Listening, endpoints: Mapping[str, Mapping[str, Any]]) -> str:
    """:param words: Service and endpoint."""
    service, _, to = words.partition(" -> ")
    place = endpoints.get(to)
    where = f"{service} -> pod {place['pod']} ({to}" + f" on {place['host']})" if place else words
    looks = listening[to]
    said = next((look for look in looks if look not in (LISTENS, FULL)), FULL)
    if said == FULL:
        return f"{where}: a program listens there, and does not accept its connections"
    if looks[-1] == LISTENS:
        return f"{where}: nothing listened there yet; the way there is as planned"
    if said == NOTHING:
        return f"{where}: nothing listens there; the way there is as planned"
    return f"{where}: nothing listens there, but {said}; the way there is as planned"

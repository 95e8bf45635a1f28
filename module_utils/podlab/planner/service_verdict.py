"""What clients of Services met, held against what they had to meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .expectations import End
from .service_expectations import ANSWER, Ask

Tries = Mapping[int, Sequence[tuple[str, int]]]
"""Place among the asks -> of each try what the client heard, and the port that it called from.

What it hears is ``answer``, ``refused``, ``silence``, or other words for an error.
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
    """``wrong`` has a line for each kind of mistake; ``asked`` counts questions, ``calls`` all tries."""

    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    calls: int = 0


def judge(asks: Sequence[Ask], ends: Iterable[End], tries: Tries, flows: Mapping[str, Iterable[Flow]]) -> Report:
    """:param flows: node -> what it tracked."""
    by_name = {end["name"]: end for end in ends}
    tracked: dict[str, dict[object, Flow]] = {node: {flow[:5]: flow for flow in found} for node, found in flows.items()}
    report = Report()
    met: dict[tuple[str, str, frozenset[str]], set[str]] = defaultdict(set)
    for at, ask in enumerate(asks):
        report.asked += 1
        end = by_name[ask["source"]]
        who = f"{end['kind']} {end['name']} -> {ask['service']} at {ask['address']}:{ask['port']}/{ask['protocol']}"
        heard = tries.get(at, ())
        if not heard:
            report.wrong.append(f"{who}: no answer from the host")
            continue
        report.calls += len(heard)
        reached = []
        problems: dict[str, None] = {}
        for outcome, port in heard:
            called = Flow(ask["protocol"], ask["caller"], port, ask["address"], ask["port"], "", 0, "", 0)
            flow = _followed(called, ask, tracked)
            if flow:
                reached.append(f"{flow.to}:{flow.to_port}")
            problems |= dict.fromkeys(_problems(ask, outcome, flow))
        report.wrong += [f"{who}: {words}" for words in problems]
        if ask["sticky"] and len(set(reached)) > 1:
            report.wrong.append(f"{who}: expected one endpoint for one client, got {', '.join(sorted(set(reached)))}")
        if not ask["sticky"] and ask["backends"]:
            met[ask["service"], ask["path"][-1], frozenset(ask["backends"])] |= set(reached)
    for (service, node, backends), some in met.items():
        if missing := sorted(backends - some):
            report.wrong.append(f"{service} on {node}: nobody has met {', '.join(missing)}")
    return report


def summary(matrix: Mapping[str, Any], report: Report) -> list[str]:
    """What there is to say when nothing is wrong; nothing where there are no Services."""
    lines = [str(line) for line in matrix["unprobed"]]
    if matrix["sampled"] < matrix["ports"]:
        lines.append(f"{matrix['sampled']} of {matrix['ports']} ports of Services, a sample")
    if report.asked:
        lines.append(
            f"{report.asked} of {report.asked} ways to Services are as planned, source addresses included; "
            f"{report.calls} calls met every endpoint\n"
        )
    return lines


def _followed(flow: Flow, ask: Ask, tracked: Mapping[str, Mapping[object, Flow]]) -> Flow | None:
    """The last node's view of a call that several may have turned; None where none has led it on to an endpoint."""
    found = None
    key: object = flow[:5]
    for node in ask["path"]:
        here = tracked.get(node, {}).get(key)
        if here is not None:
            found = here
            key = (here.protocol, here.seen, here.seen_port, here.to, here.to_port)
    return found if found and (found.to, found.to_port) != (ask["address"], ask["port"]) else None


def _problems(ask: Ask, heard: str, flow: Flow | None) -> list[str]:
    """What is wrong with one call."""
    if ask["outcome"] != ANSWER:
        if flow:
            return [f"expected {ask['outcome']}, got to {flow.to}:{flow.to_port}"]
        # A client of UDP hears the same from nobody and from somebody who has nothing to say.
        return [] if heard == ask["outcome"] else [f"expected {ask['outcome']}, got {heard}"]
    if flow is None:
        return [f"expected one of {', '.join(ask['backends'])}, got {heard} and to none of them"]
    to = f"{flow.to}:{flow.to_port}"
    if to not in ask["backends"]:
        return [f"expected one of {', '.join(ask['backends'])}, got to {to}"]
    wanted = ask["backends"][to]
    if wanted and flow.seen != wanted:
        return [f"{to}: expected source {wanted}, got source {flow.seen}"]
    if to not in ask["mute"] and ask["protocol"] == "tcp" and heard not in (ANSWER, "refused"):
        # It may refuse: verify does not ask what is served there.
        return [f"{to}: expected an answer, got {heard}"]
    return []

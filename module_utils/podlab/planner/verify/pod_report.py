"""Answers held against expectations, and the picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

NO_ANSWER = {"error": "no answer from the host"}

Answers = Mapping[str, Mapping[str, Mapping[str, str]]]


def without(matrix: Mapping[str, Any], absent: Set[str], *, parted: bool = False) -> dict[str, Any]:
    """The same without expectations of hosts that take no part any more, of whom nothing is known. ``unjudged`` has
    these cells.

    :param parted: the router between the hosts is one of them.
    """
    home = {end["name"]: end["host"] for end in matrix["ends"]}
    unjudged = {
        (source, target)
        for source, row in matrix["expect"].items()
        for target in row
        if not absent.isdisjoint({home[source], home[target]}) or (parted and home[source] != home[target])
    }
    expect = {
        source: {target: seen for target, seen in row.items() if (source, target) not in unjudged}
        for source, row in matrix["expect"].items()
    }
    return {**matrix, "expect": expect, "unjudged": unjudged}


def differences(matrix: Mapping[str, Any], answers: Answers, deaf: Mapping[str, str] | None = None) -> list[str]:
    """One line for each cell that is not as planned: both ends, what was expected and what was got.

    :param deaf: ends at which nobody can listen, and why: one line for all who call there.
    """
    ends = {end["name"]: end for end in matrix["ends"]}
    deaf = {name: why for name, why in (deaf or {}).items() if any(name in row for row in matrix["expect"].values())}
    lines = [
        f"{_end(ends[name])}: port {matrix['port']} is in use there ({why}), so calls to it prove nothing: end what "
        "listens there, or set another podlab_verify_port"
        for name, why in deaf.items()
    ]
    for source, row in matrix["expect"].items():
        for target, expected in row.items():
            answer = answers.get(source, {}).get(target, NO_ANSWER)
            if target not in deaf and answer.get("seen") != expected:
                got = f"source {answer['seen']}" if "seen" in answer else answer["error"]
                cause = _cause(matrix, ends[source], ends[target], answer)
                way = f"{_end(ends[source])} -> {_end(ends[target])}"
                lines.append(f"{way}: expected source {expected}, got {got}{cause}")
    return lines


def causes(matrix: Mapping[str, Any]) -> list[str]:
    """Firewalls of others that may be to blame where anything is wrong, with what to do about them."""
    return [f"{'likely' if one['sure'] else 'possible'} cause: {one['words']}" for one in matrix.get("firewalls", [])]


def _cause(
    matrix: Mapping[str, Any], source: Mapping[str, Any], target: Mapping[str, Any], answer: Mapping[str, Any]
) -> str:
    """The firewalls on the way that do what has happened; a host that is no end is a gateway."""
    if answer == NO_ANSWER:
        return ""
    here, ends = {source["host"], target["host"]}, {end["host"] for end in matrix["ends"]}
    named = [
        f"{_likely(one)} by {one['name']}"
        for one in matrix.get("firewalls", [])
        if one["stops"] == ("seen" not in answer)
        and (one["host"] in here or (one["host"] not in ends and len(here) > 1))
    ]
    return f" ({'; '.join(named)})" if named else ""


def _likely(finding: Mapping[str, Any]) -> str:
    return "likely" if finding["sure"] else "possibly"


def table(matrix: Mapping[str, Any], answers: Answers) -> str:
    """The matrix as text: a row for who asks, a numbered column for who is asked."""
    ends = matrix["ends"]
    number = {end["name"]: index for index, end in enumerate(ends, 1)}
    width = len(str(len(ends))) + 1
    names = [f"{number[end['name']]:>{width}} {end['name']}" for end in ends]
    column = max(map(len, names), default=0)
    address = max((len(end["address"]) for end in ends), default=0)
    host = max((len(end["host"]) for end in ends), default=0)
    head = " " * (column + address + host + 6) + "".join(f"{index:>{width + 1}}" for index in number.values())
    lines = [head]
    for name, end in zip(names, ends, strict=True):
        lines.append(
            f"{name:<{column}}  {end['address']:<{address}}  {end['host']:<{host}}  "
            + "".join(f"{_mark(matrix, answers, end['name'], target):>{width + 1}}" for target in number)
        )
    return "\n".join(line.rstrip() for line in lines)


def _mark(matrix: Mapping[str, Any], answers: Answers, source: str, target: str) -> str:
    expected = matrix["expect"].get(source, {}).get(target)
    if expected is None:
        return "?" if (source, target) in matrix.get("unjudged", ()) else "."
    return "ok" if answers.get(source, {}).get(target, {}).get("seen") == expected else "NO"


def _end(end: Mapping[str, Any]) -> str:
    at = f" on {end['host']}" if end["kind"] == "pod" else ""
    return f"{end['kind']} {end['name']} ({end['address']}{at})"

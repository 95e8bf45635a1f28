"""What each host has to do so that the ways to Services are seen: calls of its own ends, and what it is to watch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .expectations import End
from .expected_paths import ANSWER, REFUSED, Probe

BACKLOG = 5
"""So many calls at once each endpoint stands, by all hosts together: the listen backlog of every socketserver of
Python's. There is hardly a shorter one."""

PATIENCE, HASTE = 7.5, 1.0
"""Seconds until a call is silent. TCP asks again after 1, 3 and 7 s, for what a full backlog or a busy host has lost;
where silence is to be expected, or all the answer there will be, that would only cost time."""


def probes(matrix: Mapping[str, Any], ends: Iterable[End], hosts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What each host has to do: ``asks``, those of its own ends; ``watched``, what it is to tell of connections that
    it turns or gets; ``endpoints`` of its own, at which something may listen or not; ``deadline`` and ``watch`` in
    seconds. A host that has no part in it has no row.

    :param matrix: that of ``service_matrix``.

    ``id`` is the place among ``asks``. Calls of one ``serial_key`` go one after the other: where a client is to meet
    one endpoint only, the first call decides, and clients of one host may look like one. Where ``until`` is heard, no
    further try is needed: a refusal may get lost. No more calls of a ``service`` than ``together`` are under way on the
    host at once (0: as many as there are), and each is given up after ``patience``.
    """
    asks: Sequence[Probe] = matrix["asks"]
    by_name = {end["name"]: end for end in ends}
    calls: dict[str, list[dict[str, Any]]] = {host: [] for host in hosts}
    watched: dict[str, dict[tuple[str, int], None]] = {host: {} for host in calls}
    endpoints: dict[str, list[dict[str, Any]]] = {host: [] for host in calls}
    for to, place in matrix["endpoints"].items():
        address, number, protocol = _parts(to)
        if place["host"] in calls:
            at_home = {"netns": place["netns"], "address": address, "port": number, "protocol": protocol}
            endpoints[place["host"]].append(at_home)
            watched[place["host"]][address, number] = None
    callers: dict[str, set[str]] = defaultdict(set)
    for ask in asks:
        callers[ask["service"]].add(by_name[ask["source"]]["host"])
    for at, ask in enumerate(asks):
        end = by_name[ask["source"]]
        calls[end["host"]].append(_call(at, ask, end["netns"], len(callers[ask["service"]])))
        for node in ask["path"]:
            watched[node][ask["address"], ask["port"]] = None
    tries = sum(ask["tries"] for ask in asks if ask["outcome"] != REFUSED)
    # Silence takes some seconds, and many are silent at once; hosts begin one after the other.
    deadline = 30 + len(calls) // 2 + tries // 50
    return {
        host: {
            "asks": mine,
            "watched": [list(place) for place in watched[host]],
            "endpoints": endpoints[host],
            "deadline": deadline,
            "watch": 2 * deadline + 60 if watched[host] else 0,  # from the calls of pods to the last look
        }
        for host, mine in calls.items()
        if mine or watched[host]
    }


def _call(at: int, ask: Probe, netns: str | None, hosts: int) -> dict[str, Any]:
    """:param at: the place among the asks. :param hosts: how many there are that call this Service."""
    is_refused = ask["outcome"] == REFUSED
    return {
        "id": at,
        "netns": netns,
        "address": ask["address"],
        "port": ask["port"],
        "protocol": ask["protocol"],
        "tries": ask["tries"],
        "serial_key": f"refusals {ask['source']}" if is_refused else ask["service"] if ask["sticky"] else "",
        "until": REFUSED if is_refused else "",
        "service": ask["service"],
        **_restraint(ask, hosts),
    }


def _restraint(ask: Probe, hosts: int) -> dict[str, Any]:
    """How gently an ask is to be asked where a program has to take every call. Datagrams need nobody to take them.

    :param hosts: how many there are that call this Service.
    """
    if ask["protocol"] != "tcp" or ask["outcome"] != ANSWER or ask["no_reply"]:
        return {"together": 0, "patience": HASTE}
    return {"together": max(1, BACKLOG * len(ask["backends"]) // hosts), "patience": PATIENCE}


def _parts(to: str) -> tuple[str, int, str]:
    """Of ``10.1.1.2:80/tcp``."""
    place, _, protocol = to.partition("/")
    address, _, number = place.rpartition(":")
    return address, int(number), protocol

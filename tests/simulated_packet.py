"""A packet in memory: it passes rules as ``iptables-save`` prints them, and tells what may become of it.

It knows the matches and targets that service rules have, and refuses all others. Where chance decides, it goes
every way.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

Chains = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Packet:
    """The first one of a connection. ``own``: the addresses of the node where it is looked at."""

    source: str
    to: str
    port: int
    protocol: str = "tcp"
    own: tuple[str, ...] = ()
    marked: bool = False
    translated: bool = False

    @property
    def is_sent_here(self) -> bool:
        return _is_local(self.source, self.own)


def outcomes(tables: Mapping[str, Any], packet: Packet) -> set[str]:
    """``10.1.1.2:8080`` or ``10.1.1.2:8080 masq`` for an endpoint that it may reach, and how; ``reject``, ``drop``;
    ``here`` and ``routed`` where no service has it."""
    found = set()
    nat = _whole(tables["nat"])
    for marked, verdict in _walk(nat, "OUTPUT" if packet.is_sent_here else "PREROUTING", packet, packet.marked):
        to, port = verdict.split(":") if verdict else (packet.to, packet.port)
        after = Packet(packet.source, to, int(port), packet.protocol, packet.own, marked, bool(verdict))
        found.add(_filtered(_whole(tables["filter"]), after))
    return found


def _filtered(chains: Chains, packet: Packet) -> str:
    local = _is_local(packet.to, packet.own)
    hooks = (["OUTPUT"] if packet.is_sent_here else []) + (["INPUT"] if local else [])
    for hook in hooks or ["FORWARD"]:
        verdicts = {verdict for _, verdict in _walk(chains, hook, packet, packet.marked)}
        assert len(verdicts) == 1, "no rule of filter leaves it to chance"
        if (verdict := verdicts.pop()) in ("drop", "reject"):
            return verdict
    if packet.translated:
        return f"{packet.to}:{packet.port}{' masq' if packet.marked else ''}"
    return "here" if local else "routed"


def _whole(row: Mapping[str, Any]) -> Chains:
    return {**row["chains"], **row["jumps"]}


def _walk(chains: Chains, chain: str, packet: Packet, marked: bool) -> Iterator[tuple[bool, str]]:
    """(is it marked then, what became of it: nothing where it left the chain at its end)."""
    yield from _pass(chains, chains.get(chain, []), packet, marked)


def _pass(chains: Chains, rules: Sequence[str], packet: Packet, marked: bool) -> Iterator[tuple[bool, str]]:
    if not rules:
        yield marked, ""
        return
    (rule, *rest) = rules
    matches, target = _read(rule)
    answers = {_holds(match, packet, marked) for match in matches}
    if False not in answers:
        match target:
            case [] | ["SET", *_]:
                yield from _pass(chains, rest, packet, marked)
            case ["MARK", "--set-xmark", "0x4000/0x4000"]:
                yield from _pass(chains, rest, packet, True)
            case ["DNAT", "--to-destination", to]:
                yield marked, to
            case ["RETURN"]:
                yield marked, ""
            case ["ACCEPT" | "DROP" as verdict]:
                yield marked, verdict.lower()
            case ["REJECT", "--reject-with", "icmp-port-unreachable"]:
                yield marked, "reject"
            case [name]:
                assert name in chains, f"no chain {name}"
                for then, verdict in _walk(chains, name, packet, marked):
                    if verdict:
                        yield then, verdict
                    else:
                        yield from _pass(chains, rest, packet, then)
            case _:
                raise AssertionError(f"unknown target {target}")
    if answers & {False, None}:
        yield from _pass(chains, rest, packet, marked)


ARITY = {"--rcheck": 0, "--reap": 0, "--set": 0, "--rsource": 0, "--match-set": 2}


@functools.cache
def _read(rule: str) -> tuple[list[tuple[bool, str, list[str]]], list[str]]:
    """([(is it meant, option, its values)], target and its options)."""
    words = shlex.split(rule)
    matches, at, meant = [], 0, True
    while at < len(words):
        option = words[at]
        if option == "!":
            meant, at = False, at + 1
            continue
        if option == "-j":
            return matches, list(words[at + 1 :])
        arity = ARITY.get(option, 1)
        matches.append((meant, option, list(words[at + 1 : at + 1 + arity])))
        at, meant = at + 1 + arity, True
    return matches, []


def _holds(match: tuple[bool, str, list[str]], packet: Packet, marked: bool) -> bool | None:
    """None: perhaps."""
    meant, option, values = match
    told = _told(option, values, packet, marked)
    return told if told is None else told is meant


def _told(option: str, values: Sequence[str], packet: Packet, marked: bool) -> bool | None:
    match option, *values:
        case ["-m" | "--comment" | "--mode" | "--seconds" | "--name" | "--mask" | "--reap" | "--rsource" | "--set", *_]:
            return True
        case ["-s", network]:
            return ip_address(packet.source) in ip_network(network)
        case ["-d", network]:
            return ip_address(packet.to) in ip_network(network)
        case ["-p", protocol]:
            return packet.protocol == protocol
        case ["--dport", port]:
            return packet.port == int(port)
        case ["--src-type", "LOCAL"]:
            return packet.is_sent_here
        case ["--dst-type", "LOCAL"]:
            return _is_local(packet.to, packet.own)
        case ["--mark", "0x4000/0x4000"]:
            return marked
        case ["--ctstate", states]:
            return bool({"NEW", "DNAT" if packet.translated else "NEW"} & set(states.split(",")))
        case ["--probability" | "--rcheck" | "--match-set", *_]:
            return None
    raise AssertionError(f"unknown match {option}")


def _is_local(address: str, own: Sequence[str]) -> bool:
    return address in own or ip_address(address).is_loopback

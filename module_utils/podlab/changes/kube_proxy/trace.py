"""The rules that a packet to a service passes, in the order in which it passes them, as the kernel has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...configs import ServicesConfig
from ..netfilter.iptables_save import Tables, target
from ..netfilter.rules import UNDEFINED_PORTS
from .names import port_chains

HOOKS = (
    ("nat", "PREROUTING", "packets of pods and from outside, before they are routed"),
    ("nat", "OUTPUT", "packets of the node itself"),
    ("filter", "INPUT", "packets to the node itself"),
    ("filter", "FORWARD", "packets of pods and from outside, to pods and to the outside"),
    ("filter", "OUTPUT", "packets of the node itself"),
    ("nat", "POSTROUTING", "packets that leave, to pods as well"),
)

SHARED = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL", UNDEFINED_PORTS)
"""Chains where rules of all services stand side by side."""

DEEPEST = 40
"""So many steps in a rule is moved at most; beyond, nobody could read it."""

_SERVICE = re.compile(r'--comment "([^\s/"]+/[^\s:"]+)')
"""The first word of a service's comment, without its port: ``default/web:http cluster IP``."""
_OF_ONE_SERVICE = re.compile("KUBE-(SVC|SVL|EXT|FW|SEP)-")


def path(tables: Tables, row: ServicesConfig | None, service: str | None = None) -> list[str]:
    """The rules on the way, as ``iptables-save`` prints them, with a heading for each hook.

    A chain stands, a step further in, right behind the first rule that leads there, and nowhere again. Rules of
    built-in chains are all told, because every packet passes them; where those of others lead is not followed.

    :param tables: what the node has, from ``iptables_save.parsed``.
    :param row: what it was told, where that is known: it finds chains of the service that nothing leads to any more.
    :param service: ``default/web``; rules of other services are left out. Without it all are told.
    """
    own = None if service is None else _chains_of(row, service)
    seen: set[tuple[str, str]] = set()
    lines = []
    for table, hook, packets in HOOKS:
        lines.append(f"# {table} {hook}: {packets}")
        lines += _walk(tables, table, hook, seen, service, own)
    for table, chains in tables.items():
        led_to = {target(rule) for rules in chains.values() for rule in rules}
        asked = [name for name in chains if (_is_known(name) if own is None else name in own)]
        lost = [name for name in asked if (table, name) not in seen and name not in led_to]
        lines += [f"# {table}: no rule leads here"] if lost else []
        for name in lost:
            lines.append(f":{name} - [0:0]")
            lines += _walk(tables, table, name, seen, service, own)
    return lines


def _walk(
    tables: Tables,
    table: str,
    chain: str,
    seen: set[tuple[str, str]],
    service: str | None,
    own: frozenset[str] | None,
) -> Iterator[str]:
    """Not by recursion: somebody may have made as many chains in a row as he likes."""
    chains = tables.get(table, {})
    seen.add((table, chain))
    ways = [(chain, iter(chains.get(chain, [])))]
    while ways:
        chain, rest = ways[-1]
        rule = next(rest, None)
        if rule is None:
            ways.pop()
            continue
        into = target(rule)
        if own is not None and chain in SHARED and not _concerns(rule, into, service, own):
            continue
        yield f"{'  ' * min(len(ways) - 1, DEEPEST)}-A {chain} {rule}".rstrip()
        if into in chains and _is_known(into) and (table, into) not in seen:
            seen.add((table, into))
            ways.append((into, iter(chains[into])))


def _concerns(rule: str, into: str, service: str | None, own: frozenset[str]) -> bool:
    """Whether a rule of a shared chain is this service's, or nobody's: that one stands in every packet's way."""
    if said := _SERVICE.search(rule):
        return said[1] == service
    return into in own or not _OF_ONE_SERVICE.match(into)


def _chains_of(row: ServicesConfig | None, service: str) -> frozenset[str]:
    ports = row["ports"] if row else []
    return frozenset(chain for port in ports if port["service"] == service for chain in port_chains(port))


def _is_known(chain: str) -> bool:
    return chain.startswith("KUBE-") or chain == UNDEFINED_PORTS

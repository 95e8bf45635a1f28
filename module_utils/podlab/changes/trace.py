"""The rules that a packet to a service passes, in the order in which it passes them, as the kernel has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from .kube_names import endpoint_chain, service_chains, service_port_name
from .services import UNDEFINED_PORTS, ServicesRow

Tables = Mapping[str, Mapping[str, Sequence[str]]]
"""Table -> chain -> its rules as ``iptables-save`` prints them, without the leading ``-A CHAIN``."""

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

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")
_SERVICE = re.compile(r'--comment "([^\s/"]+/[^\s:"]+)')
"""The first word of a service's comment, without its port: ``default/web:http cluster IP``."""
_OF_ONE_SERVICE = re.compile("KUBE-(SVC|SVL|EXT|FW|SEP)-")


def parsed(text: str) -> dict[str, dict[str, list[str]]]:
    """The text of ``iptables-save`` as tables."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            chains[line[1:].split(" ", 1)[0]] = []
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains[chain].append(rule)
    return tables


def path(tables: Tables, row: ServicesRow | None, service: str | None = None) -> list[str]:
    """The rules on the way, as ``iptables-save`` prints them, with a heading for each hook.

    A chain stands, a step further in, right behind the first rule that leads there, and nowhere again. Rules of
    built-in chains are all told, because every packet passes them; where those of others lead is not followed.

    :param tables: what the node has, from :func:`parsed`.
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
        led_to = {_target(rule) for rules in chains.values() for rule in rules}
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
    depth: int = 0,
) -> Iterator[str]:
    chains = tables.get(table, {})
    seen.add((table, chain))
    for rule in chains.get(chain, []):
        target = _target(rule)
        if own is not None and chain in SHARED and not _concerns(rule, target, service, own):
            continue
        yield f"{'  ' * depth}-A {chain} {rule}"
        if target in chains and _is_known(target) and (table, target) not in seen:
            yield from _walk(tables, table, target, seen, service, own, depth + 1)


def _concerns(rule: str, target: str, service: str | None, own: frozenset[str]) -> bool:
    """Whether a rule of a shared chain is this service's, or nobody's: that one stands in every packet's way."""
    if said := _SERVICE.search(rule):
        return said[1] == service
    return target in own or not _OF_ONE_SERVICE.match(target)


def _chains_of(row: ServicesRow | None, service: str) -> frozenset[str]:
    chains: set[str] = set()
    for port in row["ports"] if row else ():
        if port["service"] == service:
            name, protocol = service_port_name(service, port["port_name"]), port["protocol"]
            chains |= set(service_chains(name, protocol).values())
            chains |= {endpoint_chain(name, protocol, f"{end['address']}:{end['port']}") for end in port["endpoints"]}
    return frozenset(chains)


def _is_known(chain: str) -> bool:
    return chain.startswith("KUBE-") or chain == UNDEFINED_PORTS


def _target(rule: str) -> str:
    """The chain that a rule leads into. What a comment says of jumps does not count."""
    found = _TARGET.search(_QUOTED.sub('""', rule))
    return found[1] if found else ""

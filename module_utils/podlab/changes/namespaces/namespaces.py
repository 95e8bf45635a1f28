"""All that separates a host from its list of namespaces: links, then forwarding, then rules for the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..netfilter import rules
from ..system import sysctls
from . import NAMESPACE_MARK, links
from .configs import NamespaceConfig, network
from .links import IpCommand, Observed

COMMENT = f"-m comment --comment {NAMESPACE_MARK}"


@dataclass(frozen=True)
class Changes:
    """In the order in which they are made. ``rules``: table -> lines for ``iptables-restore``."""

    ip: Sequence[IpCommand]
    sysctls: Mapping[str, str]
    rules: Mapping[str, Sequence[str]]

    def lines(self) -> list[str]:
        """The commands that a person would type for the same effect."""
        return [
            *(command.typed() for command in self.ip),
            *(sysctls.line(key, value) for key, value in self.sysctls.items()),
            *(line for table, lines in self.rules.items() for line in rules.commands(table, lines)),
        ]


def changes(seen: Observed, wanted: Sequence[NamespaceConfig]) -> Changes:
    """Forwarding is only switched on here; what it was before is the module's to give back (``restored``)."""
    needs_forwarding = any(one.bridge for one in wanted) and seen["ip_forward"] != "1"
    return Changes(
        links.changes(seen, wanted),
        {sysctls.FORWARD: "1"} if needs_forwarding else {},
        {table: lines for table in TABLES if (lines := list(_rule_lines(seen, table, wanted)))},
    )


TABLES = {"filter": ("FORWARD",), "nat": ("POSTROUTING",)}


def _wanted_rules(table: str, wanted: Sequence[NamespaceConfig]) -> list[str]:
    """As ``iptables-save`` prints them. They stand in the built-in chains, not in a chain of podlab's: these three are
    all there is, and read like those of any tutorial. The comment is their mark.

    What comes in from elsewhere is an answer, or what the host's own rules let in.
    """
    bridges = {one.bridge: network(one.address) for one in wanted if one.bridge}
    if table == "nat":
        return [f"-s {within} ! -o {bridge} {COMMENT} -j MASQUERADE" for bridge, within in bridges.items()]
    return [
        rule
        for bridge in bridges
        for rule in (
            f"-i {bridge} {COMMENT} -j ACCEPT",
            f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED {COMMENT} -j ACCEPT",
        )
    ]


def _rule_lines(seen: Observed, table: str, wanted: Sequence[NamespaceConfig]) -> Iterator[str]:
    bridges = [one.bridge for one in wanted if one.bridge]
    for chain in TABLES[table]:
        yield from rules.placed(chain, seen["tables"].get(table, {}), _wanted_rules(table, wanted), bridges, is_marked)


def is_marked(rule: str) -> bool:
    return f"{COMMENT} " in f"{rule} "


def marks(seen: Observed) -> list[str]:
    """What bears the mark, in words."""
    return [
        *(f"network namespace {name}" for name in links.own_names(seen)),
        *(f"link {name}" for name in links.own_links(seen)),
        *(
            f"rule -A {chain} {rule} of table {table}"
            for table, chains in TABLES.items()
            for chain in chains
            for rule in seen["tables"].get(table, {}).get(chain, ())
            if is_marked(rule)
        ),
    ]

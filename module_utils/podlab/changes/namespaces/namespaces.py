"""All that separates a host from its list of namespaces: links, then forwarding, then rules for the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..actions import Action, set_sysctls
from ..netfilter import rules
from ..script_text import Typed
from ..system import sysctls
from . import NAMESPACE_MARK, links
from .configs import NamespaceConfig, network
from .links import Observed

COMMENT = f"-m comment --comment {NAMESPACE_MARK}"


class RememberForwarding(Action):
    """What forwarding was goes into podlab's memory before the first bridged namespace needs it: nothing to type."""

    def commands(self) -> list[Typed]:
        return []


class ForgetForwarding(Action):
    """Once it is given back."""

    def commands(self) -> list[Typed]:
        return []


def changes(seen: Observed, wanted: Sequence[NamespaceConfig], before: Mapping[str, str] | None = None) -> list[Action]:
    """Links, then forwarding, then rules for the way out.

    :param before: settings as they were, to be written where no namespace needs forwarding any more; None: not here.
    """
    has_way_out = any(one.bridge for one in wanted)
    forwarding = {sysctls.FORWARD: "1"} if seen["ip_forward"] != "1" else {}
    return [
        *([RememberForwarding()] if has_way_out else []),
        *links.changes(seen, wanted),
        *set_sysctls(forwarding if has_way_out else before or {}),
        *rules.write({table: list(_rule_lines(seen, table, wanted)) for table in TABLES}),
        *([] if has_way_out or before is None else [ForgetForwarding()]),
    ]


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

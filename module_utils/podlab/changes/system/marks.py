"""What on a host bears podlab's mark: it tells whose the host is where the record was lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ...records.observation import Link, Route
from .. import CHAIN_PREFIX, MARK, ROUTE_PROTOCOL
from ..netfilter.iptables_save import Tables


def marks(
    links: Mapping[str, Link],
    routes: Sequence[Route],
    rules: Tables,
    pods: Collection[str],
) -> list[str]:
    """Each in words: ``link cbr0``. No file is among them, since files are what is lost first."""
    return [
        *(f"link {name}" for name, link in links.items() if is_marked(link)),
        *(f"route {route['to']}" for route in routes if route["protocol"] == str(ROUTE_PROTOCOL)),
        *(
            f"chain {chain} of table {table}"
            for table, chains in rules.items()
            for chain in chains
            if chain.startswith(CHAIN_PREFIX)
        ),
        *(f"pod {netns}" for netns in pods),
    ]


def is_marked(link: Link) -> bool:
    """Whether a link has podlab's alias, that of a pod's wire (``podlab default/web``) included."""
    return link["alias"].partition(" ")[0] == MARK

"""What on a host bears podlab's mark: it tells whose the host is where the record was lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .. import CHAIN_PREFIX, MARK, ROUTE_PROTOCOL


def marks(
    links: Mapping[str, Mapping[str, Any]],
    routes: Sequence[Mapping[str, Any]],
    rules: Mapping[str, Mapping[str, Any]],
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


def is_marked(link: Mapping[str, Any]) -> bool:
    """Whether a link has podlab's alias, that of a pod's wire (``podlab default/web``) included."""
    return str(link["alias"]).partition(" ")[0] == MARK

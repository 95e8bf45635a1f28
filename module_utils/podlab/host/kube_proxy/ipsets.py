"""Sets of clients that want to meet the same endpoint again, of this host."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ...changes.kube_proxy import restore as kube_restore
from ...changes.kube_proxy import services
from ...changes.kube_proxy.diff import Change
from ...changes.netfilter.iptables_save import Tables
from ...configs import ServicesConfig
from ..network import network
from ..run import run

PREFIX = "PODLAB-STICKY-"  # as services.sets() has them


def names() -> set[str]:
    """Those of ours that are there. Where the kernel has none at all, asking would load its module."""
    if network.missing_programs(["ipset"]) or not os.path.isdir("/sys/module/ip_set"):
        return set()
    return {name for name in run(["ipset", "list", "-n"]).split() if name.startswith(PREFIX)}


def missing(row: ServicesConfig) -> list[str]:
    wanted = services.sets(row)
    there = names() if wanted else set[str]()
    return [f"create {name} {kube_restore.set_words(seconds)}" for name, seconds in wanted.items() if name not in there]


def stale(row: ServicesConfig | None, tables: Tables, found: Mapping[str, Change]) -> tuple[list[str], list[str]]:
    """Sets that go, and sentences about those that cannot: a chain that stays for somebody else names them."""
    stale = names() - set(services.sets(row) if row else ())
    named = _named_by_what_stays(tables, found) if stale else {}
    held = [
        f"ipset {name} stays: chain {chain} of table {table} names it, and a rule that is not podlab's leads there"
        for name, (table, chain) in sorted(named.items())
        if name in stale
    ]
    return sorted(stale - named.keys()), held


def _named_by_what_stays(tables: Tables, found: Mapping[str, Change]) -> dict[str, tuple[str, str]]:
    """Set -> table and chain, of all chains that are neither removed nor written anew."""
    named: dict[str, tuple[str, str]] = {}
    for table, chains in tables.items():
        change = found.get(table, Change())
        for chain in chains.keys() - {*change.stale, *change.new, *change.rewritten}:
            for name in re.findall(rf"{PREFIX}\w+", " ".join(chains[chain])):
                named[name] = min(named.get(name, (table, chain)), (table, chain))
    return named

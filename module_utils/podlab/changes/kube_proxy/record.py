"""What is told to a host about its services, and what the host remembers of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ... import packed
from ...configs import ServicesConfig
from ...shapes import misfit
from ..netfilter.iptables_save import Tables
from . import conntrack
from .diff import BUILT_IN, PrintedForm, Wanted, comparer, digest, is_entry_jump, is_ours, joined, jumps_on_top

FORM = 1
"""Goes up when ``tables`` says something else for one and the same row, so that every host is looked at again."""


class State(TypedDict):
    """What a host remembers, ``services.json``."""

    form: int
    row: str
    """The digest of what was applied last."""
    packed: str | ServicesConfig
    udp: bool
    """Whether it has UDP services, whose connections may have to be ended."""
    kernel: str
    """The fingerprint of what iptables-save told right after; empty where that is not known, or a run is at work."""
    iptables: str
    """Which one has printed the rules of the last run."""
    spelled: Mapping[str, Sequence[str]]
    health: str
    """The digest of what the health checks were told."""


def state(
    told: ServicesConfig | str,
    row: ServicesConfig,
    digest: str,
    *,
    kernel: str = "",
    iptables: str = "",
    spelled: PrintedForm | None = None,
    health: str = "",
) -> State:
    """:param row: what is told, unpacked, with its ``digest``."""
    return {
        "form": FORM,
        "row": digest,
        "packed": told,
        "udp": conntrack.has_udp(row),
        "kernel": kernel,
        "iptables": iptables,
        "spelled": spelled or {},
        "health": health,
    }


def sound_state(value: object) -> State | None:
    """What a host remembers, as it was read; None if it has another shape."""
    return None if misfit(value, State) else value  # type: ignore[return-value]


def told_row(known: State) -> ServicesConfig | None:
    """What was applied last. None where that is damaged: then nobody knows."""
    try:
        row, digest = unpack(known["packed"])
    except (ValueError, RecursionError):
        return None
    return None if digest != known["row"] or misfit(row, ServicesConfig) else row


def pack(row: ServicesConfig) -> str:
    """A row as one short word: nested, Ansible would walk through all of it, which takes four times as long."""
    return packed.pack(_canonical(row))


def unpack(told: ServicesConfig | str) -> tuple[ServicesConfig, str]:
    """A row, and its digest: the plan knows by it what a host was told last (``planner.service_rows.digest_of``).

    :param told: a row, packed or, from ``./lab script``, as it is.
    """
    text = packed.unpack(told) if isinstance(told, str) else _canonical(told)
    return packed.loads(text), hashlib.sha256(text).hexdigest()


def _canonical(row: ServicesConfig) -> bytes:
    return json.dumps(row, sort_keys=True, separators=(",", ":")).encode()


def fingerprint(tables: Tables) -> str:
    """All that is ours of what ``iptables-save`` prints: chains, and the place of every jump into them. No counters."""
    whole = hashlib.sha256()
    for table, chains in sorted(tables.items()):
        for name in sorted(chains):
            if is_ours(name):
                whole.update(f"{table} {name}\n{joined(chains[name])}".encode())
            elif name in BUILT_IN:
                jumps = [f"{place} {rule}" for place, rule in enumerate(chains[name]) if is_entry_jump(rule)]
                if jumps:
                    whole.update(f"{table} {name}\n{joined(jumps)}".encode())
    return whole.hexdigest()


def others(tables: Tables) -> dict[str, dict[str, list[str]]]:
    """All that is not ours."""
    return {
        table: {
            name: [rule for rule in rules if name not in BUILT_IN or not is_entry_jump(rule)]
            for name, rules in chains.items()
            if not is_ours(name)
        }
        for table, chains in tables.items()
    }


def whole(rest: Tables, wanted: Wanted) -> dict[str, dict[str, Sequence[str]]]:
    """What there is: what is not ours, with what was written of ours."""
    found: dict[str, dict[str, Sequence[str]]] = {table: dict(chains) for table, chains in rest.items()}
    for table, row in wanted.items():
        chains = found.setdefault(table, {})
        for builtin, jumps in row["jumps"].items():
            chains[builtin] = [*jumps, *chains.get(builtin, [])]
        chains.update(row["chains"])
    return found


def printed_forms(tables: Tables, wanted: Wanted) -> dict[str, list[str]]:
    """Where this iptables prints as many rules as were just written, and words them in another way than 1.8.9."""
    found = {}
    for table, row in wanted.items():
        chains = tables.get(table, {})
        pairs = [(name, chains.get(name, []), rules) for name, rules in row["chains"].items()]
        pairs += [(name, jumps_on_top(chains.get(name, [])), rules) for name, rules in row["jumps"].items()]
        for name, seen, rules in pairs:
            if seen != rules and len(seen) == len(rules):
                found[f"{table} {name}"] = [digest(rules), digest(seen)]
    return found


def after(tables: Tables, wanted: Wanted, spelled: PrintedForm) -> dict[str, dict[str, Sequence[str]]]:
    """What ``iptables-save`` will print of ours once the wanted is written, if it prints what it reads."""
    result: dict[str, dict[str, Sequence[str]]] = {}
    for table, row in wanted.items():
        chains, same = tables.get(table, {}), comparer(table, spelled)
        result[table] = {
            name: chains[name] if name in chains and same(name, chains[name], rules) else rules
            for name, rules in row["chains"].items()
        }
        for name, rules in row["jumps"].items():
            seen = jumps_on_top(chains.get(name, []))
            result[table][name] = seen if same(name, seen, rules) else rules
    return result

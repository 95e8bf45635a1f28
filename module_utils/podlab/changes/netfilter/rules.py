"""iptables chains of podlab's own, and the jumps into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...configs import TableConfig
from .. import CHAIN_PREFIX
from ..actions import Action
from ..script_text import Typed
from ..system.sysctls import LOCALNET
from .closing_rules import end_of
from .iptables_save import BUILT_IN, target
from .renamed_chains import renamed_chains

Chains = Mapping[str, Sequence[str]]
"""Chain -> its rules as ``iptables-save`` prints them, without the leading ``-A CHAIN``."""


GUARD = f"{CHAIN_PREFIX}LOCALHOST"
"""Of ``filter``: keeps neighbours out of 127.0.0.0/8, where a host port is open at 127.0.0.1."""


HOST_PORTS = f"{CHAIN_PREFIX}HOSTPORTS"
"""Of ``nat``: leads from ports of the node to pods."""


UNDEFINED_PORTS = f"{CHAIN_PREFIX}UNDEFINED-PORTS"
"""Of ``filter``: refuses ports that no Service has. It is written with kube-proxy's rules, and there only where
``reject_undefined_ports`` is on."""


def changes(observed: Chains, row: TableConfig) -> list[str]:
    """Lines of one table for ``iptables-restore --noflush``, in the order in which they have to run.

    A chain that is right is not named at all, so its counters stay. A chain that differs is written
    anew as a whole: ``:CHAIN`` empties it inside the same transaction.
    """
    chains = row["chains"]
    differing = [name for name, rules in chains.items() if name not in observed or list(observed[name]) != rules]
    stale = [name for name in observed if name.startswith(CHAIN_PREFIX) and name not in chains]
    renamed = renamed_chains(
        observed,
        chains,
        row["jumps"],
        lambda name: name.startswith(CHAIN_PREFIX),
        lambda _, seen, rules: list(seen) == rules,
    )
    stale += renamed
    lines = [f":{name} - [0:0]" for name in differing + stale]
    lines += [f"-A {name} {rule}" for name in differing for rule in chains[name]]
    for builtin in [name for name in BUILT_IN if name in observed or name in row["jumps"]]:
        lines += _jump_lines(builtin, observed, row, renamed)
    return lines + [f"-X {name}" for name in stale]


def _jump_lines(builtin: str, observed: Chains, row: TableConfig, renamed: Sequence[str]) -> list[str]:
    def is_own(rule: str) -> bool:
        into = target(rule)
        # That one is the services' to mend.
        return (into.startswith(CHAIN_PREFIX) and into != UNDEFINED_PORTS) or into in renamed

    return placed(builtin, observed, row["jumps"].get(builtin, []), row.get("links", []), is_own)


def placed(
    chain: str, observed: Chains, wanted: Sequence[str], links: Sequence[str], is_own: Callable[[str], bool]
) -> list[str]:
    """Lines that give rules their place in a chain of the host's, and take away others of podlab's.

    Not at the chain's top, where kube-proxy has its own: what a host refuses to single ones, it refuses to pods as
    well. The number of a rule is sure, since all of it is one transaction.
    """
    lines, left = list[str](), list(observed.get(chain, ()))
    for rule in list(left):
        if is_own(rule) and (rule not in wanted or left.count(rule) > 1):
            lines.append(f"-D {chain} {rule}")
            left.remove(rule)  # the first one that reads so, as iptables does
    end = end_of(left, observed, links)
    for number, rule in enumerate(wanted, 1):
        if rule in left and (end is None or left.index(rule) < end):
            continue
        if rule in left:
            lines.append(f"-D {chain} {rule}")
            left.remove(rule)
        # One that has gone comes back to its place among podlab's own, so that a mended host reads as it did.
        followers = [left.index(later) for later in wanted[number:] if later in left]
        place = min([*followers, len(left) if end is None else end])
        lines.append(f"-I {chain} {place + 1} {rule}" if place < len(left) else f"-A {chain} {rule}")
        left.insert(place, rule)
        end = None if end is None else end + 1
    return lines


def sysctls(tables: Mapping[str, TableConfig]) -> dict[str, str]:
    """Settings that these rules guard, and that may be made when they stand."""
    return {LOCALNET: "1"} if "filter" in tables and GUARD in tables["filter"]["chains"] else {}


def removal(observed: Chains) -> list[str]:
    """Lines that take all of podlab's chains and jumps out of one table."""
    return changes(observed, {"chains": {}, "jumps": {}})


def merged(*layers: Mapping[str, TableConfig]) -> dict[str, TableConfig]:
    """Several sets of tables as one: their chains are different ones, their jumps follow each other."""
    tables: dict[str, TableConfig] = {}
    for table, row in (item for layer in layers for item in layer.items()):
        whole = tables.setdefault(table, {"chains": {}, "jumps": {}})
        whole["chains"].update(row["chains"])
        for builtin, jumps in row["jumps"].items():
            whole["jumps"][builtin] = whole["jumps"].get(builtin, []) + jumps
        if "links" in row:
            whole["links"] = sorted({*whole.get("links", []), *row["links"]})
    return tables


def commands(table: str, lines: Sequence[str]) -> list[str]:
    """The same change as a person would type it."""
    typed, going = [], {line[3:] for line in lines if line.startswith("-X ")}
    for line in lines:
        if line.startswith(":"):
            name = line[1:].split(" ", 1)[0]
            # -N fails on a chain that exists and -F on one that does not; in the transaction it is one word.
            make = "" if name in going else f"iptables -t {table} -N {name} || "
            typed.append(f"{make}iptables -t {table} -F {name}")
        else:
            typed.append(f"iptables -t {table} {line}")
    return typed


class WriteRules(Action):
    """Lines for ``iptables-restore --noflush``, table by table: one transaction a table, and one call."""

    tables: Mapping[str, Sequence[str]]

    def commands(self) -> list[Typed]:
        return [line for table, lines in self.tables.items() for line in commands(table, lines)]


def write(tables: Mapping[str, Sequence[str]]) -> list[Action]:
    return [WriteRules(tables)] if any(tables.values()) else []


def restore_text(tables: Mapping[str, Sequence[str]]) -> str:
    """Input of one ``iptables-restore --noflush`` for all tables that change."""
    return "".join(f"*{table}\n" + "\n".join(lines) + "\nCOMMIT\n" for table, lines in tables.items() if lines)

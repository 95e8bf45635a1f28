"""The KUBE-* chains of a node: what separates those in the kernel from the wanted ones.

How that is written is told in ``restore``.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile

from ...configs import TableConfig
from .. import CHAIN_PREFIX
from ..netfilter.iptables_save import BUILT_IN as BUILT_IN
from ..netfilter.iptables_save import Tables, target
from ..netfilter.renamed_chains import renamed_chains
from ..netfilter.rules import UNDEFINED_PORTS
from . import static_chains
from .trace import SHARED

Wanted = Mapping[str, TableConfig]
PrintedForm = Mapping[str, Sequence[str]]
"""``table CHAIN`` -> digest of what was written there, digest of what this iptables prints for it."""

MOST_DELETIONS = 50
"""iptables-nft looks at every rule of a chain to find the one that goes: beyond this a chain is written anew."""

# Whatever else is called KUBE- is a kubelet's (KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT) or a network plugin's.
_KUBE_PROXY = re.compile(
    "KUBE-(?:(?:SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}|SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL|PROXY-CANARY"
    "|FORWARD|FIREWALL|MARK-MASQ|POSTROUTING)"
)
_WITH_KUBELET = "KUBE-FIREWALL"
_OF_KUBELET = "KUBE-KUBELET-CANARY"
_WAYS_IN = frozenset(
    {
        *(target(rule) for into in static_chains.JUMPS.values() for rules in into.values() for rule in rules),
        UNDEFINED_PORTS,
    }
)


def is_ours(chain: str) -> bool:
    """Whether a chain bears a name that kube-proxy gives, or that podlab adds to them."""
    return bool(_KUBE_PROXY.fullmatch(chain)) or chain == UNDEFINED_PORTS


def _is_named_by_podlab(chain: str) -> bool:
    return is_ours(chain) or chain.startswith(CHAIN_PREFIX)


def is_entry_jump(rule: str) -> bool:
    """Whether a rule of a built-in chain is ours: it leads where only ours lead. Others may use a chain of ours there,
    as ``-s 192.0.2.1 -j KUBE-MARK-MASQ``; then the rule is theirs."""
    return target(rule) in _WAYS_IN


@dataclass
class Change:
    """What is to be done in one table.

    ``new``: chains that no packet can get to, each after those that it leads to. ``edits``: lines for single rules of
    chains that all services share, in pieces that belong together; after each of them no service is without its rule.
    ``stale``: chains that go, each before those that it leads to.
    """

    new: dict[str, Sequence[str]] = field(default_factory=dict)
    rewritten: dict[str, Sequence[str]] = field(default_factory=dict)
    edits: list[list[str]] = field(default_factory=list)
    jumps: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.rewritten or self.edits or self.jumps or self.stale)

    def lines(self) -> list[str]:
        """All of it as one transaction."""
        written = {**self.new, **self.rewritten}
        return [
            *(f":{name} - [0:0]" for name in (*written, *self.stale)),
            *(f"-A {name} {rule}" for name, rules in written.items() for rule in rules),
            *chain.from_iterable(self.edits),
            *self.jumps,
            *(f"-X {name}" for name in self.stale),
        ]

    def unreachable_edits(self) -> Iterator[str]:
        """What no packet notices: it may be cut after any line."""
        for name, rules in self.new.items():
            yield f":{name} - [0:0]"
            yield from (f"-A {name} {rule}" for rule in rules)

    def live_edits(self) -> Iterator[list[str]]:
        """What is seen, in pieces that must not be cut."""
        for name, rules in self.rewritten.items():
            yield [f":{name} - [0:0]", *(f"-A {name} {rule}" for rule in rules)]
        yield from self.edits
        if self.jumps:
            yield self.jumps
        yield from ([f":{name} - [0:0]", f"-X {name}"] for name in self.stale)


def changes(
    tables: Tables, wanted: Wanted, *, spelled: PrintedForm | None = None, whole: bool = True
) -> dict[str, Change]:
    """Table -> what differs there, in the order in which it is to be written; a table where nothing does is left out.

    :param tables: what is there, from ``iptables_save.parsed``. One that is not printed is an empty one.
    :param whole: whether a chain of whatever length may be written anew at once.
    """
    found = {}
    for table in dict.fromkeys((*wanted, *tables)):
        row = wanted.get(table, TableConfig(chains={}, jumps={}))
        found[table] = _change(tables.get(table, {}), row, comparer(table, spelled or {}), whole)
    order = sorted(found, key=lambda table: table == "filter" and _only_admits(found[table]))
    return {table: found[table] for table in order if found[table]}


def _only_admits(change: Change) -> bool:
    """Whether nobody is refused in ``filter`` who was not before. Then nat comes first: a call of a Service that gets
    its first endpoint would be routed away, when it is refused no more and led nowhere yet. (kube-proxy does so.)

    Else filter comes first: who calls a Service that loses its last endpoint is to be refused as soon as nothing leads
    him there.
    """
    added = [line for piece in change.edits for line in piece if not line.startswith("-D ")]
    refuses = any(target(line) in ("REJECT", "DROP") for line in added)
    return not (change.new or change.rewritten or change.jumps or refuses)


def removal(tables: Tables) -> dict[str, Change]:
    """What takes all of it away. Chains that somebody else's rule leads to stay, or that one would not work."""
    return changes(tables, {})


def _change(
    chains: Mapping[str, Sequence[str]],
    row: TableConfig,
    same: Callable[[str, Sequence[str], Sequence[str]], bool],
    whole: bool,
) -> Change:
    wanted = row["chains"]
    renamed = renamed_chains(chains, wanted, row["jumps"], _is_named_by_podlab, same)
    own = {name for name in chains if is_ours(name)} | {*renamed}
    if _OF_KUBELET in chains and _WITH_KUBELET not in wanted:
        own.discard(_WITH_KUBELET)  # a kubelet on this host has the same chain, and needs it
    change, names = Change(), own | wanted.keys()
    for builtin in [name for name in BUILT_IN if name in chains or name in row["jumps"]]:
        rules = row["jumps"].get(builtin, [])
        change.jumps += _jump_lines(builtin, chains.get(builtin, []), rules, names, renamed, same)
    differing = [name for name, rules in wanted.items() if name not in own or not same(name, chains[name], rules)]
    gone = own - wanted.keys()
    if not differing and not gone:
        return change
    others = [name for name in chains if name not in own]
    seen_by_packets = _reachable(chains, others)
    for name in _topological_order([name for name in differing if name not in seen_by_packets], wanted):
        change.new[name] = wanted[name]
    for name in differing:
        if name not in seen_by_packets:
            continue
        edits = _edits(name, chains[name], wanted[name]) if name in SHARED else None
        if edits is None or (whole and sum(piece[0].startswith("-D") for piece in edits) > MOST_DELETIONS):
            change.rewritten[name] = wanted[name]
        else:
            change.edits += edits
    used = [target(rule) for name in others if name in BUILT_IN for rule in chains[name] if not is_entry_jump(rule)]
    used = [name for name in used if name not in renamed]
    beyond = [name for name in others if name not in BUILT_IN]
    needed = _reachable(chains, [*beyond, *(name for name in used if name in chains)])
    change.stale = list(reversed(_topological_order(sorted(gone - needed), chains)))
    return change


def _jump_lines(
    builtin: str,
    rules: Sequence[str],
    wanted: Sequence[str],
    own: Collection[str],
    renamed: Collection[str],
    same: Callable[[str, Sequence[str], Sequence[str]], bool],
) -> list[str]:
    """Our jumps stand before everything else. Rules go by their words: numbers might be somebody else's by then."""
    ours = [rule for rule in rules if (is_entry_jump(rule) and target(rule) in own) or target(rule) in renamed]
    if same(builtin, rules[: len(ours)], wanted) and len(ours) == len(wanted):
        return []
    top, copies, kept = list(takewhile(ours.__contains__, rules)), Counter(ours), list[str]()
    for rule in top:
        if copies[rule] == 1 and rule in wanted[wanted.index(kept[-1]) + 1 if kept else 0 :]:
            kept.append(rule)
    lines = [f"-D {builtin} {rule}" for rule in ours if rule not in kept]
    return lines + [f"-I {builtin} {place} {rule}" for place, rule in enumerate(wanted, 1) if rule not in kept]


def _edits(chain: str, rules: Sequence[str], wanted: Sequence[str]) -> list[list[str]] | None:
    """Pieces that make one list of the other, and leave alone as many rules as can be. None: they would not be sure.

    What comes in somebody's place stands there before that one goes, and who moves goes and comes in one piece: after
    each piece everybody is served.
    """
    places = {rule: place for place, rule in enumerate(wanted)}
    if len(places) < len(wanted):
        return None
    pieces, copies, there = list[list[str]](), Counter(rules), list[str]()
    for rule in rules:
        if copies[rule] > 1:
            copies[rule] -= 1
            pieces.append([f"-D {chain} {rule}"])  # which takes the first one that reads so
        else:
            there.append(rule)
    kept = set(_longest_increasing_subsequence([places[rule] for rule in there if rule in places]))
    moving = {rule for rule in there if rule in places and places[rule] not in kept}
    number = 1  # of the rule at which we stand, as iptables counts
    done = 0  # rules of ``wanted`` that stand before it
    passed: set[str] = set()  # of those that move: who still stands before it
    waiting: dict[str, None] = {}  # and who stands between the last one that is kept and the next one
    leaving: list[str] = []  # as those who go
    for rule in there:
        if rule not in places:
            leaving.append(rule)
        elif rule in moving:
            waiting[rule] = None
        elif places[rule] in kept:
            for new in wanted[done : places[rule]]:
                number -= new in passed
                pieces.append([*([f"-D {chain} {new}"] if new in moving else []), f"-I {chain} {number} {new}"])
                number += 1
                moving.discard(new)
                passed.discard(new)
                waiting.pop(new, None)
            pieces += ([f"-D {chain} {old}"] for old in leaving)
            number += len(waiting) + 1
            done, leaving = places[rule] + 1, []
            passed |= waiting.keys()
            waiting = {}
    pieces += ([*([f"-D {chain} {new}"] if new in moving else []), f"-A {chain} {new}"] for new in wanted[done:])
    return pieces + [[f"-D {chain} {old}"] for old in leaving]


def _longest_increasing_subsequence(numbers: Sequence[int]) -> list[int]:
    """The longest list that is left of one, with its numbers rising, when others are crossed out."""
    ends: list[int] = []  # the smallest number that a list of this length can end with
    before: dict[int, int | None] = {}
    for number in numbers:
        length = bisect_left(ends, number)
        before[number] = ends[length - 1] if length else None
        ends[length : length + 1] = [number]
    found: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        found.append(last)
        last = before[last]
    return found[::-1]


def comparer(table: str, spelled: PrintedForm) -> Callable[[str, Sequence[str], Sequence[str]], bool]:
    def same(name: str, seen: Sequence[str], rules: Sequence[str]) -> bool:
        if seen == rules:
            return True
        known = spelled.get(f"{table} {name}")
        return known is not None and list(known) == [digest(rules), digest(seen)]

    return same


def _reachable(chains: Mapping[str, Sequence[str]], starts: Iterable[str]) -> set[str]:
    """The chains that one gets to from these, and these."""
    found = set(starts)
    ahead = list(found)
    while ahead:
        for rule in chains[ahead.pop()]:
            into = target(rule)
            if into in chains and into not in found:
                found.add(into)
                ahead.append(into)
    return found


def _topological_order(names: Sequence[str], chains: Mapping[str, Sequence[str]]) -> list[str]:
    """Chains in an order in which each stands behind those that it leads to."""
    waiting, found = dict.fromkeys(names), list[str]()

    def visit(name: str) -> None:
        del waiting[name]
        for rule in chains[name]:
            if (into := target(rule)) in waiting:
                visit(into)
        found.append(name)

    while waiting:
        visit(next(iter(waiting)))
    return found


def jumps_on_top(rules: Sequence[str]) -> list[str]:
    return list(takewhile(is_entry_jump, rules))


def joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def digest(rules: Sequence[str]) -> str:
    return hashlib.sha256(joined(rules).encode()).hexdigest()[:16]

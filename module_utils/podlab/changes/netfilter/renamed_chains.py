"""Chains of podlab's that ``iptables -E`` has given another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from .iptables_save import BUILT_IN, target

Rules = Sequence[str]
Same = Callable[[str, Rules, Rules], bool]


def renamed_chains(
    observed: Mapping[str, Rules],
    wanted: Mapping[str, Rules],
    jumps: Mapping[str, Rules],
    is_own: Callable[[str], bool],
    same: Same,
) -> list[str]:
    """Each says, rule by rule, what a missing chain of podlab's says, and is led to from where that one would be. To
    compare the rules alone would take somebody's own chain for ours: CNI's portmap has such a one. An empty chain is
    recognised by a comment of the rule that leads to it.

    :param is_own: whether a chain bears a name that podlab gives.
    :param same: whether chain, its rules as they are printed, and as they are wanted, are the same.
    """
    others = {name: rules for name, rules in observed.items() if name not in BUILT_IN and not is_own(name)}
    missing = {name: rules for name, rules in wanted.items() if name not in observed} if others else {}
    ways = _ways({**wanted, **jumps}, missing) if missing else {}
    found = (
        other
        for name, rules in missing.items()
        for other, seen in others.items()
        if same(name, seen, rules)
        and any(into == other for into in _led_to(observed, name, ways.get(name, []), bool(rules)))
    )
    return list(dict.fromkeys(found))  # two missing ones may say the same


def _ways(chains: Mapping[str, Rules], missing: Mapping[str, Rules]) -> dict[str, list[tuple[str, str]]]:
    """Missing chain -> chains and their rules that lead to it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for chain, rules in chains.items():
        for rule in rules:
            if (into := target(rule)) in missing:
                found.setdefault(into, []).append((chain, rule))
    return found


def _led_to(
    observed: Mapping[str, Rules], name: str, ways: Sequence[tuple[str, str]], without_comment: bool
) -> Iterator[str]:
    """Where these rules lead today: the same but for the chain that they end with."""
    for chain, rule in ways:
        first = rule.removesuffix(name)
        if without_comment or "--comment" in rule:
            yield from (seen.removeprefix(first) for seen in observed.get(chain, ()) if seen.startswith(first))

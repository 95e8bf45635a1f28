"""What a host's own firewall holds: base chains of nftables that are not podlab's, as ``nft -j -t list table`` prints
them. Nothing is decided here; whose packets a rule stops is the planner's question, which knows the addresses.

A packet runs through every base chain of a hook: what podlab accepts in its own, another one may still drop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ...records.observation import BaseChain, ForeignRule, Test
from .iptables_save import BUILT_IN, parsed, target, unquoted

HOOKS = ("prerouting", "input", "forward", "postrouting")
FAMILIES = ("ip", "inet", "bridge")
IPTABLES = ("filter", "nat", "mangle", "raw", "security")  # its tables, of the family ip
MOST = 500
"""Rules that are kept of a chain: enough to tell what it does, and a list of a country's networks stays at home."""

KEYS = {"iifname": "iif", "iif": "iif", "oifname": "oif", "oif": "oif", "ibrname": "iif", "obrname": "oif"}
VERDICTS = ("accept", "drop", "reject", "masquerade", "snat", "return")

_Rules = Mapping[str, Sequence[list[dict[str, Any]]]]


def is_foreign(family: str, table: str, chain: str, *, uses_nft: bool) -> bool:
    """:param uses_nft: whether this host's iptables keeps its rules in nftables: those are read elsewhere."""
    own = uses_nft and family == "ip" and table in IPTABLES and chain in BUILT_IN
    return family in FAMILIES and not own


def base_chain(chain: BaseChain, document: Mapping[str, Any]) -> BaseChain:
    """The chain with its rules, and those of the chains that it jumps to.

    :param document: what ``nft -j -t list table`` has printed of its table.
    """
    rules: dict[str, list[list[dict[str, Any]]]] = {}
    for entry in document.get("nftables", []):
        if rule := entry.get("rule"):
            rules.setdefault(rule["chain"], []).append(rule.get("expr", []))
    return {**chain, "rules": list(islice(_rules(chain["chain"], rules, ()), MOST))}


def _rules(chain: str, rules: _Rules, above: tuple[str, ...]) -> Iterator[ForeignRule]:
    for expressions in rules.get(chain, ()):
        only: list[Test] = []
        for expression in expressions:
            ((kind, value),) = expression.items()
            if kind == "match":
                only.append(_test(value["left"], value["op"] == "!=", value["right"]))
            elif kind in ("limit", "quota"):
                only.append(("unknown", False, []))
            elif kind == "vmap":
                for key, verdict in _pairs(value["data"]):
                    yield from _verdict(verdict, rules, [*only, _test(value["key"], False, key)], (*above, chain))
            else:
                yield from _verdict(expression, rules, only, (*above, chain))


def _verdict(
    verdict: Mapping[str, Any], rules: _Rules, only: list[Test], above: tuple[str, ...]
) -> Iterator[ForeignRule]:
    ((kind, value),) = verdict.items()
    if kind in VERDICTS:
        yield {"does": kind, "only": only, "depth": len(above) - 1}
    elif kind in ("jump", "goto") and value["target"] not in above:  # the kernel allows no circle
        yield {"does": "jump", "only": only, "depth": len(above) - 1}
        yield from _rules(value["target"], rules, above)
        if kind == "goto":  # it does not come back
            yield {"does": "return", "only": only, "depth": len(above) - 1}


def _pairs(data: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Of a verdict map that is written in the rule; the name of another one says nothing."""
    if isinstance(data, dict):
        yield from data.get("set", [])


def _test(left: Mapping[str, Any], negated: bool, right: Any) -> Test:
    key, values = _key(left), list(_values(right))
    if any(value.startswith("@") for value in values):
        return "set", negated, values
    if key == "nfproto":
        # Whether the packet is one of IPv4 at all: true of all that podlab sends, or of none of it.
        return ("all" if ("ipv4" in values) != negated else "elsewhere"), False, values
    return key, negated, values


def _key(left: Mapping[str, Any]) -> str:
    """What of a packet is looked at, in this module's words."""
    ((kind, value),) = left.items()
    if kind == "payload" and value.get("protocol") == "ip6":
        return "elsewhere"
    if kind == "payload" and value.get("field") in ("saddr", "daddr") and value.get("protocol") == "ip":
        return str(value["field"])
    if kind == "payload" and value.get("field") == "dport":
        return "port"
    if kind == "meta" and value["key"] in KEYS:
        return KEYS[value["key"]]
    if kind == "meta" and value["key"] in ("nfproto", "protocol"):
        return "nfproto"
    if kind == "meta" and value["key"] == "l4proto":
        return "port"
    # "ct status dnat" is what iptables has among the states.
    return "state" if kind == "ct" and value.get("key") in ("state", "status") else "unknown"


def _values(right: Any) -> Iterator[str]:
    """``10.0.0.0/8``, ``10.1.0.0-10.1.0.9``, ``eth0``, ``@name``: whatever stands on the right of a comparison."""
    if isinstance(right, list):
        for one in right:
            yield from _values(one)
    elif not isinstance(right, dict):
        yield {"ip": "ipv4", "ip6": "ipv6"}.get(str(right), str(right))
    elif "set" in right:
        yield from _values(right["set"] if isinstance(right["set"], list) else [right["set"]])
    elif "prefix" in right:
        yield f"{right['prefix']['addr']}/{right['prefix']['len']}"
    elif "range" in right:
        yield "-".join(str(end) for end in right["range"])
    elif "elem" in right:
        yield from _values(right["elem"].get("val"))
    else:
        yield "?"


def from_iptables(text: str, tool: str) -> list[BaseChain]:
    """The same of what ``iptables-save`` prints: the built-in chains that stop or change packets."""
    found: list[BaseChain] = []
    for part in re.split(r"^\*", text, flags=re.MULTILINE)[1:]:
        table = part.split("\n", 1)[0]
        policies = dict(re.findall(r"^:(\S+) (ACCEPT|DROP) ", part, re.MULTILINE))
        chains = parsed(f"*{part}")[table]
        for name, policy in policies.items():
            rules = iptables_rules(name, chains)
            if name.lower() in HOOKS and (policy == "DROP" or rules):
                where = {"tool": tool, "family": "ip", "table": table, "chain": name, "hook": name.lower()}
                found.append({**where, "policy": policy.lower(), "rules": rules})  # type: ignore[typeddict-item]
    return found


def iptables_rules(chain: str, chains: Mapping[str, Sequence[str]], depth: int = 0) -> list[ForeignRule]:
    found: list[ForeignRule] = []
    for rule in chains.get(chain, ()):
        into = target(rule)
        only = _iptables_tests(rule)
        if into.lower() in VERDICTS:
            found.append({"does": into.lower(), "only": only, "depth": depth})
        elif into in chains and into != chain:
            below = {name: rules for name, rules in chains.items() if name != chain}
            found += [{"does": "jump", "only": only, "depth": depth}, *iptables_rules(into, below, depth + 1)]
    return found[:MOST]


_OPTIONS = {"-s": "saddr", "-d": "daddr", "-i": "iif", "-o": "oif", "--ctstate": "state", "--state": "state"}
_SAYS_NOTHING = {"-m": 1, "-p": 1, "--comment": 1}


def _iptables_tests(rule: str) -> list[Test]:
    """Of one rule; a word that is not known here makes it one of which nothing sure can be said."""
    words = iter(re.split(r"(?:^| )-[jg] ", unquoted(rule), maxsplit=1)[0].split())
    tests: list[Test] = []
    negated = False
    for word in words:
        if word == "!":
            negated = True
            continue
        if word in _OPTIONS:
            values = next(words, "").lower() if _OPTIONS[word] == "state" else next(words, "").replace("+", "*")
            tests.append((_OPTIONS[word], negated, values.split(",")))
        elif word in ("--dport", "--dports"):
            tests.append(("port", negated, [next(words, "")]))
        elif word in _SAYS_NOTHING:
            next(words, "")
        else:
            tests.append(("unknown", False, []))
        negated = False
    return tests

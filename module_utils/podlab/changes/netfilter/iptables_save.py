"""What ``iptables-save`` prints, and how to read it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

Tables = Mapping[str, Mapping[str, Sequence[str]]]
"""Table -> chain -> its rules as they are printed, without the leading ``-A CHAIN``."""

BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TARGET = re.compile(r"(?:^| )-[jg] (\S+)")


def parsed(text: str) -> dict[str, dict[str, list[str]]]:
    """The text as tables."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            chains[line[1:].split(" ", 1)[0]] = []
        elif line.startswith("-A "):
            _, chain, *rule = line.split(" ", 2)  # one that matches everything and leads nowhere is its chain alone
            chains.setdefault(chain, []).append(rule[0] if rule else "")
    return tables


@functools.lru_cache(4096)  # most rules of one host are those of every other
def target(rule: str) -> str:
    """The chain that a rule leads into. What a comment says of jumps does not count."""
    rule = unquoted(rule)
    at = rule.rfind("-j ")
    if (at > 0 and rule[at - 1] == " ") or at == 0:  # nearly always, and a third of the regular expression's time
        return rule[at + 3 :].partition(" ")[0]
    found = _TARGET.search(rule)
    return found[1] if found else ""


def unquoted(rule: str) -> str:
    """The rule without what its quotes hold."""
    return _QUOTED.sub('""', rule) if '"' in rule else rule

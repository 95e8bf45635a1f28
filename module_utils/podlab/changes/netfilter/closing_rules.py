"""Where a host's own chain ends for everybody: the REJECT or DROP that firewalls close a chain with.

What stands behind it is never read. A rule that means only some (an address, a port, packets out of the window, links
of others) is no such end: whoever wrote it meant those, and it stays before what podlab accepts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from .iptables_save import target, unquoted

REFUSALS = ("REJECT", "DROP")
_LOGS = ("LOG", "NFLOG", "ULOG", "TRACE")
_SAYS_NOTHING = {
    # option of iptables -> how many words follow it; none of them leaves new connections of pods out
    **{"-p": 1, "-m": 1, "--comment": 1, "--limit": 1, "--limit-burst": 1},
    **{"--ctstate": 1, "--state": 1, "-i": 1, "-o": 1, "-f": 0},
}


def end_of(rules: Sequence[str], chains: Mapping[str, Sequence[str]], links: Collection[str]) -> int | None:
    """The index of the first rule that refuses everybody, or of the rules right before it that log whom; None if
    there is none.

    :param chains: the table's other chains, as far as they are known: a firewall may have its end in one of its own.
    :param links: podlab's own and those that lead to other nodes.
    """
    for number, rule in enumerate(rules):
        if _refuses(rule, chains, links, ()):
            while number and target(rules[number - 1]) in _LOGS and _means_all(rules[number - 1], links):
                number -= 1
            return number
    return None


def _refuses(rule: str, chains: Mapping[str, Sequence[str]], links: Collection[str], above: tuple[str, ...]) -> bool:
    into = target(rule)
    leads_on = into in chains and into not in above
    if not (into in REFUSALS or leads_on) or not _means_all(rule, links):
        return False
    if into in REFUSALS:
        return True
    for inner in chains[into]:
        if _refuses(inner, chains, links, (*above, into)):
            return True
        if target(inner) in ("ACCEPT", "RETURN") and _means_all(inner, links):
            return False
    return False


def _means_all(rule: str, links: Collection[str]) -> bool:
    """Whether a rule is for new connections of whatever pod, of one protocol at least."""
    matches = re.split(r"(?:^| )-[jg] ", unquoted(rule), maxsplit=1)[0]
    return all(_is_wide(*option, links) for option in _options(iter(matches.split())))


def _options(words: Iterator[str]) -> Iterator[tuple[str, list[str], bool]]:
    negated = False
    for word in words:
        if word == "!":
            negated = True
        else:
            yield word, [next(words, "") for _ in range(_SAYS_NOTHING.get(word, 0))], negated
            negated = False


def _is_wide(option: str, values: Sequence[str], negated: bool, links: Collection[str]) -> bool:
    if option not in _SAYS_NOTHING:
        return False
    if option in ("-i", "-o"):
        return negated != any(_is_link(values[0], link) for link in links)
    if option in ("--ctstate", "--state"):
        return negated != ("NEW" in values[0].split(","))
    return not negated


def _is_link(pattern: str, link: str) -> bool:
    return link.startswith(pattern[:-1]) if pattern.endswith("+") else link == pattern

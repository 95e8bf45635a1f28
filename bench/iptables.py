"""Which iptables a host uses, what iptables-restore alone takes, and what iptables-save tells about a change."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping

from podlab.embedded import ENVIRONMENT

from . import processes
from .labs import BenchLab
from .processes import NotHere

KINDS = ("legacy", "nft")
LONGEST = 60
"""Seconds that a restore may take: with many chains iptables-nft takes the square of their number."""
_CHAIN = re.compile("KUBE-(?:SVC|SVL|EXT|FW|SEP)-[A-Z2-7]{16}")
_COUNTED = re.compile(r"^\[(\d+):\d+\] (-A \S+.*)$", re.MULTILINE)
_PORTAL = re.compile(r'^-A KUBE-SERVICES -d ([0-9.]+)/32 .*--comment "(\S+) cluster IP"', re.MULTILINE)


def use(made: BenchLab, host: str, kind: str) -> None:
    """Make ``iptables`` be of this kind on a host of a lab, whose /etc is its own.

    :raises NotHere: the machine has it not.
    """
    program = shutil.which(f"iptables-{kind}", path=ENVIRONMENT["PATH"])
    if not program or not shutil.which("update-alternatives", path=ENVIRONMENT["PATH"]):
        raise NotHere(f"iptables-{kind} cannot be chosen here by update-alternatives")
    made.on(host, "update-alternatives", "--quiet", "--set", "iptables", program)


def restore(made: BenchLab, host: str, kind: str, text: str, *options: str) -> float:
    """Seconds of ``iptables-restore`` in a network namespace that has no rules yet.

    iptables-nft wants all of a table in one transaction, for which a user namespace has no room: so it runs beside the
    labs, as root alone can do.

    :raises NotHere: this user cannot, or it takes too long.
    """
    outside = kind == "nft"
    if outside and os.getuid():
        raise NotHere("iptables-nft-restore of so much at once takes root")
    file = made.directory / "rules" if outside else "/tmp/rules"  # on a host /tmp is its own
    program = f"unshare --net timeout {LONGEST} iptables-{kind}-restore {' '.join(options)}"
    script = f"cat >{file}; date +%s%N; {program} <{file}; date +%s%N"
    argv = ["sh", "-euc", script]
    try:
        done = processes.run(argv, text, ENVIRONMENT) if outside else made.on(host, *argv, text=text)
    except processes.Failed as error:
        if "exit code 124" in str(error):  # timeout's
            raise NotHere(f"not within {LONGEST} s") from error
        raise
    before, after = map(int, done.out.split())
    return (after - before) / 1e9


def portals(saved: str) -> dict[str, str]:
    """Service -> its cluster IP, in the order in which a packet meets them."""
    return {service: ip for ip, service in _PORTAL.findall(saved)}


def counters(saved: str) -> dict[str, int]:
    """Rule -> packets that it has counted, of ``iptables-save -c``. Equal ones of several tables count together."""
    found: dict[str, int] = {}
    for count, rule in _COUNTED.findall(saved):
        found[rule] = found.get(rule, 0) + int(count)
    return found


def own_chains(rules: Iterable[str], service: str) -> set[str]:
    """The chains of one service of one port: the one that its cluster IP leads to, and those behind it."""
    rules = list(rules)
    doors = {chain for rule in rules if f'"{service} cluster IP"' in rule for chain in _CHAIN.findall(rule)}
    return doors | {chain for rule in rules if rule.split()[1] in doors for chain in _CHAIN.findall(rule)}


def typed(output: str) -> list[str]:
    """The lines for iptables of what ``--diff`` shows, and those that say that there are more."""
    return re.findall(r"^(?:iptables -t |# \.\.\. and ).*", output, re.MULTILINE)


def of_others(lines: Iterable[str], own: Collection[str]) -> list[str]:
    """Lines that are not about these chains alone: rules of other chains, whole chains that all services share, and
    what is too long to be shown."""
    return [line for line in lines if not (chains := set(_CHAIN.findall(line))) or not chains <= set(own)]


def touched(before: Mapping[str, int], after: Mapping[str, int], own: Collection[str]) -> list[str]:
    """Rules that are not about these chains, and have gone, or have begun to count anew."""
    return [
        rule
        for rule, count in before.items()
        if not set(_CHAIN.findall(rule)) & set(own) and after.get(rule, -1) < count
    ]

"""Networks and addresses as they are written, and the words for what is wrong with them.

Addresses are integers where they are worked with. ``ipaddress`` reads and writes them; comparing thousands of its
networks with each other would be the slowest part of a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from socket import inet_aton, inet_ntoa  # noqa: TID251 - they translate, and speak to nobody
from typing import TypeVar

NO_IPV6 = "IPv6 is not supported, the lab is IPv4"


def overlaps(named: Mapping[str, str]) -> list[str]:
    """Every pair of ranges that share an address, one line each; a range that is none has its own line.

    :param named: a handful of CIDRs by what the user calls them, such as ``podlab_service_cidr``.
    :return: problems for the caller to collect; nothing is raised.
    """
    problems: list[str] = []
    networks = {name: parsed_network(name, text, problems) for name, text in named.items()}
    for (one, first), (other, second) in combinations(networks.items(), 2):
        if first and second and first.overlaps(second):
            problems.append(f"{one} {first} overlaps with {other} {second}")
    return problems


def parsed_network(path: str, text: str, problems: list[str]) -> IPv4Network | None:
    invalid = f'{path}: Invalid value: "{text}": '
    if ":" in str(text):
        problems.append(f"{invalid}{NO_IPV6}")
        return None
    try:
        network = IPv4Network(str(text), strict=False)
    except ValueError:
        network = None
    # ipaddress also reads a bare address and a dotted netmask; Kubernetes does not.
    if network is None or not str(text).endswith(f"/{network.prefixlen}"):
        problems.append(f"{invalid}must be a valid CIDR value, (e.g. 10.9.8.0/24)")
        return None
    if str(network) != str(text):
        problems.append(f"{invalid}network has host bits set; the network address is {network}")
        return None
    return network


def addresses_of(network: str) -> range:
    """All of a sound network's."""
    parsed = IPv4Network(network)
    return range(int(parsed[0]), int(parsed[-1]) + 1)


def dotted(number: int) -> str:
    return inet_ntoa(number.to_bytes(4, "big"))


def parsed_address(path: str, text: str, problems: list[str]) -> int | None:
    try:
        packed = inet_aton(text)  # a tenth of the time, but it takes "10.1" for an address, too
        if inet_ntoa(packed) == text:
            return int.from_bytes(packed, "big")
    except (OSError, TypeError, ValueError):
        pass
    try:
        return int(IPv4Address(str(text)))
    except ValueError:
        wrong = NO_IPV6 if ":" in str(text) else "must be a valid IP address, (e.g. 10.9.8.7)"
        problems.append(f'{path}: Invalid value: "{text}": {wrong}')
        return None


_Name = TypeVar("_Name")


def parsed_addresses(path: str, named: Iterable[tuple[_Name, str]], problems: list[str]) -> dict[_Name, int]:
    numbers = {key: parsed_address(f"{path}[{key}]", text, problems) for key, text in named}
    return {key: number for key, number in numbers.items() if number is not None}


def check_names(path: str, names: Sequence[str], problems: list[str]) -> None:
    if isinstance(names, str):  # a sequence too, of letters
        problems.append(f'{path}: Invalid value: "{names}": must be a list of names')
        return
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            problems.append(f'{path}[{index}]: Duplicate value: "{name}"')
        seen.add(name)


def shortage(fit: str, wanted: Sequence[str], left: Sequence[str], why: str, obstacles: Sequence[object]) -> str:
    """How many of the wanted fit, who is left without, and what stands in the way."""
    return f": {len(wanted) - len(left)} of {len(wanted)} {fit}; none for {_some(left)}" + (
        f"; {why}: {_some(obstacles)}" if obstacles else ""
    )


def _some(things: Sequence[object], limit: int = 10) -> str:
    """The first few, and how many more: an error must fit on a screen."""
    more = len(things) - limit
    return ", ".join(map(str, things[:limit])) + (f" and {more} more" if more > 0 else "")

"""Which pod of a node has which address.

A pure function of what is wanted and what is there. What is there and still fits is kept, so adding or removing a pod
never renumbers another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

from ...changes import MAC_PREFIX
from ..model import Invalid
from .parsing import check_names, dotted, parsed_address, parsed_addresses, parsed_network, shortage

LONGEST_POD_PREFIX = 30  # network, gateway, one pod, broadcast


def pod_addresses(
    pods: Sequence[str],
    pod_cidr: str,
    present: Mapping[str, str] | None = None,
    cursor: str | None = None,
    taken: Iterable[str] = (),
) -> tuple[dict[str, str], str | None]:
    """Give every pod of one node an address, round robin, as the host-local plugin does.

    :param pods: pod names, each once; the result has their order.
    :param pod_cidr: the node's pod CIDR. Its first address is the pods' gateway and never given out.
    :param present: the address each pod has now. It is kept if a pod can have it; of two pods that claim
        the same one, the first in ``pods`` keeps it. The address of a pod no longer in ``pods`` is freed.
    :param cursor: what the last call returned; None, or an address outside of the CIDR, starts afresh.
    :param taken: addresses not to give out, wherever they lie. A pod that has one already keeps it.
    :return: the address of each pod, and the cursor for the next call: the last address given out, or one
        freed in this call that lies right behind it.
    :raises Invalid: with every problem found, or the pods that no address is left for.

    An address freed in this call is not the next one given out, neither in this call nor in the next one,
    unless there is no other: a neighbour may still hold the old pod's connections and MAC address.
    host-local keeps to the plain circle, which may reach a freed address at once.
    https://www.cni.dev/plugins/current/ipam/host-local/
    """
    problems: list[str] = []
    check_names("pods", pods, problems)
    network = _pod_network(pod_cidr, problems)
    claims = parsed_addresses("present", (present or {}).items(), problems)
    foreign = set(parsed_addresses("taken", enumerate(taken), problems).values())
    last = None if cursor is None else parsed_address("cursor", cursor, problems)
    if problems or network is None:
        raise Invalid(problems)
    usable = _usable(network)
    # The circle begins right behind the gateway.
    last = usable.start - 1 if last is None or last not in usable else last
    kept = _granted(pods, claims, usable)
    held = set(kept.values())
    freed = {address for address in claims.values() if address in usable} - held - foreign
    circle = chain(range(last + 1, usable.stop), range(usable.start, last + 1))
    unavailable = held | foreign | freed
    fresh = (address for address in circle if address not in unavailable)
    new = [pod for pod in pods if pod not in kept]
    given = dict(zip(new, chain(fresh, _ahead(freed, last, usable)), strict=False))
    if len(given) < len(new):
        obstacles = [IPv4Address(address) for address in usable if address in foreign - held]
        words = f"no IP addresses available in range set: {network[1]}-{network[-2]}"
        raise Invalid([words + shortage("pods fit", pods, new[len(given) :], "taken", obstacles)])
    last = _behind_freed(next(reversed(given.values()), last), freed, next(fresh, None), usable)
    assigned = {pod: dotted(kept[pod] if pod in kept else given[pod]) for pod in pods}
    return assigned, dotted(last) if last in usable else None


def capacity(pod_cidr: str) -> int:
    """How many pods a node with this pod CIDR can hold: 13 for a /28.

    All but the network address, the gateway and the broadcast address. Raises Invalid if there is no room.
    """
    return len(_usable(_sound_pod_network(pod_cidr)))


def gateway(pod_cidr: str) -> str:
    """The pods' gateway, which the node's bridge holds: the first address of the pod CIDR.

    The bridge plugin chooses the same one (``isGateway``). Raises Invalid if the CIDR has no room for pods.
    https://www.cni.dev/plugins/current/main/bridge/
    """
    return str(_sound_pod_network(pod_cidr)[1])


def pod_mac(address: str) -> str:
    """The MAC address of a pod's wire: ``0a:58`` and the four bytes of its IPv4 address.

    The CNI plugins derive it this way. It is locally administered (RFC 9542, 2.1), and a pod that keeps
    its address keeps its MAC, so no neighbour's ARP entry goes stale. Raises Invalid for anything but IPv4.
    """
    problems: list[str] = []
    number = parsed_address("address", address, problems)
    if number is None:
        raise Invalid(problems)
    return MAC_PREFIX + number.to_bytes(4, "big").hex(":")


def _granted(pods: Sequence[str], claims: Mapping[str, int], usable: range) -> dict[str, int]:
    """The claims that stand: each on a usable address, the first in the order of pods."""
    granted: dict[int, str] = {}
    for pod in pods:
        if pod in claims and claims[pod] in usable:
            granted.setdefault(claims[pod], pod)
    return {pod: address for address, pod in granted.items()}


def _ahead(addresses: Iterable[int], last: int, usable: range) -> list[int]:
    """In the order in which one meets them on the circle of usable addresses, ``last`` itself in the end."""
    return sorted(addresses, key=lambda address: (address - last - 1) % len(usable))


def _behind_freed(last: int, freed: Iterable[int], following: int | None, usable: range) -> int:
    """Move the cursor over what was freed between it and the address that shall follow."""
    if following is None:
        return last
    path = _ahead([*freed, following], last, usable)
    passed = path[: path.index(following)]
    return passed[-1] if passed else last


def _usable(network: IPv4Network) -> range:
    return range(int(network[2]), int(network.broadcast_address))


def _sound_pod_network(text: str) -> IPv4Network:
    problems: list[str] = []
    network = _pod_network(text, problems)
    if network is None:
        raise Invalid(problems)
    return network


def _pod_network(text: str, problems: list[str]) -> IPv4Network | None:
    network = parsed_network("pod_cidr", text, problems)
    if network and network.prefixlen > LONGEST_POD_PREFIX:
        problems.append(f'pod_cidr: Invalid value: "{text}": Network {network} too small to allocate from')
        return None
    return network

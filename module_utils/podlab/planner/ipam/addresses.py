"""Who gets which address: a CIDR for each node, an address for each pod.

Both allocators are pure functions of what is wanted and what is there. What is there and still fits
is kept, so adding or removing a node or a pod never renumbers another.

Addresses are integers in here. ``ipaddress`` reads and writes them; comparing thousands of its
networks with each other would be the slowest part of a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import chain, combinations
from socket import inet_aton, inet_ntoa  # noqa: TID251 - they translate, and speak to nobody
from typing import Any

from ...changes import MAC_PREFIX as MAC_PREFIX
from ..model import Invalid

LONGEST_NODE_PREFIX = 28  # flannel's limit too: what is smaller holds hardly more than its own overhead
LONGEST_POD_PREFIX = 30  # network, gateway, one pod, broadcast
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
NO_IPV6 = "IPv6 is not supported, the lab is IPv4"


def pod_cidrs(
    nodes: Sequence[str],
    cluster_cidr: str,
    prefix: int = 24,
    reserved: Iterable[str] = (),
    present: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Give every node a pod CIDR of its own out of the cluster CIDR.

    :param nodes: node names, each once; the result has their order.
    :param cluster_cidr: the range of all pods, such as ``10.1.0.0/16``.
    :param prefix: prefix length of a node's CIDR, from the cluster's own to 28.
    :param reserved: ranges that no new CIDR may touch: the service CIDR, the node network, what a host
        routes elsewhere. Written as ``ip route`` does: an address alone is a /32, and the default route
        (``default``, ``0.0.0.0/0``) is no reservation.
    :param present: the CIDR each node has now. It is kept, even if a reserved range has come to lie on
        it: pods that run beat a route that came later. The CIDR of a node no longer in ``nodes`` is free.
    :raises Invalid: with every problem found.

    A new node gets the first free block, counted from the second: the first block of the cluster CIDR
    is given out last, so that node1 of 10.1.0.0/16 has 10.1.1.0/24. This is not the round robin of
    Kubernetes' range allocator, because a cluster that is planned twice from nothing should look the same.
    Kubernetes accepts CIDRs of two nodes that overlap; here they are refused.
    https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
    (``--allocate-node-cidrs``, ``--node-cidr-mask-size``)
    """
    problems: list[str] = []
    _check_names("nodes", nodes, problems)
    blocks = _cut(cluster_cidr, prefix, problems)
    foreign = _reserved(reserved, problems)
    kept = _kept(nodes, present or {}, blocks, problems)
    if problems or blocks is None:
        raise Invalid(problems)

    new = [node for node in nodes if node not in kept]
    taken = (blocks.touched(network) for network in chain(kept.values(), foreign))
    given = {node: blocks.block(number) for node, number in zip(new, blocks.free(taken), strict=False)}
    if len(given) < len(new):
        obstacles = {network for network in foreign if network.overlaps(blocks.cluster)}
        # The widest first: it may be the one route that covers the whole cluster CIDR.
        widest_first = sorted(obstacles, key=lambda network: (network.prefixlen, network))
        raise Invalid(
            [
                f'podlab_cluster_cidr: Invalid value: "{blocks.cluster}": CIDR allocation failed; '
                "there are no remaining CIDRs left to allocate in the accepted range"
                + _shortage(f"nodes fit, a /{prefix} each", nodes, new[len(given) :], "reserved", widest_first)
            ]
        )
    return {node: str(kept.get(node) or given[node]) for node in nodes}


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
    _check_names("pods", pods, problems)
    network = _pod_network(pod_cidr, problems)
    claims = _numbers("present", (present or {}).items(), problems)
    foreign = set(_numbers("taken", enumerate(taken), problems).values())
    last = None if cursor is None else _address("cursor", cursor, problems)
    if problems or network is None:
        raise Invalid(problems)

    usable = _usable(network)
    if last is None or last not in usable:
        last = usable.start - 1  # the gateway: the circle begins right behind it
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
        raise Invalid(
            [
                f"no IP addresses available in range set: {network[1]}-{network[-2]}"
                + _shortage("pods fit", pods, new[len(given) :], "taken", obstacles)
            ]
        )
    last = _behind_freed(next(reversed(given.values()), last), freed, next(fresh, None), usable)
    assigned = {pod: _dotted(kept[pod] if pod in kept else given[pod]) for pod in pods}
    return assigned, _dotted(last) if last in usable else None


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
    number = _address("address", address, problems)
    if number is None:
        raise Invalid(problems)
    return MAC_PREFIX + number.to_bytes(4, "big").hex(":")


def overlaps(named: Mapping[str, str]) -> list[str]:
    """Every pair of ranges that share an address, one line each; a range that is none has its own line.

    :param named: a handful of CIDRs by what the user calls them, such as ``podlab_service_cidr``.
    :return: problems for the caller to collect; nothing is raised.
    """
    problems: list[str] = []
    networks = {name: _network(name, text, problems) for name, text in named.items()}
    for (one, first), (other, second) in combinations(networks.items(), 2):
        if first and second and first.overlaps(second):
            problems.append(f"{one} {first} overlaps with {other} {second}")
    return problems


@dataclass(frozen=True)
class _Blocks:
    """The cluster CIDR cut into blocks of one size, numbered from 0."""

    cluster: IPv4Network
    prefix: int

    @property
    def count(self) -> int:
        return 1 << (self.prefix - self.cluster.prefixlen)

    def block(self, number: int) -> IPv4Network:
        start = int(self.cluster.network_address) + (number << (32 - self.prefix))
        return IPv4Network((start, self.prefix))

    def touched(self, network: IPv4Network) -> tuple[int, int]:
        """First and last number of the blocks that a network lies on; outside of 0..count-1 for strangers."""
        base = int(self.cluster.network_address)
        first, last = int(network.network_address) - base, int(network.broadcast_address) - base
        return first >> (32 - self.prefix), last >> (32 - self.prefix)

    def free(self, taken: Iterable[tuple[int, int]]) -> Iterator[int]:
        """Numbers that no span of ``taken`` covers, upwards from 1, and 0 in the end."""
        following, zero_is_free = 1, True
        for first, last in sorted(taken):
            yield from range(following, min(first, self.count))
            following = max(following, last + 1)
            zero_is_free = zero_is_free and not first <= 0 <= last
        yield from range(following, self.count)
        if zero_is_free:
            yield 0


def _cut(cluster_cidr: str, prefix: int, problems: list[str]) -> _Blocks | None:
    cluster = _network("podlab_cluster_cidr", cluster_cidr, problems)
    if not isinstance(prefix, int) or isinstance(prefix, bool):
        problems.append(f'prefix: Invalid value: "{prefix}": must be an integer')
    elif prefix > LONGEST_NODE_PREFIX:
        problems.append(
            f"prefix: Invalid value: {prefix}: network is too small. "
            f"Minimum useful network prefix is /{LONGEST_NODE_PREFIX}"
        )
    elif cluster and prefix < cluster.prefixlen:
        problems.append(f"prefix: Invalid value: {prefix}: a /{prefix} does not fit into cluster cidr {cluster}")
    elif cluster:
        return _Blocks(cluster, prefix)
    return None


def _reserved(ranges: Iterable[str], problems: list[str]) -> list[IPv4Network]:
    networks = []
    for index, text in enumerate(ranges):
        path = f"reserved[{index}]"
        network: IPv4Network | None
        if text == "default":
            continue
        if "/" in str(text):
            network = _network(path, text, problems)
        else:
            address = _address(path, text, problems)
            network = None if address is None else IPv4Network(address)
        if network and network != DEFAULT_ROUTE:
            networks.append(network)
    return networks


def _kept(
    nodes: Sequence[str], present: Mapping[str, str], blocks: _Blocks | None, problems: list[str]
) -> dict[str, IPv4Network]:
    """The CIDRs of nodes that stay. All have the wanted size, so two overlap only if they are equal."""
    kept: dict[str, IPv4Network] = {}
    owners: dict[IPv4Network, str] = {}
    for node in dict.fromkeys(nodes):
        if node not in present:
            continue
        path = f"present[{node}]"
        network = _network(path, present[node], problems)
        if network is None or blocks is None:
            continue
        invalid = f'{path}: Invalid value: "{network}": '
        if not network.subnet_of(blocks.cluster):
            problems.append(f"{invalid}cidr {network} is out the range of cluster cidr {blocks.cluster}")
        elif network.prefixlen != blocks.prefix:
            problems.append(f"{invalid}a /{blocks.prefix} is wanted now; run `./lab down` first")
        elif network in owners:
            problems.append(f"{invalid}{node} and {owners[network]} have the same pod CIDR")
        else:
            kept[node] = network
            owners[network] = node
    return kept


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
    network = _network("pod_cidr", text, problems)
    if network and network.prefixlen > LONGEST_POD_PREFIX:
        problems.append(f'pod_cidr: Invalid value: "{text}": Network {network} too small to allocate from')
        return None
    return network


def _network(path: str, text: str, problems: list[str]) -> IPv4Network | None:
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


def _dotted(number: int) -> str:
    return inet_ntoa(number.to_bytes(4, "big"))


def _address(path: str, text: str, problems: list[str]) -> int | None:
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


def _numbers(path: str, named: Iterable[tuple[Any, str]], problems: list[str]) -> dict[Any, int]:
    numbers = {key: _address(f"{path}[{key}]", text, problems) for key, text in named}
    return {key: number for key, number in numbers.items() if number is not None}


def _check_names(path: str, names: Sequence[str], problems: list[str]) -> None:
    if isinstance(names, str):  # a sequence too, of letters
        problems.append(f'{path}: Invalid value: "{names}": must be a list of names')
        return
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            problems.append(f'{path}[{index}]: Duplicate value: "{name}"')
        seen.add(name)


def _shortage(fit: str, wanted: Sequence[str], left: Sequence[str], why: str, obstacles: Sequence[object]) -> str:
    """How many of the wanted fit, who is left without, and what stands in the way."""
    return f": {len(wanted) - len(left)} of {len(wanted)} {fit}; none for {_some(left)}" + (
        f"; {why}: {_some(obstacles)}" if obstacles else ""
    )


def _some(things: Sequence[object], limit: int = 10) -> str:
    """The first few, and how many more: an error must fit on a screen."""
    more = len(things) - limit
    return ", ".join(map(str, things[:limit])) + (f" and {more} more" if more > 0 else "")

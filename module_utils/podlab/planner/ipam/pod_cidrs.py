"""Which node has which pod CIDR.

A pure function of what is wanted and what is there. What is there and still fits is kept, so adding or removing a node
never renumbers another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import chain

from ..model import Invalid
from .parsing import check_names, parsed_address, parsed_network, shortage

LONGEST_NODE_PREFIX = 28  # flannel's limit too: what is smaller holds hardly more than its own overhead
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")


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
    check_names("nodes", nodes, problems)
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
                + shortage(f"nodes fit, a /{prefix} each", nodes, new[len(given) :], "reserved", widest_first)
            ]
        )
    return {node: str(kept.get(node) or given[node]) for node in nodes}


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
    cluster = parsed_network("podlab_cluster_cidr", cluster_cidr, problems)
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
            network = parsed_network(path, text, problems)
        else:
            address = parsed_address(path, text, problems)
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
        network = parsed_network(path, present[node], problems)
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

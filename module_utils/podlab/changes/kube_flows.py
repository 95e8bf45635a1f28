"""UDP connections that the kernel goes on sending to where no service leads any more.

A UDP client keeps its port, so the kernel keeps its entry, with the address of an endpoint that may have gone. (TCP
notices by itself, and kube-proxy leaves it and SCTP alone as well.)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from .services import ServicesRow

Frontends = Mapping[tuple[str, int], Collection[str]]
"""(address, port) -> ``address:port`` of its endpoints. A node port's address is empty: it is each of the node's."""


class Flow(NamedTuple):
    """An entry, as far as it matters here: whom the client called, and who is to answer."""

    address: str
    port: int
    by: str
    by_port: int


_FLOW = re.compile(r"src=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+)")


def flows(text: str) -> list[Flow]:
    """What ``conntrack -L -p udp`` prints."""
    found = map(_FLOW.search, text.splitlines())
    return [Flow(flow[1], int(flow[2]), flow[3], int(flow[4])) for flow in found if flow]


def has_udp(row: ServicesRow) -> bool:
    return any(port["protocol"] == "udp" for port in row["ports"])


def stale(found: Iterable[Flow], own: Collection[str], old: ServicesRow | None, new: ServicesRow) -> list[Flow]:
    """Entries of services that lead to an endpoint which is none of theirs (any more), or nowhere though there is one.

    :param own: the node's addresses, where node ports are.
    :param old: what was there before: entries of a service that has gone are told by it.
    """
    there, before = dict(_frontends(new)), dict(_frontends(old)) if old else {}
    return list(dict.fromkeys(flow for flow in found if _is_stale(flow, own, before, there)))


def _is_stale(flow: Flow, own: Collection[str], before: Frontends, there: Frontends) -> bool:
    for key in ((flow.address, flow.port), ("", flow.port)):
        if key not in there and key not in before:
            continue
        if not key[0] and flow.address not in own and not flow.address.startswith("127."):
            continue  # another host's port of that number
        if key in there:
            return f"{flow.by}:{flow.by_port}" not in there[key] and bool(there[key] or flow.by != flow.address)
        return flow.by != flow.address
    return False


def _frontends(row: ServicesRow) -> Iterator[tuple[tuple[str, int], Collection[str]]]:
    for port in row["ports"]:
        if port["protocol"] != "udp":
            continue
        # One that drains serves on; of the others kube-proxy forgets the connections.
        serving = {f"{end['address']}:{end['port']}" for end in port["endpoints"] if end["ready"] or end["serving"]}
        for address in (port["cluster_ip"], *port["external_ips"], *port["load_balancer_ips"]):
            yield (address, port["port"]), serving
        if port["node_port"]:
            yield ("", port["node_port"]), serving


def deletion(flow: Flow) -> list[str]:
    """The command that ends such entries; they may be several clients'."""
    called = ["--orig-dst", flow.address, "--orig-port-dst", str(flow.port)]
    return ["conntrack", "-D", "-p", "udp", *called, "--reply-src", flow.by, "--reply-port-src", str(flow.by_port)]

"""UDP connections that the kernel goes on sending to where no service, or no host port, leads any more.

A UDP client keeps its port, so the kernel keeps its entry, with the address of an endpoint that may have gone, or with
the node's own, if it called before there was anybody. (TCP
notices by itself, and kube-proxy leaves it and SCTP alone as well.)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ...configs import ServicesConfig
from ..netfilter.iptables_save import unquoted

Frontends = Mapping[tuple[str, int], Collection[str]]
"""(address, port) -> ``address:port`` of its endpoints. A node port's address is empty: it is each of the node's."""


class ConntrackFlow(NamedTuple):
    """An entry, as far as it matters here: whom the client called, and who is to answer."""

    address: str
    port: int
    by: str
    by_port: int


_HOST_PORT = re.compile(r"^(?:-d (\S+)/32 )?-p udp .*--dport (\d+) -j DNAT --to-destination (\S+)$")
_FLOW = re.compile(r"src=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+)")


def flows(text: str) -> list[ConntrackFlow]:
    """What ``conntrack -L -p udp`` prints."""
    found = map(_FLOW.search, text.splitlines())
    return [ConntrackFlow(flow[1], int(flow[2]), flow[3], int(flow[4])) for flow in found if flow]


def has_udp(row: ServicesConfig) -> bool:
    return any(port["protocol"] == "udp" for port in row["ports"])


def stale(
    found: Iterable[ConntrackFlow], own: Collection[str], old: ServicesConfig | None, new: ServicesConfig
) -> list[ConntrackFlow]:
    """Entries of services that lead to an endpoint which is none of theirs (any more), or nowhere though there is one.

    :param own: the node's addresses, where node ports are.
    :param old: what was there before: entries of a service that has gone are told by it.
    """
    return astray(found, own, frontends(old) if old else {}, frontends(new))


def astray(
    found: Iterable[ConntrackFlow], own: Collection[str], before: Frontends, there: Frontends
) -> list[ConntrackFlow]:
    """The same of whatever leads to endpoints: a host port does so as well."""
    return list(dict.fromkeys(flow for flow in found if _is_astray(flow, own, before, there)))


def _is_astray(flow: ConntrackFlow, own: Collection[str], before: Frontends, there: Frontends) -> bool:
    keys = [(flow.address, flow.port)]
    if flow.address in own or flow.address.startswith("127."):  # or it is another host's port of that number
        keys.append(("", flow.port))
    for key in keys:
        if key in there:
            return f"{flow.by}:{flow.by_port}" not in there[key] and bool(there[key] or flow.by != flow.address)
    return any(key in before for key in keys) and flow.by != flow.address


def host_ports(rules: Iterable[str]) -> dict[tuple[str, int], Collection[str]]:
    """UDP ports of the node that lead to a pod, from the rules that lead there."""
    found = (_HOST_PORT.search(unquoted(rule)) for rule in rules)
    # Of two rules for one port the kernel heeds the first.
    return {(port[1] or "", int(port[2])): {port[3]} for port in reversed([*filter(None, found)])}


def frontends(row: ServicesConfig) -> Frontends:
    return dict(_frontends(row))


def _frontends(row: ServicesConfig) -> Iterator[tuple[tuple[str, int], Collection[str]]]:
    for port in row["ports"]:
        if port["protocol"] != "udp":
            continue
        # One that drains serves on; of the others kube-proxy forgets the connections.
        serving = {f"{end['address']}:{end['port']}" for end in port["endpoints"] if end["ready"] or end["serving"]}
        for address in (port["cluster_ip"], *port["external_ips"], *port["load_balancer_ips"]):
            yield (address, port["port"]), serving
        if port["node_port"]:
            yield ("", port["node_port"]), serving


def deletion(flow: ConntrackFlow) -> list[str]:
    """The command that ends such entries; they may be several clients'."""
    called = ["--orig-dst", flow.address, "--orig-port-dst", str(flow.port)]
    return ["conntrack", "-D", "-p", "udp", *called, "--reply-src", flow.by, "--reply-port-src", str(flow.by_port)]

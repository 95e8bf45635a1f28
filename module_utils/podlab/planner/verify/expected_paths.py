"""Where a call of a Service goes: what the rules of each node do with it, and which source address is seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TypedDict

from ...changes.kube_proxy.endpoints import by_address, cluster_wide, on_node
from ...configs import ServicePortConfig
from ..configs.services import addresses_of
from ..inputs.host import Host
from ..inputs.settings import Cluster
from ..ipam.pod_addresses import gateway
from ..routing.registry import pod_routing
from ..services.backends import ZONE
from .expectations import End

ANSWER, LATE, REFUSED, SILENCE = "answer", "late answer", "refused", "silence"


class Probe(TypedDict):
    """One client, one address of a Service, and what has to come of it."""

    source: str
    """Name of an end."""
    caller: str
    """The address that it calls from: its own, and of several the one that it calls."""
    service: str
    """``default/web:http``."""
    address: str
    port: int
    protocol: str
    path: list[str]
    """The nodes whose connection tracking tells where a call went, in the order in which it passes them."""
    outcome: str
    """``answer`` (also one of a pod that serves nothing there), ``refused`` by the node, ``silence``."""
    backends: dict[str, str]
    """``10.1.1.2:8080`` -> the source address that it has to see; empty where that is not podlab's to say."""
    no_reply: list[str]
    """Those that are reached, and whose answer does not find its way back."""
    homes: dict[str, str]
    """``10.1.1.2:8080`` -> the node that it is on."""
    sticky: bool
    """One client meets one endpoint, always the same."""
    tries: int


@dataclass(frozen=True)
class NodeView:
    """A node that turns addresses."""

    name: str
    address: str
    bridge: str
    cidr: IPv4Network
    zone: str
    others: tuple[str, ...]
    """Further addresses of its own, for who is on it."""


@dataclass(frozen=True)
class _Call:
    """A packet as it comes to the node that turns its address. ``at`` is the node it came from, or nothing."""

    end: End
    source: str
    at: str
    place: NodeView


@dataclass(frozen=True)
class ExpectedPath:
    """Where the rules of a node lead a call."""

    backends: tuple[str, ...] = ()
    masquerade: bool = False
    outcome: str = ANSWER


def service_port(port: ServicePortConfig) -> str:
    return port["service"] + (f":{port['port_name']}" if port["port_name"] else "")


class ExpectedPaths:
    """Ends and nodes of a run, and what they may ask of one port of a Service."""

    def __init__(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str], ends: Sequence[End]) -> None:
        self.cluster = cluster
        self.within = IPv4Network(cluster.cidr)
        self.places = {
            host.name: NodeView(
                host.name,
                host.address,
                gateway(cidrs[host.name]),
                IPv4Network(cidrs[host.name]),
                host.all_labels().get(ZONE, ""),
                _others(cluster, host, cidrs[host.name]),
            )
            for host in hosts
            if host.role == "node" and host.is_managed
        }
        untouched = [IPv4Network(cidr) for cidr in (cluster.cidr, *cluster.non_masquerade_cidrs)]
        self.kept = {  # nodes that see a pod's own address
            host.name
            for host in hosts
            if host.role == "node" and any(IPv4Address(host.address) in cidr for cidr in untouched)
        }
        way, nodes = pod_routing(cluster), {host.name: host for host in hosts}
        self.sources = {name: way.source_address(nodes[name], cidrs[name]) for name in self.places}
        self.inside = [end for end in ends if end["kind"] in ("pod", "node") and end["host"] in self.places]
        self.outside = [end for end in ends if end["kind"] == "outside"]
        self.at_others = sum(len(self.places[end["host"]].others) for end in self.inside)

    def count(self, port: ServicePortConfig) -> int:
        """How many asks there are about a port."""
        addresses = 1 + len(port["external_ips"]) + len(port["load_balancer_ips"])
        at_nodes = len(self.places) * (len(self.inside) + len(self.outside) + 1) + self.at_others
        return addresses * len(self.inside) + (at_nodes if port["node_port"] else 0)

    def asks(self, port: ServicePortConfig) -> Iterator[Probe]:
        """From outside only node ports are asked for: the way to all other addresses is not podlab's."""
        for end in self.inside:
            call = self._call(end, self.places[end["host"]])
            yield self._ask(port, call, port["cluster_ip"], port["port"], self._to_cluster_ip(port, call))
            way = self._to_outer(port, call)
            if way.outcome == REFUSED and end["kind"] == "node":
                continue  # kube-proxy refuses what comes to a node, and lets go what leaves it
            for address in port["external_ips"]:
                yield self._ask(port, call, address, port["port"], way)
            for address in port["load_balancer_ips"]:
                yield self._ask(port, call, address, port["port"], _guarded(port, call.source, way))
        if port["node_port"]:
            for place in self.places.values():
                yield from self._at_node(port, place)

    def _at_node(self, port: ServicePortConfig, place: NodeView) -> Iterator[Probe]:
        number = port["node_port"]
        for end in (*self.inside, *self.outside):
            call = self._call(end, place)
            yield self._ask(port, call, place.address, number, self._to_node_port(port, call, place.address))
            # The way to its other addresses is podlab's for who is on it.
            for address in place.others if call.at == place.name else ():
                own = _Call(end, address, place.name, place) if end["name"] == place.name else call
                yield self._ask(port, own, address, number, self._to_node_port(port, own, address))
            if end["name"] == place.name:
                call = _Call(end, "127.0.0.1", place.name, place)
                yield self._ask(port, call, "127.0.0.1", number, self._to_node_port(port, call, "127.0.0.1"))

    def _call(self, end: End, place: NodeView) -> _Call:
        """What a pod sends to another node may leave its own with that one's address."""
        home = self.places.get(end["host"]) if end["kind"] != "outside" else None
        if home and end["kind"] == "pod" and home is not place and place.name not in self.kept:
            return _Call(end, home.address, home.name, place)
        return _Call(end, end["address"], home.name if home else "", place)

    # --- what the rules of a node do

    def _whence(self, call: _Call) -> str:
        if IPv4Address(call.source) in self.within:
            return "pod"
        return "node" if call.source in (call.place.address, "127.0.0.1", *call.place.others) else "outside"

    def _to_cluster_ip(self, port: ServicePortConfig, call: _Call) -> ExpectedPath:
        everywhere, here = _endpoints(port, call.place)
        if not everywhere:
            return ExpectedPath(outcome=REFUSED)
        found = here if port["internal_local"] else everywhere
        masquerade = self.cluster.masquerade_all or self._whence(call) != "pod"
        return ExpectedPath(found, masquerade) if found else ExpectedPath(outcome=SILENCE)

    def _to_outer(self, port: ServicePortConfig, call: _Call) -> ExpectedPath:
        """Node ports, external addresses and those of load balancers. Pods and the node itself are never outside."""
        everywhere, here = _endpoints(port, call.place)
        if not everywhere:
            return ExpectedPath(outcome=REFUSED)
        if not port["external_local"]:
            return ExpectedPath(everywhere, masquerade=True)
        whence = self._whence(call)
        if whence == "outside":
            return ExpectedPath(here) if here else ExpectedPath(outcome=SILENCE)
        return ExpectedPath(everywhere, masquerade=whence == "node")

    def _to_node_port(self, port: ServicePortConfig, call: _Call, address: str) -> ExpectedPath:
        cidrs = self.cluster.node_port_addresses
        is_served = not cidrs or any(IPv4Address(address) in IPv4Network(cidr) for cidr in cidrs)
        if not is_served or (address == "127.0.0.1" and not self.cluster.localhost_node_ports):
            return ExpectedPath(outcome=REFUSED)  # nobody listens there
        return self._to_outer(port, call)

    # --- what is to be seen of it

    def _ask(self, port: ServicePortConfig, call: _Call, address: str, number: int, way: ExpectedPath) -> Probe:
        homes = {f"{end['address']}:{end['port']}": end["node"] for end in port["endpoints"]}
        seen = {to: self._seen(call, to, homes[to], way.masquerade) for to in way.backends}
        return {
            "source": call.end["name"],
            "caller": address if call.source == address else call.end["address"],
            "service": service_port(port),
            "address": address,
            "port": number,
            "protocol": port["protocol"],
            "path": list(dict.fromkeys(name for name in (call.at, call.place.name) if name)),
            "outcome": way.outcome,
            "backends": seen,
            "no_reply": [to for to in way.backends if _answers_past(call, homes[to], seen[to])],
            "homes": {to: homes[to] for to in way.backends},
            "sticky": bool(port["affinity_seconds"]),
            "tries": 1,
        }

    def _seen(self, call: _Call, to: str, home: str, masquerade: bool) -> str:
        """The source address that an endpoint sees."""
        backend, place = IPv4Address(to.partition(":")[0]), call.place
        if str(backend) == place.address:
            return ""  # a pod on this node's own network: what is not sent on is not masqueraded like the rest
        if masquerade or str(backend) == call.source:
            # The address of the link that it leaves by.
            if backend in place.cidr:
                return place.bridge
            return self.sources[place.name] if backend in self.within else place.address
        if backend not in self.within and home not in self.kept and self._whence(call) == "pod":
            return place.address  # a pod on another node's network
        return call.source


def _others(cluster: Cluster, host: Host, cidr: str) -> tuple[str, ...]:
    """Without the pod CIDR's own, as in an overlay: pods of this node may take it for a broadcast address."""
    return tuple(one for one in addresses_of(cluster, host, cidr)[1:] if one != cidr.partition("/")[0])


def _endpoints(port: ServicePortConfig, place: NodeView) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that a node leads to by policy Cluster, and by policy Local."""
    known = by_address(port["endpoints"], place.name)
    return tuple(cluster_wide(known, place.zone)), tuple(on_node(known, place.name))


def _guarded(port: ServicePortConfig, source: str, way: ExpectedPath) -> ExpectedPath:
    """``loadBalancerSourceRanges``. Where there is nobody to guard, the guard is not there either."""
    ranges = port["source_ranges"]
    if way.outcome == REFUSED or not ranges or any(IPv4Address(source) in IPv4Network(cidr) for cidr in ranges):
        return way
    return ExpectedPath(outcome=SILENCE)


def _answers_past(call: _Call, home: str, seen: str) -> bool:
    """Whether an answer goes straight to the client, and past the node whose address that one has called."""
    return seen == call.source and call.place.name not in (home, call.at)

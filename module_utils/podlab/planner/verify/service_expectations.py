"""Who has to reach which endpoints of a Service from where, and with which source address: the masquerade matrix.

A client sees one address, and cannot tell who has answered. The node that turned the address does: its connection
tracking says to which endpoint a call went and which source address that one saw, whatever is served there, or nothing.
So the clients call, several times where there is a choice, and the nodes are asked afterwards.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypedDict

from ...changes.kube_proxy.endpoints import by_address, cluster_wide, on_node
from ...configs import EndpointRow, ServicePortRow
from ..configs.services import addresses_of
from ..inputs.cluster import Host
from ..inputs.settings import Cluster
from ..ipam.addresses import gateway
from ..routing.pod_routing import tunnel_end
from ..services.endpoint_pods import PodPlace
from ..services.endpoints import ZONE
from .expectations import End

MOST = 2000
"""Questions beyond this number are sampled, by the ports of Services that they are about."""

CERTAINTY = 18.0
"""So often is each endpoint called that one of them stays unseen by chance once in e to this power."""

HAIRPIN_CERTAINTY, FEW = 8.0, 8
"""As above, for a pod that calls a Service of its own, where there are no more endpoints than a few."""

MOST_TRIES = 100

BACKLOG = 5
"""So many calls at once each endpoint stands, by all hosts together: the listen backlog of every socketserver of
Python's. There is hardly a shorter one."""

PATIENCE, HASTE = 7.5, 1.0
"""Seconds until a call is silent. TCP asks again after 1, 3 and 7 s, for what a full backlog or a busy host has lost;
where silence is to be expected, or all the answer there will be, that would only cost time."""

MOST_REFUSALS = 12
"""A node refuses by ICMP, of which the kernel sends a client one a second, and six more at once (icmp(7))."""

ANSWER, LATE, REFUSED, SILENCE = "answer", "late answer", "refused", "silence"


class Ask(TypedDict):
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
    mute: list[str]
    """Those that are reached, and whose answer does not find its way back."""
    homes: dict[str, str]
    """``10.1.1.2:8080`` -> the node that it is on."""
    sticky: bool
    """One client meets one endpoint, always the same."""
    tries: int


@dataclass(frozen=True)
class _Place:
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
    place: _Place


@dataclass(frozen=True)
class _Way:
    """Where the rules of a node lead a call."""

    backends: tuple[str, ...] = ()
    masquerade: bool = False
    outcome: str = ANSWER


def service_matrix(
    cluster: Cluster,
    hosts: Sequence[Host],
    cidrs: Mapping[str, str],
    ends: Sequence[End],
    ports: Sequence[ServicePortRow],
    pod_at: Callable[[str, EndpointRow], PodPlace | None],
) -> dict[str, Any]:
    """``asks``; ``unprobed``, in words; ``ports`` that could be asked for, and how many are: ``sampled``;
    ``endpoints`` of these: ``10.1.1.2:80/tcp`` -> ``host``, ``netns``, ``pod``.

    :param ends: those of ``expectations.matrix``.
    :param pod_at: Service, endpoint -> the plan's pod that has it; what is no pod of the plan is nobody to call.
    """
    yard = _Yard(cluster, hosts, cidrs, ends)
    unprobed = []
    open_to_all = []
    for port in ports:
        words = _unprobed(port, pod_at)
        if words:
            unprobed.append(f"{service_port(port)}: {words}")
        else:
            open_to_all.append(port)
    chosen = _sample(open_to_all, yard.count)
    asks = _with_few_refusals([ask for port in chosen for ask in yard.asks(port)])
    _share_out_tries(asks)
    endpoints = {
        f"{end['address']}:{end['port']}/{port['protocol']}": place._asdict()
        for port in chosen
        for end in port["endpoints"]
        if (place := pod_at(port["service"], end))
    }
    facts = {"unprobed": unprobed, "ports": len(open_to_all), "sampled": len(chosen)}
    return {"asks": asks, "endpoints": endpoints, **facts}


def service_port(port: ServicePortRow) -> str:
    return port["service"] + (f":{port['port_name']}" if port["port_name"] else "")


def probes(matrix: Mapping[str, Any], ends: Iterable[End], hosts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What each host has to do: ``asks``, those of its own ends; ``watched``, what it is to tell of connections that
    it turns or gets; ``endpoints`` of its own, at which something may listen or not; ``deadline`` and ``watch`` in
    seconds. A host that has no part in it has no row.

    :param matrix: that of ``service_matrix``.

    ``id`` is the place among ``asks``. Calls of one ``lane`` go one after the other: where a client is to meet one
    endpoint only, the first call decides, and clients of one host may look like one. Where ``until`` is heard, no
    further try is needed: a refusal may get lost. No more calls of a ``service`` than ``together`` are under way on the
    host at once (0: as many as there are), and each is given up after ``patience``.
    """
    asks: Sequence[Ask] = matrix["asks"]
    by_name = {end["name"]: end for end in ends}
    rows: dict[str, list[dict[str, Any]]] = {host: [] for host in hosts}
    watched: dict[str, dict[tuple[str, int], None]] = {host: {} for host in rows}
    endpoints: dict[str, list[dict[str, Any]]] = {host: [] for host in rows}
    for to, place in matrix["endpoints"].items():
        address, number, protocol = _parts(to)
        if place["host"] in rows:
            at_home = {"netns": place["netns"], "address": address, "port": number, "protocol": protocol}
            endpoints[place["host"]].append(at_home)
            watched[place["host"]][address, number] = None
    callers: dict[str, set[str]] = defaultdict(set)
    for ask in asks:
        callers[ask["service"]].add(by_name[ask["source"]]["host"])
    for at, ask in enumerate(asks):
        end = by_name[ask["source"]]
        row = {
            "id": at,
            "netns": end["netns"],
            "address": ask["address"],
            "port": ask["port"],
            "protocol": ask["protocol"],
            "tries": ask["tries"],
            "lane": ask["service"] if ask["sticky"] else "",
            "until": "",
            "service": ask["service"],
            **_restraint(ask, len(callers[ask["service"]])),
        }
        if ask["outcome"] == REFUSED:
            row |= {"lane": f"refusals {ask['source']}", "until": REFUSED}
        rows[end["host"]].append(row)
        for node in ask["path"]:
            watched[node][ask["address"], ask["port"]] = None
    calls = sum(ask["tries"] for ask in asks if ask["outcome"] != REFUSED)
    # Silence takes some seconds, and many are silent at once; hosts begin one after the other.
    deadline = 30 + len(rows) // 2 + calls // 50
    return {
        host: {
            "asks": mine,
            "watched": [list(place) for place in watched[host]],
            "endpoints": endpoints[host],
            "deadline": deadline,
            "watch": 2 * deadline + 60 if watched[host] else 0,  # from the calls of pods to the last look
        }
        for host, mine in rows.items()
        if mine or watched[host]
    }


def _restraint(ask: Ask, hosts: int) -> dict[str, Any]:
    """How gently an ask is to be asked where a program has to take every call. Datagrams need nobody to take them.

    :param hosts: how many there are that call this Service.
    """
    if ask["protocol"] != "tcp" or ask["outcome"] != ANSWER or ask["mute"]:
        return {"together": 0, "patience": HASTE}
    return {"together": max(1, BACKLOG * len(ask["backends"]) // hosts), "patience": PATIENCE}


def _parts(to: str) -> tuple[str, int, str]:
    """Of ``10.1.1.2:80/tcp``."""
    place, _, protocol = to.partition("/")
    address, _, number = place.rpartition(":")
    return address, int(number), protocol


def _unprobed(port: ServicePortRow, pod_at: Callable[[str, EndpointRow], PodPlace | None]) -> str:
    if port["protocol"] == "sctp":
        return "not probed: not every kernel has sockets of SCTP"
    stranger = next((end["address"] for end in port["endpoints"] if not pod_at(port["service"], end)), None)
    return f"not probed: its endpoint {stranger} is no pod of the plan" if stranger else ""


def _sample(ports: Sequence[ServicePortRow], count: Callable[[ServicePortRow], int]) -> list[ServicePortRow]:
    """As many as there is time to ask for, the same ones in every run on the same ports."""
    order = list(range(len(ports)))
    if sum(map(count, ports)) > MOST:
        random.Random(len(ports)).shuffle(order)
    chosen: list[int] = []
    room = MOST
    for index in order:
        room -= count(ports[index])
        if room < 0 and chosen:
            break
        chosen.append(index)
    return [ports[index] for index in sorted(chosen)]


def _with_few_refusals(asks: Sequence[Ask]) -> list[Ask]:
    """Each client hears some of them; others are for other clients."""
    refusals: dict[str, list[int]] = defaultdict(list)
    for at, ask in enumerate(asks):
        if ask["outcome"] == REFUSED:
            refusals[ask["source"]].append(at)
    left_out: set[int] = set()
    for source, found in refusals.items():
        if len(found) > MOST_REFUSALS:
            left_out |= set(found) - set(random.Random(source).sample(found, MOST_REFUSALS))
    return [ask for at, ask in enumerate(asks) if at not in left_out]


def _share_out_tries(asks: Sequence[Ask]) -> None:
    """Clients of one node draw lots by the same rules, so they call in turn until everybody must have been met."""
    groups: dict[tuple[str, str, frozenset[str]], list[Ask]] = defaultdict(list)
    for ask in asks:
        if ask["outcome"] == REFUSED:
            ask["tries"] = MOST_REFUSALS + 3
        elif ask["sticky"]:
            ask["tries"] = 2
        else:
            groups[ask["service"], ask["path"][-1], frozenset(ask["backends"])].append(ask)
    for (_, _, backends), group in groups.items():
        choices = len(backends)
        wanted = choices * (math.log(choices) + CERTAINTY) if choices > 1 else 1
        for ask in group:
            ask["tries"] = min(MOST_TRIES, math.ceil(wanted / len(group)))
    # Nobody but the pod itself can find out whether it reaches itself; one of its ways tells.
    for ask in {(ask["service"], ask["source"]): ask for ask in reversed(asks)}.values():
        choices = len(ask["backends"])
        if 1 < choices <= FEW and not ask["sticky"] and any(_parts(to)[0] == ask["caller"] for to in ask["backends"]):
            ask["tries"] = max(ask["tries"], math.ceil(HAIRPIN_CERTAINTY * choices))


class _Yard:
    """Ends and nodes of a run, and what they may ask of one port of a Service."""

    def __init__(self, cluster: Cluster, hosts: Sequence[Host], cidrs: Mapping[str, str], ends: Sequence[End]) -> None:
        self.cluster = cluster
        self.within = IPv4Network(cluster.cidr)
        self.places = {
            host.name: _Place(
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
        self.tunnel_ends = (
            {name: tunnel_end(cidrs[name]) for name in self.places} if cluster.pod_routing == "vxlan" else {}
        )
        self.inside = [end for end in ends if end["kind"] in ("pod", "node") and end["host"] in self.places]
        self.outside = [end for end in ends if end["kind"] == "outside"]
        self.at_others = sum(len(self.places[end["host"]].others) for end in self.inside)

    def count(self, port: ServicePortRow) -> int:
        """How many asks there are about a port."""
        addresses = 1 + len(port["external_ips"]) + len(port["load_balancer_ips"])
        at_nodes = len(self.places) * (len(self.inside) + len(self.outside) + 1) + self.at_others
        return addresses * len(self.inside) + (at_nodes if port["node_port"] else 0)

    def asks(self, port: ServicePortRow) -> Iterator[Ask]:
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

    def _at_node(self, port: ServicePortRow, place: _Place) -> Iterator[Ask]:
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

    def _call(self, end: End, place: _Place) -> _Call:
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

    def _to_cluster_ip(self, port: ServicePortRow, call: _Call) -> _Way:
        everywhere, here = _endpoints(port, call.place)
        if not everywhere:
            return _Way(outcome=REFUSED)
        found = here if port["internal_local"] else everywhere
        masquerade = self.cluster.masquerade_all or self._whence(call) != "pod"
        return _Way(found, masquerade) if found else _Way(outcome=SILENCE)

    def _to_outer(self, port: ServicePortRow, call: _Call) -> _Way:
        """Node ports, external addresses and those of load balancers. Pods and the node itself are never outside."""
        everywhere, here = _endpoints(port, call.place)
        if not everywhere:
            return _Way(outcome=REFUSED)
        if not port["external_local"]:
            return _Way(everywhere, masquerade=True)
        whence = self._whence(call)
        if whence == "outside":
            return _Way(here) if here else _Way(outcome=SILENCE)
        return _Way(everywhere, masquerade=whence == "node")

    def _to_node_port(self, port: ServicePortRow, call: _Call, address: str) -> _Way:
        cidrs = self.cluster.node_port_addresses
        is_served = not cidrs or any(IPv4Address(address) in IPv4Network(cidr) for cidr in cidrs)
        if not is_served or (address == "127.0.0.1" and not self.cluster.localhost_node_ports):
            return _Way(outcome=REFUSED)  # nobody listens there
        return self._to_outer(port, call)

    # --- what is to be seen of it

    def _ask(self, port: ServicePortRow, call: _Call, address: str, number: int, way: _Way) -> Ask:
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
            "mute": [to for to in way.backends if _answers_past(call, homes[to], seen[to])],
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
            return self.tunnel_ends.get(place.name, place.address) if backend in self.within else place.address
        if backend not in self.within and home not in self.kept and self._whence(call) == "pod":
            return place.address  # a pod on another node's network
        return call.source


def _others(cluster: Cluster, host: Host, cidr: str) -> tuple[str, ...]:
    """Without the end of its tunnel, which pods of this node may take for the broadcast address of their subnet."""
    return tuple(one for one in addresses_of(cluster, host, cidr)[1:] if one != tunnel_end(cidr))


def _endpoints(port: ServicePortRow, place: _Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that a node leads to by policy Cluster, and by policy Local."""
    known = by_address(port["endpoints"], place.name)
    return tuple(cluster_wide(known, place.zone)), tuple(on_node(known, place.name))


def _guarded(port: ServicePortRow, source: str, way: _Way) -> _Way:
    """``loadBalancerSourceRanges``. Where there is nobody to guard, the guard is not there either."""
    ranges = port["source_ranges"]
    if way.outcome == REFUSED or not ranges or any(IPv4Address(source) in IPv4Network(cidr) for cidr in ranges):
        return way
    return _Way(outcome=SILENCE)


def _answers_past(call: _Call, home: str, seen: str) -> bool:
    """Whether an answer goes straight to the client, and past the node whose address that one has called."""
    return seen == call.source and call.place.name not in (home, call.at)

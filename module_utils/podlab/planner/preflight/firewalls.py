"""What firewalls of others do to packets of the cluster: a note of every run, and what verify names where it fails.

``changes/netfilter/rules.py`` goes past those that keep their rules where podlab has its own. In nftables every base
chain of a hook has its say, so nothing that podlab could write would help: a person has to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import TypedDict

from ...changes.netfilter.firewalls import iptables_rules
from ...records.observation import BaseChain, ForeignRule, Test
from ..inputs.host import Host
from ..inputs.host_links import uplink, uplink_interfaces
from ..inputs.settings import Cluster
from ..routing.registry import pod_routing

NO, UNKNOWN, SOME, ALL = range(4)
"""Which packets a test means: none of them, nobody knows, some, all."""

STOPS = ("drop", "reject")
DEEPEST = 16  # jumps, as the kernel has it (NFT_JUMP_STACK_SIZE)
TRANSLATES = ("masquerade", "snat")


class Finding(TypedDict):
    host: str
    stops: bool  # it drops or rejects; else it changes the source address
    sure: bool  # or it depends on what is not known here, such as the members of a set
    name: str
    words: str


@dataclass(frozen=True)
class _Packets:
    """New connections that have to pass a host. What is not set may be anything."""

    words: str
    iif: Sequence[str]  # links of the host that they may come by
    oif: Sequence[str]
    saddr: str = ""
    daddr: str = ""
    port: int = 0
    protocol: str = "tcp"
    is_service: bool = False  # kube-proxy's rules have changed where they go


def findings(cluster: Cluster, hosts: Sequence[Host]) -> list[Finding]:
    return [found for host in hosts if host.is_managed for found in _of_host(cluster, host, hosts)]


def notes(found: Iterable[Finding]) -> list[str]:
    return [one["words"] for one in found if one["sure"]]


def _of_host(cluster: Cluster, host: Host, hosts: Sequence[Host]) -> Iterator[Finding]:
    seen = host.seen
    for chain in [*seen.get("firewalls", []), *_own_nat(host)]:
        stopped: list[tuple[str, int, _Packets]] = []
        translated: list[tuple[str, int, _Packets]] = []
        for packets in _passing(cluster, host, hosts, chain["family"], chain["hook"]):
            does, sure = _verdict(chain, packets)
            if does in STOPS:
                stopped.append((does, sure, packets))
            elif does and chain["hook"] == "postrouting":
                translated.append((does, sure, packets))
        for met in filter(None, (stopped, translated)):
            yield _finding(cluster, host, chain, met, hosts)


def _own_nat(host: Host) -> list[BaseChain]:
    """Sources that rules of others change where podlab's own are: there they may stand before them."""
    rules = iptables_rules("POSTROUTING", {"POSTROUTING": host.rules.get("nat", {}).get("POSTROUTING", [])})
    where = {"tool": "iptables", "family": "ip", "table": "nat", "chain": "POSTROUTING", "hook": "postrouting"}
    return [{**where, "policy": "accept", "rules": rules}] if rules else []  # type: ignore[typeddict-item]


def _passing(cluster: Cluster, host: Host, hosts: Sequence[Host], family: str, hook: str) -> Iterator[_Packets]:
    """What has to get through a hook of a host, as it is."""
    pods, links = cluster.cidr, _links(cluster, host, hosts)
    nodes = [other.address for other in hosts if other.role == "node" and other is not host]
    callers = [other.address for other in hosts if other.role == "outside"] or [""]
    every = _Packets("", links, links)
    from_pods = replace(every, words="what pods send", saddr=pods)
    beyond = [link for link in links if link != cluster.bridge]
    if family == "bridge":  # its links are the bridge's ports
        if host.role == "node":
            yield replace(from_pods, iif=[], oif=[])
    elif host.role == "gateway":
        if hook == "input":
            return
        yield from_pods
        yield from (replace(every, words="what nodes send", saddr=node) for node in nodes)
        outside = [(caller, node) for caller in callers for node in nodes]
        yield from (replace(every, words="calls of nodes from outside", saddr=at, daddr=to) for at, to in outside)
    elif hook == "input":
        yield replace(from_pods, words="what pods send to this node", port=cluster.verify_port)
        if port := pod_routing(cluster).overlay_port(cluster):
            overlay = replace(every, words="the overlay of other nodes", port=port, protocol="udp")
            yield from (replace(overlay, saddr=node) for node in nodes)
    elif hook == "postrouting":
        yield replace(from_pods, words="what pods send to pods", daddr=pods)
    else:
        yield replace(from_pods, iif=[cluster.bridge])
        to_pods = replace(every, iif=beyond, oif=[cluster.bridge], daddr=pods)
        yield from (replace(to_pods, words="what nodes send to pods", saddr=node) for node in nodes)
        if hook == "forward":
            calls = replace(to_pods, words="calls of Services from outside", is_service=True)
            yield from (replace(calls, saddr=caller) for caller in callers)


def _links(cluster: Cluster, host: Host, hosts: Sequence[Host]) -> list[str]:
    """Those that the cluster's packets come and go by."""
    links = [uplink(host), *uplink_interfaces(host, tuple(other.address for other in hosts))]
    if host.role == "node":
        links += [cluster.bridge, pod_routing(cluster).overlay_device(cluster)]
    return sorted({link for link in links if link})


def _verdict(chain: BaseChain, packets: _Packets) -> tuple[str, int]:
    """What becomes of the packets that fares worst, and how sure that is; nothing, if all of them pass."""
    found, ended = _walked(chain["rules"], packets)
    if not ended and chain["policy"] == "drop":
        found.append(("drop", ALL))
    return max(found, key=lambda one: one[1], default=("", NO))


def _walked(
    rules: Sequence[ForeignRule], packets: _Packets, at: int = 0, depth: int = 0
) -> tuple[list[tuple[str, int]], bool]:
    """What single rules of a chain do to some of them, and whether none comes to its end."""
    found: list[tuple[str, int]] = []
    for place in range(at, len(rules)):
        rule = rules[place]
        if rule["depth"] < depth:
            break
        if rule["depth"] > depth:  # of a chain that was jumped to
            continue
        meant = min((_meant(test, packets) for test in rule["only"]), default=ALL)
        if meant == NO:
            continue
        if rule["does"] == "jump" and depth < DEEPEST:
            inner, ended = _walked(rules, packets, place + 1, depth + 1)
            found += [(does, min(sure, meant)) for does, sure in inner]
            if ended and meant == ALL:
                return found, True
        elif rule["does"] in (*STOPS, *TRANSLATES):
            found.append((rule["does"], meant))
        if meant == ALL and rule["does"] != "jump":
            return found, rule["does"] != "return"
    return found, False


def _meant(test: Test, packets: _Packets) -> int:
    """Which of the packets a test means."""
    key, negated, values = test
    found = _matching(key, values, packets)
    return {ALL: NO, NO: ALL}.get(found, found) if negated else found


def _matching(key: str, values: Sequence[str], packets: _Packets) -> int:
    if key in ("saddr", "daddr"):
        return _addresses(values, packets.saddr if key == "saddr" else packets.daddr)
    if key in ("iif", "oif"):
        mine = packets.iif if key == "iif" else packets.oif
        return _share([any(fnmatchcase(link, value) for value in values) for link in mine])
    if key == "state":
        return ALL if "new" in values or (packets.is_service and "dnat" in values) else NO
    if key == "port" and packets.port:
        return ALL if any(_is_port(value, packets) for value in values) else NO
    return {"all": ALL, "elsewhere": NO, "port": SOME}.get(key, UNKNOWN)


def _share(hits: Sequence[bool]) -> int:
    if not hits:
        return UNKNOWN
    return ALL if all(hits) else SOME if any(hits) else NO


def _is_port(value: str, packets: _Packets) -> bool:
    first, _, last = value.partition("-")
    if first.isdecimal():
        return int(first) <= packets.port <= int(last or first)
    return value in (packets.protocol, {"tcp": "6", "udp": "17"}[packets.protocol])


def _addresses(values: Sequence[str], mine: str) -> int:
    try:
        networks = [network for value in values for network in _networks(value)]
    except ValueError:
        return UNKNOWN
    if not mine:
        return SOME
    own = IPv4Network(mine)
    if any(own.subnet_of(network) for network in networks):
        return ALL
    return SOME if any(own.overlaps(network) for network in networks) else NO


def _networks(value: str) -> Iterator[IPv4Network]:
    first, _, last = value.partition("-")
    if last:
        yield from summarize_address_range(IPv4Address(first), IPv4Address(last))
    else:
        yield IPv4Network(value, strict=False)


# --- words -------------------------------------------------------------------------------------------------


def _finding(
    cluster: Cluster, host: Host, chain: BaseChain, met: Sequence[tuple[str, int, _Packets]], hosts: Sequence[Host]
) -> Finding:
    """:param met: what becomes of the packets that fare worse than they should, and how sure that is."""
    does, stops = met[0][0], met[0][0] in STOPS
    sure = max(certainty for _, certainty, _ in met) > UNKNOWN
    name, verb = _name(chain), {"snat": "changes the source of", "masquerade": "masquerades"}.get(does, f"{does}s")
    policy = " by its policy" if stops and chain["policy"] == "drop" else ""
    whom = " and ".join(dict.fromkeys(packets.words for _, _, packets in met))
    remedy = _remedy(cluster, chain, [packets for _, _, packets in met], hosts, stops=stops)
    words = (
        f"{host.name}: {name} (hook {chain['hook']}) {verb if sure else f'may {_plain(verb)}'} {whom}{policy}; podlab "
        f"has not made it and leaves it. {'Let that pass' if stops else 'Leave that out'}: {remedy}"
    )
    return {"host": host.name, "stops": stops, "sure": sure, "name": f"{name} on {host.name}", "words": words}


def _plain(verb: str) -> str:
    """masquerades -> masquerade, changes the source of -> change the source of"""
    first, _, rest = verb.partition(" ")
    return f"{first.removesuffix('s')} {rest}".rstrip()


def _name(chain: BaseChain) -> str:
    if chain["tool"] == "nft":
        return f"nftables chain {chain['chain']} of table {chain['family']} {chain['table']}"
    return f"{chain['tool']} chain {chain['chain']} of table {chain['table']}"


def _remedy(cluster: Cluster, chain: BaseChain, met: Sequence[_Packets], hosts: Sequence[Host], *, stops: bool) -> str:
    """The commands that let the cluster's packets pass."""
    if chain["table"] == "firewalld":
        others = [host.address for host in hosts if host.role != "gateway"]
        trusted = " ".join(f"--add-source={address}" for address in (cluster.cidr, *others))
        change = f"--zone=trusted {trusted}" if stops else "--remove-masquerade"
        return f"firewall-cmd --permanent {change} && firewall-cmd --reload"
    # By where they go, if that is told; what is masqueraded is so by where it comes from.
    to = list(dict.fromkeys(packets.daddr for packets in met if packets.daddr and stops))
    source = list(dict.fromkeys(packets.saddr for packets in met if packets.saddr and not (stops and packets.daddr)))
    matches = [(key, where) for key, where in (("saddr", source), ("daddr", to)) if where]
    if chain["tool"] == "nft":
        place = f"{chain['family']} {chain['table']} {chain['chain']}"
        lines = [f"nft insert rule {place} ip {key} {_set(where)} accept" for key, where in matches]
        lines += [f"nft insert rule {place} ether type arp accept"] * (chain["family"] == "bridge")
        return f"{'; '.join(lines)} (and in /etc/nftables.conf, or in what else writes that table)"
    option = {"saddr": "-s", "daddr": "-d"}
    place = f"{chain['tool']} -t {chain['table']} -I {chain['chain']}"
    return "; ".join(f"{place} {option[key]} {','.join(where)} -j ACCEPT" for key, where in matches)


def _set(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"'{{ {', '.join(values)} }}'"

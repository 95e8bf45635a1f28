"""Services as the KUBE-* chains of a node: what kube-proxy 1.30 writes in its iptables mode, rule for rule.

Where a rule looks strange, it is kube-proxy's, and the same rule stands on every cluster.
https://github.com/kubernetes/kubernetes/blob/v1.30.5/pkg/proxy/iptables/proxier.go
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, ip_address, ip_network
from typing import NamedTuple

from ...configs import ServicePortConfig, ServicesConfig, TableConfig
from ..netfilter.rules import UNDEFINED_PORTS
from ..system.sysctls import LOCALNET
from . import static_chains
from .endpoints import by_address, cluster_wide, on_node
from .names import affinity_set, endpoint_chain, probability, service_chains, service_port_name

TCP_BE_LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"
"""Where this is not 0, packets out of the window are no INVALID ones, and kube-proxy drops none of these."""

LARGE = 1000
"""With more endpoints than these in a cluster kube-proxy leaves out most comments, which are 40 % of the text."""


class _Endpoint(NamedTuple):
    to: str
    address: str
    chain: str


class _Port(NamedTuple):
    """A service's port as one node sees it."""

    row: ServicePortConfig
    name: str
    chains: dict[str, str]
    cluster: list[_Endpoint]
    """Those behind SVC."""
    local: list[_Endpoint]
    """Those behind SVL."""
    has_endpoints: bool
    """Whether anybody answers, on whatever node."""
    known: int
    """How many endpoints it has, ready or not."""

    @property
    def is_external(self) -> bool:
        return _is_external(self.row)

    @property
    def internal_chain(self) -> str:
        """The chain for those who come by the cluster IP; nothing where they find nobody."""
        if self.row["internal_local"]:
            return self.chains["SVL"] if self.local else ""
        return self.chains["SVC"] if self.has_endpoints else ""

    @property
    def external_chain(self) -> str:
        """Where EXT leads to in the end; nothing where those from outside find nobody."""
        if self.row["external_local"]:
            return self.chains["SVL"] if self.local else ""
        return self.chains["SVC"] if self.has_endpoints else ""

    @property
    def uses_firewall_chain(self) -> bool:
        return bool(self.has_endpoints and self.row["load_balancer_ips"] and self.row["source_ranges"])

    @property
    def reachable_endpoints(self) -> list[_Endpoint]:
        return list(dict.fromkeys([*self.cluster, *self.local]))


def tables(row: ServicesConfig) -> dict[str, TableConfig]:
    """Table -> ``chains`` (every one of ours, as ``iptables-save`` prints them) and ``jumps`` (built-in chain -> the
    rules that stand before everything else in it)."""
    localhost = _answers_at_localhost(row["localhost_node_ports"], row["node_port_addresses"])
    whole = static_chains.chains(localhost, not row.get("is_liberal", False))
    jumps = {
        table: {chain: list(rules) for chain, rules in into.items()} for table, into in static_chains.JUMPS.items()
    }
    ports = list(_ports(row))
    comments = sum(port.known for port in ports) <= LARGE
    for port in ports:
        for chain, rule in _nat_rules(port, row, comments):
            whole["nat"].setdefault(chain, []).append(rule)
        for chain, rule in _filter_rules(port):
            whole["filter"][chain].append(rule)
    whole["nat"]["KUBE-SERVICES"] += _node_port_jumps(row)
    if row["reject_undefined_ports"]:
        whole["filter"][UNDEFINED_PORTS] = _undefined_ports(row)
        for chain in ("FORWARD", "OUTPUT"):
            jumps["filter"][chain].append(
                f"-d {row['service_cidr']} -m conntrack --ctstate NEW "
                f'-m comment --comment "ports that no service has" -j {UNDEFINED_PORTS}'
            )
    return {table: {"chains": chains, "jumps": jumps[table]} for table, chains in whole.items()}


def sets(row: ServicesConfig) -> dict[str, int]:
    """ipset -> seconds, for ``ipset create NAME hash:ip timeout SECONDS maxelem 65536``; they have to be there before
    the rules that name them."""
    if not row["affinity_by_ipset"]:
        return {}
    return {
        affinity_set(endpoint.chain): port.row["affinity_seconds"]
        for port in _ports(row)
        if port.row["affinity_seconds"]
        for endpoint in port.reachable_endpoints
    }


def sysctls(
    localhost_node_ports: bool, node_port_addresses: Sequence[str], ports: Sequence[ServicePortConfig]
) -> dict[str, str]:
    """Settings that the rules guard (KUBE-FIREWALL), and that may be made when they stand. kube-proxy makes the same.

    The arguments are those of a row, which differ from node to node in other things only.
    """
    answers = _answers_at_localhost(localhost_node_ports, node_port_addresses)
    return {LOCALNET: "1"} if answers and any(port["node_port"] for port in ports) else {}


def sysctls_of(row: ServicesConfig) -> dict[str, str]:
    return sysctls(row["localhost_node_ports"], row["node_port_addresses"], row["ports"])


def _ports(row: ServicesConfig) -> Iterator[_Port]:
    for port in row["ports"]:
        name, protocol = service_port_name(port["service"], port["port_name"]), port["protocol"]
        found = by_address(port["endpoints"], row["node"])
        everywhere = cluster_wide(found, row["zone"])
        # Even with both policies Local, pods and the node itself reach all endpoints by the service's outer addresses.
        by_cluster = not port["internal_local"] or _is_external(port)
        by_local = port["internal_local"] or (port["external_local"] and _is_external(port))
        cluster, local = everywhere if by_cluster else [], on_node(found, row["node"]) if by_local else []
        used = dict.fromkeys([*cluster, *local])
        known = {to: _Endpoint(to, found[to]["address"], endpoint_chain(name, protocol, to)) for to in used}
        yield _Port(
            port,
            name,
            service_chains(name, protocol),
            [known[to] for to in cluster],
            [known[to] for to in local],
            has_endpoints=bool(everywhere),
            known=len(found),
        )


def _is_external(port: ServicePortConfig) -> bool:
    """Whether it can be reached by anything else than its cluster IP."""
    return bool(port["node_port"] or port["external_ips"] or port["load_balancer_ips"])


def _nat_rules(port: _Port, row: ServicesConfig, comments: bool) -> Iterator[tuple[str, str]]:
    """(chain, rule), in their order."""
    name, chains = port.name, port.chains
    if port.internal_chain:
        to_cluster_ip = _to(port, port.row["cluster_ip"], f"{name} cluster IP")
        yield "KUBE-SERVICES", f"{to_cluster_ip} -j {port.internal_chain}"
        # Those who are no pods would get their answer past this node, from an address that they never asked.
        source = "" if row["masquerade_all"] else f"! -s {row['cluster_cidr']} "
        yield port.internal_chain, f"{source}{to_cluster_ip} -j KUBE-MARK-MASQ"
    if port.is_external and port.has_endpoints:
        for ip in port.row["external_ips"]:
            yield "KUBE-SERVICES", f"{_to(port, ip, f'{name} external IP')} -j {chains['EXT']}"
        for ip in port.row["load_balancer_ips"]:
            door = chains["FW" if port.uses_firewall_chain else "EXT"]
            yield "KUBE-SERVICES", f"{_to(port, ip, f'{name} loadbalancer IP')} -j {door}"
        if port.row["node_port"]:
            yield "KUBE-NODEPORTS", f"{_to_node(port, port.row['node_port'], name)} -j {chains['EXT']}"
        yield from ((chains["EXT"], rule) for rule in _external_rules(port, row["cluster_cidr"]))
    if port.uses_firewall_chain:
        yield from ((chains["FW"], rule) for rule in _firewall_rules(port, row["addresses"]))
    by_ipset = row["affinity_by_ipset"]
    for chain, endpoints in ((chains["SVC"], port.cluster), (chains["SVL"], port.local)):
        yield from ((chain, rule) for rule in _load_balancing_rules(port, endpoints, by_ipset, comments))
    for endpoint in port.reachable_endpoints:
        yield from ((endpoint.chain, rule) for rule in _endpoint_rules(port, endpoint, by_ipset, comments))


def _external_rules(port: _Port, cluster_cidr: str) -> Iterator[str]:
    """KUBE-EXT: where traffic to a service's outer addresses goes, and with which source address."""
    what, everywhere = f"for {port.name} external destinations", port.chains["SVC"]
    if port.row["external_local"]:
        # Pods and the node itself are not outside: as if they had gone up to a load balancer and come back.
        yield f"-s {cluster_cidr} {_comment(f'pod traffic {what}')}-j {everywhere}"
        yield f"{_comment(f'masquerade LOCAL traffic {what}')}-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"
        yield f"{_comment(f'route LOCAL traffic {what}')}-m addrtype --src-type LOCAL -j {everywhere}"
    else:
        yield f"{_comment(f'masquerade traffic {what}')}-j KUBE-MARK-MASQ"
    if port.external_chain:
        yield f"-j {port.external_chain}"


def _firewall_rules(port: _Port, addresses: Sequence[str]) -> Iterator[str]:
    """KUBE-FW: who may come in by the load balancer's address. Others come out at its end as they went in."""
    door, comment = f"-j {port.chains['EXT']}", _comment(f"{port.name} loadbalancer IP")
    for source in port.row["source_ranges"]:
        # iptables-save leaves out a source that is everything.
        yield f"{comment}{door}" if source.endswith("/0") else f"-s {source} {comment}{door}"
    # A node that has the load balancer's address itself sends with that one.
    if any(ip_address(ip) in ip_network(source) for source in port.row["source_ranges"] for ip in addresses[:1]):
        yield from (f"-s {ip}/32 {comment}{door}" for ip in port.row["load_balancer_ips"])
    yield _comment(f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL").rstrip()


def _load_balancing_rules(port: _Port, endpoints: Sequence[_Endpoint], by_ipset: bool, comments: bool) -> Iterator[str]:
    """KUBE-SVC or KUBE-SVL: the endpoint that this client had before, or else any."""
    said = [_comment(f"{port.name} -> {endpoint.to}") if comments else "" for endpoint in endpoints]
    if seconds := port.row["affinity_seconds"]:
        for comment, (_, _, chain) in zip(said, endpoints, strict=True):
            known = (
                f"-m set --match-set {affinity_set(chain)} src"
                if by_ipset
                else f"-m recent --rcheck --seconds {seconds} --reap --name {chain} --mask 255.255.255.255 --rsource"
            )
            yield f"{comment}{known} -j {chain}"
    left = len(endpoints)
    for comment, (_, _, chain) in zip(said, endpoints, strict=True):
        chance = f"-m statistic --mode random --probability {probability(left)} " if left > 1 else ""
        yield f"{comment}{chance}-j {chain}"
        left -= 1


def _endpoint_rules(port: _Port, endpoint: _Endpoint, by_ipset: bool, comments: bool) -> Iterator[str]:
    """KUBE-SEP: remember the client, and send it there."""
    to, address, chain = endpoint
    protocol, comment = port.row["protocol"], _comment(port.name) if comments else ""
    # A pod that meets itself: its answer would never leave it.
    yield f"-s {address}/32 {comment}-j KUBE-MARK-MASQ"
    remember = ""
    if seconds := port.row["affinity_seconds"]:
        if by_ipset:
            yield f"{comment}-j SET --add-set {affinity_set(chain)} src --exist --timeout {seconds}"
        else:
            remember = f"-m recent --set --name {chain} --mask 255.255.255.255 --rsource "
    yield f"-p {protocol} {comment}{remember}-m {protocol} -j DNAT --to-destination {to}"


def _filter_rules(port: _Port) -> Iterator[tuple[str, str]]:
    """(chain, rule): what is refused, what is dropped, and the health check's way in."""
    name, row = port.name, port.row
    # Nobody anywhere: say so at once. Nobody here: be silent, as a node that is not behind the load balancer.
    refuse = "-j DROP" if port.has_endpoints else "-j REJECT --reject-with icmp-port-unreachable"
    why = f"{name} has no local endpoints" if port.has_endpoints else f"{name} has no endpoints"
    if not port.internal_chain:
        yield "KUBE-SERVICES", f"{_to(port, row['cluster_ip'], why)} {refuse}"
    if port.uses_firewall_chain:
        why_not = f"{name} traffic not accepted by {port.chains['FW']}"
        for ip in row["load_balancer_ips"]:
            yield "KUBE-PROXY-FIREWALL", f"{_to(port, ip, why_not)} -j DROP"
    if not port.external_chain:
        for ip in (*row["external_ips"], *row["load_balancer_ips"]):
            yield "KUBE-EXTERNAL-SERVICES", f"{_to(port, ip, why)} {refuse}"
        if row["node_port"]:
            local = _to_node(port, row["node_port"], why, "-m addrtype --dst-type LOCAL ")
            yield "KUBE-EXTERNAL-SERVICES", f"{local} {refuse}"
    if row["health_check_node_port"]:
        comment = _comment(f"{name} health check node port")
        yield "KUBE-NODEPORTS", f"-p tcp {comment}-m tcp --dport {row['health_check_node_port']} -j ACCEPT"


def _to(port: _Port, ip: str, comment: str) -> str:
    """Packets to this port of one of the service's addresses."""
    return f"-d {ip}/32 {_to_node(port, port.row['port'], comment)}"


def _to_node(port: _Port, number: int, comment: str, more: str = "") -> str:
    protocol = port.row["protocol"]
    return f"-p {protocol} {_comment(comment)}{more}-m {protocol} --dport {number}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}" '


def _node_port_jumps(row: ServicesConfig) -> list[str]:
    """The last rules of nat KUBE-SERVICES: behind every service, or a node port would hide an address of theirs."""
    comment = _comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")
    networks = _node_port_networks(row["node_port_addresses"])
    localhost = _answers_at_localhost(row["localhost_node_ports"], row["node_port_addresses"])
    if any(network.prefixlen == 0 for network in networks):
        but = "" if localhost else "! -d 127.0.0.0/8 "
        return [f"{but}{comment}-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"]
    own = [*(["127.0.0.1"] if localhost else []), *row["addresses"]]
    answering = [ip for ip in dict.fromkeys(own) if any(ip_address(ip) in network for network in networks)]
    return [f"-d {ip}/32 {comment}-j KUBE-NODEPORTS" for ip in answering]


def _node_port_networks(cidrs: Sequence[str]) -> list[IPv4Network]:
    networks = [ip_network(cidr, strict=False) for cidr in cidrs]
    ours = [network for network in networks if isinstance(network, IPv4Network)]
    return ours or [IPv4Network("0.0.0.0/0")]


def _answers_at_localhost(wanted: bool, cidrs: Sequence[str]) -> bool:
    """Whether node ports do; where their addresses leave 127.0.0.0/8 out, kube-proxy does not open it either."""
    loopback = IPv4Network("127.0.0.0/8")
    return wanted and any(network.overlaps(loopback) for network in _node_port_networks(cidrs))


def _undefined_ports(row: ServicesConfig) -> list[str]:
    """What still goes to a cluster IP here goes to none of its ports: at one that has endpoints, nat has put an
    endpoint's address in the place of the cluster IP before filter was asked; one that has none was refused or dropped
    in KUBE-SERVICES, whose jump stands before ours. Answers and open connections are not NEW. As in kube-proxy's
    nftables mode it is whatever protocol, so a ping is refused as well."""
    owners = {port["cluster_ip"]: port["service"] for port in row["ports"]}
    return [
        f"-d {ip}/32 {_comment(f'{service} has no such port')}-j REJECT --reject-with icmp-port-unreachable"
        for ip, service in owners.items()
    ]

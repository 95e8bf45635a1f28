"""Names and numbers that kube-proxy works out: the same ones on every node, and here."""

from __future__ import annotations

import functools
from base64 import b32encode
from hashlib import sha256

from ...configs import ServicePortConfig


def service_port_name(service: str, port: str) -> str:
    """What kube-proxy calls one port of a Service, in comments and in hashes: ``default/web:http``."""
    return f"{service}:{port}" if port else service


def chain_hash(text: str) -> str:
    """The last sixteen letters of a chain's name. A name has room for 28, too few to spell out what it is for."""
    return b32encode(sha256(text.encode()).digest()[:10]).decode()  # ten bytes are sixteen letters


def service_chains(name: str, protocol: str) -> dict[str, str]:
    """The chains that a service's port may have, by the middle of their names.

    SVC leads to all endpoints, SVL to this node's own; EXT is for those who come from outside, FW is its firewall.
    """
    hashed = chain_hash(name + protocol)
    return {kind: f"KUBE-{kind}-{hashed}" for kind in ("SVC", "SVL", "EXT", "FW")}


def endpoint_chain(name: str, protocol: str, to: str) -> str:
    """The chain that ends at one endpoint, ``to`` being its ``address:port``."""
    return f"KUBE-SEP-{chain_hash(name + protocol + to)}"


def port_chains(port: ServicePortConfig) -> set[str]:
    """Every chain that a service's port may have, with those of its endpoints."""
    name, protocol = service_port_name(port["service"], port["port_name"]), port["protocol"]
    ends = (f"{end['address']}:{end['port']}" for end in port["endpoints"])
    return {*service_chains(name, protocol).values(), *(endpoint_chain(name, protocol, end) for end in ends)}


def affinity_set(chain: str) -> str:
    """The ipset of clients that stay with the endpoint of this chain. Its name may have 31 letters."""
    return chain.replace("KUBE-SEP-", "PODLAB-STICKY-")


@functools.cache
def probability(choices: int) -> str:
    """One in so many, as ``iptables-save`` prints it.

    kube-proxy writes ten digits, the kernel keeps 31 bits of them, and these are printed in eleven: 1/3 is
    0.33333333349.
    """
    kept = int(float(f"{1 / choices:.10f}") * 2**31 + 0.5)
    return f"{kept / 2**31:.11f}"

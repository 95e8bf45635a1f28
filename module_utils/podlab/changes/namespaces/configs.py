"""What a person says of a namespace, completed with what has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

ISOLATED, HOST_ONLY, BRIDGED = "isolated", "host-only", "bridged"
MODES = (ISOLATED, HOST_ONLY, BRIDGED)
VETH_PREFIX, BRIDGE_PREFIX = "veth-", "br-"


@dataclass(frozen=True)
class NamespaceConfig:
    """Addresses have their prefix length; ``host_address`` is empty where the host has none, ``bridge`` likewise."""

    name: str
    mode: str
    address: str
    host_address: str = ""
    bridge: str = ""

    @property
    def veth(self) -> str:
        """The veth pair's end on the host; empty for an isolated namespace."""
        return "" if self.mode == ISOLATED else f"{VETH_PREFIX}{self.name}"

    @property
    def host_links(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.veth, self.bridge)))

    @property
    def default_route(self) -> str:
        """In ip(8)'s words; empty for a namespace that has no way out."""
        return f"default via {self.host_address.split('/')[0]} dev eth0" if self.mode == BRIDGED else ""


Item = Mapping[str, str]
"""An entry of ``namespaces_list`` with all of ``FIELDS``; what was left out is empty."""

FIELDS = ("name", "mode", "address", "host_address", "bridge")


def item(given: Mapping[str, Any]) -> Item:
    """What YAML takes for a number, or for nothing, is a string here."""
    return {field: "" if given.get(field) is None else str(given[field]) for field in FIELDS}


def config(of: Item) -> NamespaceConfig:
    """:param of: one that ``problems`` finds nothing wrong with."""
    host_address = of["host_address"]
    if host_address and "/" not in host_address:
        host_address += f"/{of['address'].split('/')[1]}"
    bridge = (of["bridge"] or f"{BRIDGE_PREFIX}{of['name']}") if of["mode"] == BRIDGED else ""
    return NamespaceConfig(of["name"], of["mode"], of["address"], host_address, bridge)


def network(address: str) -> IPv4Network:
    return IPv4Interface(address).network

"""Links, routes, rules and settings of this host, as the pure functions want them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..changes import CHAIN_PREFIX
from ..changes.bridge import Link
from ..changes.kube import BUILT_IN, target
from ..changes.routes import Route
from ..changes.services import UNDEFINED_PORTS
from ..changes.trace import Tables, parsed
from .run import run

TABLES = ("filter", "nat")


def links() -> dict[str, Link]:
    """Every link of this network namespace."""
    return {link["ifname"]: link_facts(link) for link in json.loads(run(["ip", "-j", "-d", "addr", "show"]))}


def link_facts(link: Mapping[str, Any]) -> Link:
    """One entry of ``ip -j -d addr show``."""
    info = link.get("linkinfo", {})
    return {
        "kind": info.get("info_kind"),
        "alias": link.get("ifalias", ""),
        "mac": link.get("address", ""),
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "master": link.get("master"),
        "hairpin": bool(info.get("info_slave_data", {}).get("hairpin")),
        "addresses": [
            f"{address['local']}/{address['prefixlen']}"
            for address in link["addr_info"]
            if address.get("family") == "inet"
        ],
    }


def routes() -> list[Route]:
    """The main table."""
    return [route_facts(route) for route in json.loads(run(["ip", "-j", "-N", "route", "show", "table", "main"]))]


def route_facts(route: Mapping[str, Any]) -> Route:
    """One entry of ``ip -j -N route show``; protocols are numbers, but for the kernel's (2)."""
    to = {"default": "0.0.0.0/0"}.get(route["dst"], route["dst"])
    facts: Route = {
        "to": to if "/" in to else f"{to}/32",
        "via": route.get("gateway"),
        "dev": route.get("dev"),
        "protocol": {"2": "kernel"}.get(str(route.get("protocol")), str(route.get("protocol"))),
    }
    if route.get("metric"):
        facts["metric"] = route["metric"]
    return facts


def saved() -> dict[str, dict[str, list[str]]]:
    """All of iptables: table -> chain -> rules. A table that the kernel has not made yet is left out."""
    if missing_programs(["iptables-save"]):
        return {}  # no program, no rules; a gateway needs none
    return parsed(run(["iptables-save"]))


def rules(tables: Tables | None = None) -> dict[str, dict[str, list[str]]]:
    """Table -> chain -> rules, for podlab's chains and the built-in ones. The others are not these chapters' to read.

    :param tables: what ``saved`` has told; it is asked if this is left out.
    """
    tables = saved() if tables is None else tables
    return {table: _own(tables.get(table, {})) for table in TABLES}


def _own(chains: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Without the one of podlab's chains that stands among kube-proxy's, and is written with them."""
    names = [name for name in chains if name in BUILT_IN or (name.startswith(CHAIN_PREFIX) and name != UNDEFINED_PORTS)]
    return {name: [rule for rule in chains[name] if target(rule) != UNDEFINED_PORTS] for name in names}


def sysctl_path(key: str) -> str:
    """A dot in an interface's name is a slash in sysctl's notation, and back."""
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


def read_sysctls(keys: Iterable[str]) -> dict[str, str]:
    """Settings that this kernel has; absent ones are left out."""
    found = {}
    for key in keys:
        try:
            with open(sysctl_path(key), encoding="ascii") as file:
                found[key] = file.read().strip()
        except OSError:
            continue
    return found


def write_sysctl(key: str, value: str) -> None:
    with open(sysctl_path(key), "w", encoding="ascii") as file:
        file.write(value)


def missing_programs(names: Iterable[str]) -> list[str]:
    """Programs that are not on this host's PATH."""
    path = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
    return [name for name in names if not any(os.access(f"{folder}/{name}", os.X_OK) for folder in path)]

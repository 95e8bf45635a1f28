"""The bridge that joins the pods of a node, ``cbr0``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from . import MARK


class Link(TypedDict, total=False):
    """A link of the host as ``ip -d addr show`` tells it."""

    kind: str | None
    alias: str
    mac: str
    mtu: int
    up: bool
    master: str | None
    hairpin: bool
    addresses: list[str]  # IPv4 with prefix length
    vxlan: dict[str, Any]  # of a vxlan device: id, port, local, link, learning


class BridgeRow(TypedDict):
    name: str
    address: str
    mac: str
    mtu: int


def changes(links: Mapping[str, Link], row: BridgeRow) -> list[str]:
    """Lines for ``ip -batch``. The MAC is pinned: a bridge without one takes that of a port, and changes
    it when the port goes, which leaves every pod with a stale ARP entry for its gateway."""
    name = row["name"]
    # A bridge of ours under another name holds the pods' gateway too, and answers for it.
    lines = [line for other in _bridges_of_ours(links) if other != name for line in removal(links, other)]
    link = links.get(name)
    if link is None:
        return [
            *lines,
            f"link add {name} address {row['mac']} mtu {row['mtu']} type bridge",
            f"link set {name} alias {MARK} up",
            f"addr add {row['address']} brd + dev {name}",
        ]
    wrong = []
    if link["mac"] != row["mac"]:
        wrong.append(f"address {row['mac']}")
    if link["mtu"] != row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if link["alias"] != MARK:
        wrong.append(f"alias {MARK}")
    if not link["up"]:
        wrong.append("up")
    if wrong:
        lines.append(f"link set {name} {' '.join(wrong)}")
    # The wanted address is written last: with promote_secondaries off, deleting the first address
    # of a subnet takes the others of that subnet along.
    surplus = [address for address in link["addresses"] if address != row["address"]]
    lines += [f"addr del {address} dev {name}" for address in surplus]
    if row["address"] not in link["addresses"] or surplus:
        lines.append(f"addr replace {row['address']} brd + dev {name}")
    lines += [
        f"link set {port} nomaster"
        for port, facts in sorted(links.items())
        if facts["master"] == name and not facts["alias"].startswith(MARK)
    ]
    return lines


def removal(links: Mapping[str, Link], name: str) -> list[str]:
    """Lines that take the bridge away, if it is there and podlab's."""
    return [f"link del {name}"] if name in _bridges_of_ours(links) else []


def _bridges_of_ours(links: Mapping[str, Link]) -> list[str]:
    return sorted(name for name, link in links.items() if link["kind"] == "bridge" and link["alias"] == MARK)

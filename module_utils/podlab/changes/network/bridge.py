"""The bridge that joins the pods of a node, ``cbr0``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface

from ...configs import BridgeConfig
from ...records.observation import Link, Route
from .. import MARK
from ..actions import Action, Bridge, Ip, Tc, set_sysctls
from . import link_state


def actions(
    links: Mapping[str, Link],
    row: BridgeConfig,
    routes: Sequence[Route] | None = None,
    seen: Mapping[str, str] | None = None,
) -> list[Action]:
    """What separates a host from its bridge: links, kernel settings, FDB entries, queueing disciplines.

    :param routes: of the host; without them the kernel's own route to the pods is taken to be there.
    :param seen: kernel settings of the bridge, and those that a new link gets.
    """
    return [
        *map(Ip, changes(links, row, routes)),
        *set_sysctls(settings(links, row, seen or {})),
        *map(Bridge, forwarding(links, row)),
        *map(Tc, queues(links)),
    ]


def changes(links: Mapping[str, Link], row: BridgeConfig, routes: Sequence[Route] | None = None) -> list[str]:
    """Lines for ``ip -batch``. The MAC is pinned: a bridge without one takes that of a port, and changes
    it when the port goes, which leaves every pod with a stale ARP entry for its gateway.
    """
    name = row["name"]
    # A bridge of ours under another name holds the pods' gateway too, and answers for it.
    lines = [line for other in _bridges_of_ours(links) if other != name for line in removal(links, other)]
    lines += ["link set lo up"] if "lo" in links and not links["lo"]["up"] else []
    link = links.get(name)
    if link is None:
        return [
            *lines,
            f"link add {name} address {row['mac']} mtu {row['mtu']} type bridge",
            f"link set {name} alias {MARK} up",
            f"addr add {row['address']} brd + dev {name}",
        ]
    # First, because some of what follows makes the kernel forget them, and what is gone cannot be deleted.
    lines += [f"neigh del {address} dev {name}" for address in link.get("neighbours", [])]
    wrong = []
    if link["mac"] != row["mac"]:
        wrong.append(f"address {row['mac']}")
    if link["mtu"] != row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if link["alias"] != MARK:
        wrong.append(f"alias {MARK}")
    if not link["up"]:
        wrong.append("up")
    wrong += link.get("amiss", [])
    if wrong:
        lines.append(f"link set {name} {' '.join(wrong)}")
    if link.get("bridge"):
        lines.append(f"link set {name} type bridge {' '.join(link['bridge'])}")
    # The wanted address is written last: with promote_secondaries off, deleting the first address
    # of a subnet takes the others of that subnet along.
    surplus = [address for address in link["addresses"] if address != row["address"]]
    lines += [f"addr del {address} dev {name}" for address in surplus]
    if row["address"] not in link["addresses"] or surplus:
        lines.append(f"addr replace {row['address']} brd + dev {name}")
    # The kernel makes the route to the pods when the address comes or the link goes up, and never again.
    if row["address"] in link["addresses"] and link["up"] and not _is_connected(routes, row):
        address = IPv4Interface(row["address"])
        lines.append(f"route replace {address.network} dev {name} proto kernel scope link src {address.ip}")
    lines += [
        f"link set {port} nomaster"
        for port in sorted(
            port for port, facts in links.items() if facts["master"] == name and not facts["alias"].startswith(MARK)
        )
    ]
    return lines


def _is_connected(routes: Sequence[Route] | None, row: BridgeConfig) -> bool:
    wanted = {"to": str(IPv4Interface(row["address"]).network), "dev": row["name"], "protocol": "kernel"}
    return routes is None or any(wanted.items() <= route.items() for route in routes)


def forwarding(links: Mapping[str, Link], row: BridgeConfig) -> list[str]:
    """Lines for ``bridge -batch``: the bridge learns by itself who is where, and takes what is written for granted."""
    link = links.get(row["name"])
    return [f"fdb del {words}" for words in (link.get("forwarding", []) if link else [])]


def settings(links: Mapping[str, Link], row: BridgeConfig, seen: Mapping[str, str]) -> dict[str, str]:
    """Kernel settings of the bridge. They go with it, so nobody has to remember what they were."""
    return link_state.knobs(row["name"], is_there=row["name"] in links, seen=seen)


def queues(links: Mapping[str, Link]) -> list[str]:
    """Lines for ``tc -batch``, of all links of ours."""
    return [line for link in links.values() for line in link.get("queues", [])]


def removal(links: Mapping[str, Link], name: str) -> list[str]:
    """Lines that take the bridge away, if it is there and podlab's."""
    return [f"link del {name}"] if name in _bridges_of_ours(links) else []


def _bridges_of_ours(links: Mapping[str, Link]) -> list[str]:
    return sorted(name for name, link in links.items() if link["kind"] == "bridge" and link["alias"] == MARK)

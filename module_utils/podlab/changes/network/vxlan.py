"""The overlay's device on a node, and who is behind it: one entry of each kind for every other node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...configs import PeerConfig, VxlanConfig
from ...records.observation import Link, Tunnel
from .. import MARK
from .link_state import knob

OVERHEAD = 50  # bytes: outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348, section 5)


EMPTY: Tunnel = {"neighbours": {}, "forwarding": [], "settings": {}}
LOOSE = "2"
SETTINGS = {"rp_filter": LOOSE, "forwarding": "1"}


def changes(
    links: Mapping[str, Link], tunnels: Mapping[str, Tunnel], row: VxlanConfig | None
) -> tuple[list[str], list[str]]:
    """Lines for ``ip -batch``, then for ``bridge -batch``."""
    if row is None:
        return [], []
    name = row["name"]
    link = links.get(name) if is_there(links, row) else None
    tunnel = tunnels.get(name, EMPTY) if link else EMPTY
    lines = [f"link del {other}" for other in clashing(links, row)]
    if link is None:
        lines += [
            *([f"link del {name}"] if name in links else []),
            f"link add {name} address {row['mac']} mtu {row['mtu']} type vxlan id {row['id']} "
            f"dstport {row['port']} local {row['local']} dev {row['link']} nolearning",
            f"link set {name} alias {MARK} up",
            f"addr add {row['address']} dev {name}",
        ]
    else:
        lines += _mended(link, row)
    # A device that gets another MAC forgets all of its ARP entries, permanent ones too.
    there = tunnel["neighbours"] if link and link["mac"] == row["mac"] else {}
    neighbours = {peer["address"]: peer["mac"] for peer in row["peers"]}
    lines += [f"neigh del {address} dev {name}" for address in there if address not in neighbours]
    lines += [
        f"neigh replace {address} lladdr {mac} dev {name} nud permanent"
        for address, mac in neighbours.items()
        if there.get(address) != mac
    ]
    return lines, _forwarding(name, tunnel["forwarding"], row["peers"])


def settings(links: Mapping[str, Link], tunnels: Mapping[str, Tunnel], row: VxlanConfig | None) -> dict[str, str]:
    """Kernel settings of the device: a node answers a pod by the overlay, where the pod asked it by the uplink."""
    if row is None:
        return {}
    seen = tunnels.get(row["name"], EMPTY)["settings"] if is_there(links, row) else {}
    # One that is made anew forwards, as ``default`` does.
    wanted = SETTINGS if seen else {"rp_filter": LOOSE}
    return {knob(row["name"], key): value for key, value in wanted.items() if seen.get(key) != value}


def is_there(links: Mapping[str, Link], row: VxlanConfig) -> bool:
    """Whether there is a device with what the kernel lets no device change. Another one is made anew."""
    wanted = {"id": row["id"], "port": row["port"], "local": row["local"], "link": row["link"], "learning": False}
    return row["name"] in links and links[row["name"]].get("vxlan") == wanted


def _mended(link: Link, row: VxlanConfig) -> list[str]:
    name, wrong = row["name"], []
    if link["master"]:
        wrong.append("nomaster")
    if link["mac"] != row["mac"]:
        wrong.append(f"address {row['mac']}")
    if link["mtu"] != row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if link["alias"] != MARK:
        wrong.append(f"alias {MARK}")
    if not link["up"]:
        wrong.append("up")
    wrong += link.get("amiss", [])
    lines = [f"link set {name} {' '.join(wrong)}"] if wrong else []
    # The last address of a device takes its routes and ARP entries along, so the wanted one comes first.
    if row["address"] not in link["addresses"]:
        lines.append(f"addr add {row['address']} dev {name}")
    return lines + [f"addr del {address} dev {name}" for address in link["addresses"] if address != row["address"]]


def _forwarding(name: str, seen: Sequence[tuple[str, str, bool]], peers: Sequence[PeerConfig]) -> list[str]:
    """A MAC of the overlay lives at one node; a second entry would send everything twice."""
    wanted = {(peer["mac"], peer["node"], True) for peer in peers}
    there = {(mac, node, permanent) for mac, node, permanent in seen}  # lists, where they have come as JSON
    lines = [f"fdb del {mac} dev {name} dst {node} self" for mac, node, _ in sorted(there - wanted)]
    return lines + [f"fdb append {mac} dev {name} dst {node} self permanent" for mac, node, _ in sorted(wanted - there)]


def ours(links: Mapping[str, Link]) -> list[str]:
    """Overlay devices with podlab's mark."""
    return sorted(name for name, link in links.items() if link["kind"] == "vxlan" and link["alias"] == MARK)


def may_be_ours(links: Mapping[str, Link]) -> list[str]:
    """Those, and one that bears the name of ours: somebody may have taken its mark away."""
    named = [name for name, link in links.items() if link["kind"] == "vxlan" and name.startswith("vxlan.")]
    return sorted({*ours(links), *named})


def surplus(links: Mapping[str, Link], row: VxlanConfig | None) -> list[str]:
    """Those that have to go: all but the one of the row."""
    return [name for name in ours(links) if row is None or name != row["name"]]


def clashing(links: Mapping[str, Link], row: VxlanConfig) -> list[str]:
    """Those of them that stand in the way of the row's: of two devices with one VNI and port the kernel refuses the
    second. The others carry what is sent by them until nobody does."""
    asked = {"id": row["id"], "port": row["port"]}
    return [name for name in surplus(links, row) if asked.items() <= links[name].get("vxlan", {}).items()]


def removal(links: Mapping[str, Link], row: VxlanConfig | None = None) -> list[str]:
    """Lines that take the others away; addresses, entries and routes go with them."""
    going = surplus(links, row)
    return [f"link del {name}" for name in going if row is None or name not in clashing(links, row)]

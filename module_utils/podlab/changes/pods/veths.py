"""The link of a pod: a veth pair from the bridge to eth0 in the pod's namespace."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Interface

from ...configs import PodConfig
from ...records.observation import Link
from ...records.observation import ObservedPod as Pod
from .. import MARK
from ..actions import Ip, NetnsIp
from .sandbox import alias, veth_name


def gc(
    links: Mapping[str, Link], wanted: Collection[str], sound: Collection[str], removed: Collection[str]
) -> tuple[list[Ip], dict[str, Link]]:
    """Delete the veths of pods that are not there, and give one that was renamed its name back.

    :param wanted, sound: pods with a network of their own, and those of them whose sandbox stays.
    :param removed: pods that are removed, each with its veth.
    :return: the commands, and the veths that stay.
    """
    names = {veth_name(netns) for netns in wanted}
    veths = {name: link for name, link in links.items() if name in names or link["alias"].startswith(MARK + " ")}
    homes = {alias(netns): veth_name(netns) for netns in sound}
    going = {word for netns in removed for word in (veth_name(netns), alias(netns))}
    stay = {name: veths[name] for name in homes.values() if name in veths}
    found = []
    for name, link in sorted(veths.items()):
        home = homes.get(link["alias"])
        if name in stay or going & {name, link["alias"]}:
            continue
        if home and home not in stay:
            found += [Ip(f"link set {name} down"), Ip(f"link set {name} name {home}")]
            stay[home] = {**link, "up": False}
        else:
            found.append(Ip(f"link del {name}"))
    return found, stay


def create(row: PodConfig, *, beside_old_eth0: bool = False) -> tuple[list[Ip], list[NetnsIp]]:
    """The commands outside and inside. An eth0 whose other end was moved to an unknown namespace goes when the new one
    is there: from outside of the pod it cannot be deleted, and the new one cannot have its name before."""
    netns, veth = row["netns"], veth_name(row["netns"])
    end = "podlab0" if beside_old_eth0 else "eth0"
    outside = [
        f"link add {veth} mtu {row['mtu']} type veth "
        f"peer name {end} address {row['mac']} mtu {row['mtu']} netns {netns}",
        f"link set {veth} alias {_quoted(alias(netns))} master {row['bridge']} up",
        f"link set {veth} type bridge_slave hairpin on",
    ]
    inside = [
        *(["link del eth0", f"link set {end} name eth0"] if beside_old_eth0 else []),
        "link set lo up",
        f"addr add {row['address']} brd + dev eth0",
        "link set eth0 up",
        f"route add default via {row['gateway']} dev eth0",
    ]
    return [Ip(words) for words in outside], [NetnsIp(netns, words) for words in inside]


def delete(row: PodConfig) -> list[Ip]:
    return [Ip(f"link del {veth_name(row['netns'])}")]


def narrow(row: PodConfig, veth: Link) -> list[Ip]:
    """The host's end takes less once the pod sends no more: what is too long is dropped there without a word."""
    return [Ip(f"link set {veth_name(row['netns'])} mtu {row['mtu']}")] if veth["mtu"] > row["mtu"] else []


def repair_outside(row: PodConfig, veth: Link) -> list[Ip]:
    name, wrong = veth_name(row["netns"]), []
    if veth["alias"] != alias(row["netns"]):
        wrong.append(f"alias {_quoted(alias(row['netns']))}")
    if veth["mtu"] < row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if veth["master"] != row["bridge"]:
        wrong.append(f"master {row['bridge']}")
    if not veth["up"]:
        wrong.append("up")
    wrong += veth.get("amiss", [])
    lines = [f"link set {name} {' '.join(wrong)}"] if wrong else []
    lines += [f"addr del {address} dev {name}" for address in veth["addresses"]]
    port = veth.get("port", [] if veth["hairpin"] else ["hairpin on"])
    if veth["master"] != row["bridge"]:
        port = ["hairpin on"]  # all else is as it shall be on a port that is new
    lines += [f"link set {name} type bridge_slave {' '.join(port)}"] if port else []
    return [Ip(words) for words in lines]


def repair_inside(row: PodConfig, pod: Pod, eth0: Link) -> list[NetnsIp]:
    lines = [f"neigh del {address} dev eth0" for address in pod.get("neighbours", [])]
    lines += [] if pod["lo_up"] else ["link set lo up"]
    if eth0["mac"] != row["mac"]:
        lines.append(f"link set eth0 address {row['mac']}")
    if eth0["mtu"] != row["mtu"]:
        lines.append(f"link set eth0 mtu {row['mtu']}")
    lines += [f"link set eth0 {words}" for words in eth0.get("amiss", [])]
    # Routes before addresses: the last address of a link takes its routes along, and what is gone cannot be deleted.
    default = f"default via {row['gateway']} dev eth0"
    lines += [f"route del {route}" for route in pod["routes"] if route != default]
    surplus = [address for address in eth0["addresses"] if address != row["address"]]
    lines += [f"addr del {address} dev eth0" for address in surplus]
    readdressed = bool(surplus) or row["address"] not in eth0["addresses"]
    if readdressed:
        lines.append(f"addr replace {row['address']} brd + dev eth0")
    if not eth0["up"]:
        lines.append("link set eth0 up")
    own = IPv4Interface(row["address"])
    is_connected = str(own.network) in pod.get("connected", [str(own.network)])
    # The kernel makes the route to the pod's own network when the address comes or the link goes up, and never again.
    if eth0["up"] and row["address"] in eth0["addresses"] and not is_connected:
        lines.append(f"route replace {own.network} dev eth0 proto kernel scope link src {own.ip}")
    if readdressed or default not in pod["routes"]:
        lines.append(f"route replace {default}")
    return [NetnsIp(row["netns"], words) for words in lines]


def _quoted(text: str) -> str:
    return f'"{text}"'

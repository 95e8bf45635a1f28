"""Pods of a node: namespaces, wires and the processes inside."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypedDict

from . import MARK
from .bridge import Link
from .containers import ContainerRow, service_name


class PodRow(TypedDict):
    """One pod on one node. ``object`` is the Kubernetes object for ``get``; nothing here reads it."""

    netns: str
    address: str  # with prefix length
    gateway: str
    mac: str
    mtu: int
    bridge: str
    hostname: str
    restart_policy: str
    etc: dict[str, str]  # resolv.conf, hosts, hostname
    containers: dict[str, ContainerRow]
    object: dict[str, Any]


class Pod(TypedDict, total=False):
    """A pod as it is found. Inside facts are missing when there is nothing to enter."""

    sandbox: bool  # pause lives, in the namespaces that bear the pod's name
    row: PodRow | None  # as last applied
    services: list[str]  # containers under supervision
    eth0: Link | None
    lo_up: bool
    routes: list[str]  # "default via 10.1.1.1", as far as the kernel did not make them


@dataclass
class Steps:
    """What has to be done, in this order. Empty is false."""

    gone: list[str] = field(default_factory=list)
    sandboxes: list[PodRow] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)
    insides: dict[str, list[str]] = field(default_factory=dict)
    announce: list[PodRow] = field(default_factory=list)
    stop: list[tuple[str, str]] = field(default_factory=list)  # netns, container
    start: list[tuple[PodRow, str]] = field(default_factory=list)
    refresh: list[PodRow] = field(default_factory=list)  # only the record of the pod differs

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def lines(self) -> list[str]:
        """The commands that a person would type for the same effect."""
        typed = [line for netns in self.gone for line in _removal_lines(netns)]
        typed += [line for row in self.sandboxes for line in sandbox_lines(row)]
        typed += [f"ip {line}" for line in self.wires]
        typed += [f"ip -n {netns} {line}" for netns, lines in self.insides.items() for line in lines]
        typed += [announcement_line(row) for row in self.announce]
        typed += [f"s6-svc -wD -d {SERVICES}/{service_name(netns, name)}" for netns, name in self.stop]
        typed += [
            f"s6-svscanctl -a {SERVICES}  # {service_name(row['netns'], name)}: "
            + shlex.join(row["containers"][name]["argv"]).replace("\n", "\\n")
            for row, name in self.start
        ]
        built = {row["netns"] for row in self.sandboxes}
        typed += [f"# {PODS}/{row['netns']}/pod.json" for row in self.refresh if row["netns"] not in built]
        return typed


PODS = "/run/podlab/pods"
SERVICES = "/run/podlab/services"
SANDBOX_SYSCTLS = {
    # What containerd gives to every pod: low ports without privileges. (It gives ping_group_range too,
    # which an ordinary user's namespace refuses: it maps a single group.)
    "net.ipv4.ip_unprivileged_port_start": "0",
}


def veth_name(netns: str) -> str:
    """The node's end of a pod's wire: ``veth`` and eight digits, as the CNI plugins name it, but stable."""
    return "veth" + hashlib.sha256(netns.encode()).hexdigest()[:8]


def alias(netns: str) -> str:
    return f"{MARK} {netns.replace('_', '/')}"


def unshare_argv(row: PodRow) -> list[str]:
    """The command that makes a pod's three namespaces and gives each a name in the file system."""
    home = f"{PODS}/{row['netns']}"
    # hostname(1), not kernel.hostname: that file belongs to the machine's root in every user namespace.
    return [
        *("unshare", f"--net=/run/netns/{row['netns']}", f"--ipc={home}/ipc", f"--uts={home}/uts"),
        *("sh", "-c", 'hostname "$0" && exec sysctl -qw "$@"', row["hostname"]),
        *(f"{key}={value}" for key, value in SANDBOX_SYSCTLS.items()),
    ]


def pause_argv(netns: str) -> list[str]:
    """The process that holds the namespaces; its last words tell ``ps`` whose it is."""
    home = f"{PODS}/{netns}"
    return [
        *("nsenter", f"--net=/run/netns/{netns}", f"--ipc={home}/ipc", f"--uts={home}/uts"),
        *pause_command(netns),
    ]


def pause_command(netns: str) -> list[str]:
    return ["catatonit", "-P", "podlab-pod", netns]


def sandbox_lines(row: PodRow) -> list[str]:
    netns, home = row["netns"], f"{PODS}/{row['netns']}"
    return [
        f"mkdir -p {home} && touch /run/netns/{netns} {home}/ipc {home}/uts",
        shlex.join(unshare_argv(row)),
        "setsid " + " ".join(pause_argv(netns)) + " &",
    ]


def announcement_line(row: PodRow) -> str:
    """Gratuitous ARP for a pod's address (RFC 5227, section 3)."""
    return f"ip netns exec {row['netns']} arping -c 1 -A -I eth0 {row['address'].split('/')[0]}"


def _removal_lines(netns: str) -> list[str]:
    return [
        f"pkill -KILL -f '^{' '.join(pause_command(netns))}$'",
        f"ip link del {veth_name(netns)}",
        f"umount {PODS}/{netns}/ipc {PODS}/{netns}/uts && ip netns del {netns} && rm -r {PODS}/{netns}",
    ]


def changes(links: Mapping[str, Link], pods: Mapping[str, Pod], rows: Sequence[PodRow]) -> Steps:
    """What separates the node from its rows. What is sound is not named."""
    wanted = {row["netns"]: row for row in rows}
    sound = {netns for netns, row in wanted.items() if netns in pods and _can_stay(pods[netns], row)}
    steps = Steps(gone=sorted(pods.keys() - sound))
    veths = _tidy(steps, links, wanted, sound)
    for netns, row in wanted.items():
        if netns in sound:
            _mend(steps, row, pods[netns], veths.get(veth_name(netns)))
        else:
            _build(steps, row)
    return steps


def _can_stay(pod: Pod, row: PodRow) -> bool:
    """A hostname is set when its namespace is made, and the pod's processes have read it since."""
    before = pod.get("row")
    return pod["sandbox"] and (before is None or before["hostname"] == row["hostname"])


def _tidy(steps: Steps, links: Mapping[str, Link], wanted: Mapping[str, PodRow], sound: Set[str]) -> dict[str, Link]:
    """Wires that are nobody's go, and one that was renamed gets its name back. Returns the wires that stay."""
    names = {veth_name(netns) for netns in wanted}
    wires = {name: link for name, link in links.items() if name in names or link["alias"].startswith(MARK + " ")}
    homes = {alias(netns): veth_name(netns) for netns in sound}
    # A pod that goes takes its wire along.
    going = {word for netns in steps.gone for word in (veth_name(netns), alias(netns))}
    stay = {name: wires[name] for name in homes.values() if name in wires}
    for name, link in sorted(wires.items()):
        home = homes.get(link["alias"])
        if name in stay or going & {name, link["alias"]}:
            continue
        if home and home not in stay:
            steps.wires += [f"link set {name} down", f"link set {name} name {home}"]
            stay[home] = {**link, "up": False}
        else:
            steps.wires.append(f"link del {name}")
    return stay


def _build(steps: Steps, row: PodRow) -> None:
    steps.sandboxes.append(row)
    _connect(steps, row)
    steps.start += [(row, name) for name in row["containers"]]


def _connect(steps: Steps, row: PodRow, *, beside_old_eth0: bool = False) -> None:
    """Lay a wire. An eth0 whose other end was moved to where nobody finds it goes when the new one is there:
    from outside of the pod it cannot be deleted, and the new wire cannot have its name before."""
    netns, veth = row["netns"], veth_name(row["netns"])
    end = "podlab0" if beside_old_eth0 else "eth0"
    steps.wires += [
        f"link add {veth} mtu {row['mtu']} type veth "
        f"peer name {end} address {row['mac']} mtu {row['mtu']} netns {netns}",
        f"link set {veth} alias {_quoted(alias(netns))} master {row['bridge']} up",
        f"link set {veth} type bridge_slave hairpin on",
    ]
    steps.insides[netns] = [
        *(["link del eth0", f"link set {end} name eth0"] if beside_old_eth0 else []),
        "link set lo up",
        f"addr add {row['address']} brd + dev eth0",
        "link set eth0 up",
        f"route add default via {row['gateway']} dev eth0",
    ]
    steps.announce.append(row)


def _mend(steps: Steps, row: PodRow, pod: Pod, veth: Link | None) -> None:
    netns, eth0 = row["netns"], pod.get("eth0")
    if veth is None or eth0 is None:
        if veth:
            steps.wires.append(f"link del {veth_name(netns)}")
        _connect(steps, row, beside_old_eth0=eth0 is not None)
    else:
        steps.wires += _veth_lines(row, veth)
        inside = _inside_lines(row, pod, eth0)
        if inside:
            steps.insides[netns] = inside
            steps.announce.append(row)
    before = pod.get("row")
    applied = before["containers"] if before else {}
    same_pod = before is not None and _around(before) == _around(row)
    for name in sorted({*applied, *pod["services"]} - row["containers"].keys()):
        steps.stop.append((netns, name))
    for name, container in row["containers"].items():
        if name not in pod["services"] or applied.get(name) != container or not same_pod:
            if name in pod["services"]:
                steps.stop.append((netns, name))
            steps.start.append((row, name))
    if before != row:
        steps.refresh.append(row)


def _around(row: PodRow) -> tuple[object, ...]:
    """What a container reads of its pod when it starts."""
    return row["restart_policy"], row["etc"]


def _veth_lines(row: PodRow, veth: Link) -> list[str]:
    name, wrong = veth_name(row["netns"]), []
    if veth["alias"] != alias(row["netns"]):
        wrong.append(f"alias {_quoted(alias(row['netns']))}")
    if veth["mtu"] != row["mtu"]:
        wrong.append(f"mtu {row['mtu']}")
    if veth["master"] != row["bridge"]:
        wrong.append(f"master {row['bridge']}")
    if not veth["up"]:
        wrong.append("up")
    lines = [f"link set {name} {' '.join(wrong)}"] if wrong else []
    lines += [f"addr del {address} dev {name}" for address in veth["addresses"]]
    if veth["master"] != row["bridge"] or not veth["hairpin"]:
        lines.append(f"link set {name} type bridge_slave hairpin on")
    return lines


def _inside_lines(row: PodRow, pod: Pod, eth0: Link) -> list[str]:
    lines = [] if pod["lo_up"] else ["link set lo up"]
    if eth0["mac"] != row["mac"]:
        lines.append(f"link set eth0 address {row['mac']}")
    if eth0["mtu"] != row["mtu"]:
        lines.append(f"link set eth0 mtu {row['mtu']}")
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
    if readdressed or default not in pod["routes"]:
        lines.append(f"route replace {default}")
    return lines


def _quoted(text: str) -> str:
    return f'"{text}"'

"""Links, routes, rules and settings of this host, as the pure functions want them."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from ...changes import CHAIN_PREFIX, MAC_PREFIX, MARK
from ...changes.kube_proxy.diff import is_ours
from ...changes.netfilter.iptables_save import BUILT_IN, Tables, parsed, target
from ...changes.netfilter.rules import UNDEFINED_PORTS
from ...changes.network import link_state, vxlan
from ...changes.network.link_state import knob
from ...changes.system.marks import is_marked
from ...configs import VxlanConfig
from ...records.observation import Link, Route, Tunnel, VxlanDevice
from ..run import entries, run, run_all
from . import namespaces

TABLES = ("filter", "nat")
LOCAL = "255"  # the table that is looked up before all others


def links() -> dict[str, Link]:
    """Every link of this network namespace."""
    found = {link["ifname"]: link_facts(link) for link in entries(run(["ip", "-j", "-d", "addr", "show"]))}
    for name, link in found.items():
        # Somebody may have taken the mark away.
        if link["kind"] == "bridge" and (link["alias"] == MARK or link["mac"].startswith(MAC_PREFIX)):
            own = {other["mac"] for other in found.values()}
            link["neighbours"], link["forwarding"] = _written_by_hand(name, own)
    queues = _queues() if any(map(is_marked, found.values())) else {}
    for name, link in found.items():
        if is_marked(link) and (lines := link_state.queues(name, queues.get(name, ()))):
            link["queues"] = lines
    return found


def _queues() -> dict[str, list[dict[str, Any]]]:
    """Link -> its queueing disciplines."""
    found: dict[str, list[dict[str, Any]]] = {}
    for discipline in entries(run(["tc", "-j", "qdisc", "show"])):
        found.setdefault(discipline["dev"], []).append(discipline)
    return found


def _written_by_hand(bridge: str, own: Container[str]) -> tuple[list[str], list[str]]:
    """What nobody but a person writes on a bridge of ours: permanent ARP entries, and FDB entries that were not
    learnt and are not for a link's own MAC."""
    asked = ["ip", "-j", "-4", "neigh", "show", "nud", "permanent", "nud", "noarp", "dev", bridge]
    neighbours = entries(run(asked))
    forwarding = entries(run(["bridge", "-j", "fdb", "show", "br", bridge]))
    return [entry["dst"] for entry in neighbours if is_written(entry)], [
        f"{entry['mac']} dev {entry['ifname']} {'self' if entry['ifname'] == bridge else 'master'}"
        + (f" vlan {entry['vlan']}" if "vlan" in entry else "")
        for entry in forwarding
        if entry.get("master") == bridge and entry["mac"] not in own and _was_written(entry)
    ]


def is_written(neighbour: Mapping[str, Any]) -> bool:
    """Whether somebody wrote an ARP entry. Those of multicast and broadcast need no ARP, and are the kernel's."""
    group = neighbour.get("lladdr", "").startswith(("01:00:5e", "ff:ff:ff", "33:33"))
    return neighbour.get("state") == ["PERMANENT"] or not group


def _was_written(entry: Mapping[str, Any]) -> bool:
    return entry.get("state") in ("permanent", "static") or "extern_learn" in entry.get("flags", [])


def link_facts(link: Mapping[str, Any]) -> Link:
    """One entry of ``ip -j -d addr show``."""
    info = link.get("linkinfo", {})
    facts: Link = {
        "kind": info.get("info_kind"),
        "alias": link.get("ifalias", ""),
        "mac": link.get("address", ""),
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "master": link.get("master"),
        "hairpin": bool(info.get("info_slave_data", {}).get("hairpin")),
        "addresses": [
            f"{address['local']}/{address['prefixlen']}"
            for address in link.get("addr_info", [])
            if address.get("family") == "inet"
        ],
    }
    wrong = link_state.amiss(link)
    if wrong.link:
        facts["amiss"] = wrong.link
    if wrong.port:
        facts["port"] = wrong.port
    if wrong.bridge:
        facts["bridge"] = wrong.bridge
    if facts["kind"] == "vxlan":
        facts["vxlan"] = _vxlan_device(info["info_data"])
    return facts


def _vxlan_device(data: Mapping[str, Any]) -> VxlanDevice:
    return {
        "id": data.get("id"),
        "port": data.get("port"),
        "local": data.get("local"),
        "link": data.get("link"),
        "learning": data.get("learning"),
    }


def tunnels(links: Mapping[str, Link]) -> dict[str, Tunnel]:
    """What hangs on podlab's overlay devices."""
    return {name: _tunnel(name) for name in vxlan.may_be_ours(links)}


def _tunnel(name: str) -> Tunnel:
    neighbours = entries(run(["ip", "-j", "neigh", "show", "nud", "permanent", "dev", name]))
    forwarding = entries(run(["bridge", "-j", "fdb", "show", "dev", name]))
    keys = {key: knob(name, key) for key in vxlan.SETTINGS}
    values = read_sysctls(keys.values())
    return {
        "neighbours": {entry["dst"]: entry["lladdr"] for entry in neighbours},
        "forwarding": [
            (entry["mac"], _destination(entry), entry.get("state") == "permanent")
            for entry in forwarding
            if "dst" in entry
        ],
        "settings": {key: values[setting] for key, setting in keys.items() if setting in values},
    }


def _destination(entry: Mapping[str, Any]) -> str:
    """Where an FDB entry leads, in the words that name it to bridge(8)."""
    more = [f"{key} {entry[key]}" for key in ("port", "vni", "src_vni", "via") if key in entry]
    return " ".join([entry["dst"], *more])


def lost_overlays(links: Mapping[str, Link], row: VxlanConfig | None) -> list[list[str]]:
    """Commands that delete devices of ours which somebody moved into other network namespaces: the kernel still
    counts their VNI where they were made. Looked for only while the host's own device is missing."""
    if row is None or row["name"] in links:
        return []
    ways = namespaces.others()
    answers = run_all([([*way, "-j", "-d", "link", "show", "type", "vxlan"], None) for way in ways])
    return [
        [*way, "link", "del", link["ifname"]]
        for way, (_, out, _) in zip(ways, answers, strict=True)
        for link in entries(out)
        if link_facts(link)["alias"] == MARK and link_facts(link)["vxlan"]["id"] == row["id"]
    ]


def routes() -> list[Route]:
    """The main table, and of the local one what the kernel has not made itself for an address."""
    found = entries(run(["ip", "-j", "-N", "-4", "route", "show", "table", "all"]))
    known = [route_facts(route) for route in found if route.get("table") in (None, LOCAL)]
    return [route for route in known if route.get("table") != LOCAL or route["protocol"] != "kernel"]


def policy_rules() -> list[str]:
    """What ``ip rule`` has beside the kernel's own three: ``100: from 10.1.0.0/16 lookup 7``."""
    lines = [" ".join(line.split()) for line in run(["ip", "-4", "rule", "show"]).splitlines()]
    return [line for line in lines if line.split(":")[0] not in ("0", "32766", "32767")]


def route_facts(route: Mapping[str, Any]) -> Route:
    """One entry of ``ip -j -N route show``; protocols and kinds are numbers, but for the kernel's (2)."""
    to = {"default": "0.0.0.0/0"}.get(route["dst"], route["dst"])
    facts: Route = {
        "to": to if "/" in to else f"{to}/32",
        "via": route.get("gateway"),
        "dev": route.get("dev"),
        "protocol": {"2": "kernel"}.get(str(route.get("protocol")), str(route.get("protocol"))),
    }
    if route.get("metric"):
        facts["metric"] = route["metric"]
    if route.get("table"):
        facts["table"] = str(route["table"])
    more = [f"{key} {value}" for item in route.get("metrics", ()) for key, value in item.items()]
    if "type" in route or more or "nexthops" in route:
        facts["more"] = " ".join([f"type {route['type']}"] * ("type" in route) + more)
    return facts


def saved() -> dict[str, dict[str, list[str]]]:
    """All of iptables: table -> chain -> rules. A table that the kernel has not made yet is left out."""
    if missing_programs(["iptables-save"]):
        return {}  # no program, no rules; a gateway needs none
    return parsed(run(["iptables-save"]))


def forward_drops() -> bool:
    """Whether the policy of FORWARD is DROP, as Docker makes it.

    Not by ``iptables -S``: it needs the lock of all who change rules, and fails while Docker has it.
    """
    if missing_programs(["iptables-save"]):
        return False
    return any(line.startswith(":FORWARD DROP ") for line in run(["iptables-save", "-t", "filter"]).splitlines())


def rules(tables: Tables | None = None) -> dict[str, dict[str, list[str]]]:
    """Table -> chain -> rules: podlab's chains, the built-in ones, those that they lead to, and those of ``filter``
    where a host's own firewall may have its end. The others are not these components' to read.

    :param tables: what ``saved`` has told; it is asked if this is left out.
    """
    tables = saved() if tables is None else tables
    return {table: _own(tables.get(table, {}), table == "filter") for table in TABLES}


def _own(chains: Mapping[str, Sequence[str]], with_others: bool) -> dict[str, list[str]]:
    """Without the one of podlab's chains that stands among kube-proxy's, and is written with them. The rules that lead
    into it are here: who inserts one by its number counts them all. With those that these lead to: ``iptables -E`` may
    have taken podlab's name from them."""
    names = [
        name
        for name in chains
        if name in BUILT_IN
        or (name.startswith(CHAIN_PREFIX) and name != UNDEFINED_PORTS)
        or (with_others and not name.startswith(CHAIN_PREFIX) and not is_ours(name))
    ]
    led_to = {target(rule) for name in names for rule in chains[name]}
    names += [name for name in chains if name in led_to and name not in names and not is_ours(name)]
    return {name: list(chains[name]) for name in names}


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

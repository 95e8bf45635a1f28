"""What podlab's own links have to be so that they carry pods' packets: one table, each line with its reason.

All of it is the kernel's default, but for ``hairpin``. What a kernel does not tell of is taken to be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...configs import BridgeConfig, VxlanConfig
from ...records.observation import Link
from .. import MARK


class Wanted(NamedTuple):
    """``key`` of ``ip -j -d link show``, the values that will do, and the words for ``ip link set`` that mend another
    one."""

    key: str
    values: tuple[object, ...]
    words: str
    why: str


PORT = (
    Wanted("hairpin", (True,), "hairpin on", "a pod's call of itself by a service comes back by the port it left by"),
    Wanted("isolated", (False,), "isolated off", "isolated ports do not reach each other"),
    Wanted("learning", (True,), "learning on", "else everything that is for the pod goes to everybody"),
    Wanted("flood", (True,), "flood on", "who is called first has not been learnt yet"),
    Wanted("bcast_flood", (True,), "bcast_flood on", "ARP asks everybody"),
    Wanted("mcast_flood", (True,), "mcast_flood on", "multicast reaches who has not asked for it by IGMP"),
    Wanted("guard", (False,), "guard off", "a bridge in a pod must not be able to close the port"),
    Wanted("root_block", (False,), "root_block off", "a better bridge in a pod must not be able to block the port"),
    Wanted("locked", (False,), "locked off", "a locked port lets in only MACs that somebody wrote"),
    Wanted("mab", (False,), "mab off", "a locked port with it learns MACs and does not let them in"),
    Wanted("neigh_suppress", (False,), "neigh_suppress off", "ARP is answered by the pod"),
    Wanted("proxy_arp", (False,), "proxy_arp off", "nobody answers ARP in the place of the pod"),
    Wanted(
        "proxy_arp_wifi", (False,), "proxy_arp_wifi off", "nobody answers ARP in the place of a station behind the port"
    ),
    Wanted("vlan_tunnel", (False,), "vlan_tunnel off", "frames have no VLAN"),
    # A link that is down is disabled, and forwards when it goes up.
    Wanted("state", ("forwarding", "disabled"), "state 3", "a port that blocks passes nothing (3: forwarding)"),
)
BRIDGE = (
    Wanted("stp_state", (0,), "stp_state 0", "with STP a new port waits half a minute"),
    Wanted("vlan_filtering", (0,), "vlan_filtering 0", "frames have no VLAN"),
    Wanted("ageing_time", (30000,), "ageing_time 30000", "with 0 nothing is learnt; in hundredths of a second"),
    Wanted("nf_call_iptables", (0,), "nf_call_iptables 0", "the setting of the same name is for all bridges"),
    Wanted("nf_call_arptables", (0,), "nf_call_arptables 0", "ARP is nobody's to filter"),
    Wanted("group_fwd_mask", ("0",), "group_fwd_mask 0", "frames for bridges themselves stay"),
    Wanted("fdb_max_learned", (0,), "fdb_max_learned 0", "0: as many as there are"),
)
ANY = (
    Wanted("NOARP", (False,), "arp on", "who does not ask by ARP sends nothing"),
    Wanted("proto_down", (False,), "protodown off", "a link that is held down carries nothing"),
    Wanted("xdp", (False,), "xdp off", "a program there sees packets before the kernel does"),
)

KNOBS = {
    "forwarding": "1",  # of each link on the way, whatever ip_forward says
    "arp_ignore": "0",
    "arp_filter": "0",
    "proxy_arp": "0",
}
"""Settings of the bridge (``net.ipv4.conf.NAME``): it passes packets on, and answers ARP for itself and nobody else."""


def made(kind: str, row: BridgeConfig | VxlanConfig) -> Link:
    """A link of podlab's own, as a host tells of it once it is made."""
    return {
        "kind": kind,
        "alias": MARK,
        "mac": row["mac"],
        "mtu": row["mtu"],
        "up": True,
        "master": None,
        "hairpin": False,
        "addresses": [row["address"]],
    }


class Amiss(NamedTuple):
    """Words for ``ip link set NAME``, ``... type bridge_slave`` and ``... type bridge``; none: all is well."""

    link: list[str]
    port: list[str]
    bridge: list[str]


def amiss(link: Mapping[str, Any]) -> Amiss:
    """:param link: an entry of ``ip -j -d link show``."""
    info = link.get("linkinfo", {})
    facts = {"NOARP": "NOARP" in link.get("flags", ()), "proto_down": link.get("proto_down"), "xdp": "xdp" in link}
    port = info.get("info_slave_data", {}) if info.get("info_slave_kind") == "bridge" else {}
    bridge = info.get("info_data", {}) if info.get("info_kind") == "bridge" else {}
    return Amiss(*(_words(*pair) for pair in ((facts, ANY), (port, PORT), (bridge, BRIDGE))))


def _words(facts: Mapping[str, Any], table: Iterable[Wanted]) -> list[str]:
    return [it.words for it in table if facts.get(it.key) is not None and facts[it.key] not in it.values]


def knob(name: str, key: str) -> str:
    """The name of a link's setting; a dot in a link's name is a slash there, as with sysctl(8)."""
    return f"net.ipv4.conf.{name.replace('.', '/')}.{key}"


def knobs(name: str, *, is_there: bool, seen: Mapping[str, str]) -> dict[str, str]:
    """Settings of the bridge to be written. One that is yet to be made gets those of ``default``, and ``forwarding`` is
    among what the component *node* makes of them. In check mode nobody has made it: what ``default`` is then says
    nothing of the bridge."""
    source = name if is_there else "default"
    asked = {key: it for key, it in KNOBS.items() if is_there or key != "forwarding"}
    return {knob(name, key): it for key, it in asked.items() if seen.get(knob(source, key)) not in (None, it)}


def queues(link: str, disciplines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines for ``tc -batch`` that take away what delays or drops a link's packets: it has none by itself.

    :param disciplines: those of the link, from ``tc -j qdisc show``.
    """
    kinds = [("root" if it.get("root") else str(it["kind"])) for it in disciplines if it["kind"] != "noqueue"]
    return [f"qdisc del dev {link} {kind}" for kind in kinds if kind in ("root", "ingress", "clsact")]

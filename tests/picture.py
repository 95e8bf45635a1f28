"""What a host's network looks like, without what differs between two hosts that are built alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from podlab.changes import MAC_PREFIX

QUESTIONS = {
    "links": "ip -j -d addr show",
    "routes": "ip -j -N -4 route show table all",
    "neighbours": "ip -j -4 neigh show nud permanent",
    "fdb": "bridge -j fdb show",
}
SETTINGS = "sysctl -a -r '[.](ip_forward|rp_filter|send_redirects|bridge-nf-call-iptables)$' 2>/dev/null"
RULES = "iptables-save | sed -e '/^#/d' -e 's/^\\(:[^ ]*\\) .*/\\1/'"  # the policies are not podlab's


class Lab(Protocol):
    def sh(self, host: str, script: str) -> str: ...


def picture(lab: Lab, host: str) -> dict[str, Any]:
    """Links, addresses, routes, written ARP and FDB entries and MTUs of the host and of each of its pods, its rules
    and its settings: what ``ip link``, ``ip route``, ``ip neigh`` and ``bridge fdb`` tell, comparable with ``==``."""
    found: dict[str, Any] = {"": _namespace(lab, host, "")}
    for netns in lab.sh(host, "ls /run/podlab/pods 2>/dev/null || true").split():
        found[netns] = _namespace(lab, host, f"ip netns exec {netns} ")
    found["settings"] = lab.sh(host, SETTINGS).splitlines()
    found["rules"] = lab.sh(host, RULES).splitlines()
    return found


def _namespace(lab: Lab, host: str, prefix: str) -> dict[str, list[str]]:
    script = "; echo ,; ".join(
        f"{prefix}{question} | sed 's/^$/[]/' | grep . || echo []" for question in QUESTIONS.values()
    )
    links, routes, neighbours, fdb = json.loads(f"[{lab.sh(host, script)}]")
    return {
        "links": sorted(map(_link, links)),
        "routes": sorted(json.dumps(route, sort_keys=True) for route in routes),
        "neighbours": sorted(f"{entry['dst']} {entry['lladdr']} {entry['dev']}" for entry in neighbours),
        "fdb": sorted(_entry(entry) for entry in fdb if "dst" in entry or entry.get("state") == "static"),
    }


def _link(link: Mapping[str, Any]) -> str:
    info = link.get("linkinfo", {})
    facts = {key: link.get(key) for key in ("ifname", "mtu", "operstate", "master", "ifalias", "flags")}
    facts["mac"] = link.get("address") if link.get("address", "").startswith(MAC_PREFIX) else "any"
    facts["kind"] = info.get("info_kind")
    facts["vxlan"] = info.get("info_data") if facts["kind"] == "vxlan" else None
    facts["hairpin"] = info.get("info_slave_data", {}).get("hairpin")
    facts["addresses"] = [
        [entry["local"], entry["prefixlen"]] for entry in link["addr_info"] if entry["family"] == "inet"
    ]
    return json.dumps(facts, sort_keys=True)


def _entry(entry: Mapping[str, Any]) -> str:
    return json.dumps({key: entry.get(key) for key in ("mac", "ifname", "dst", "port", "vni", "state")}, sort_keys=True)

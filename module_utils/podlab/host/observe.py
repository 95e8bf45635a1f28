"""Read every table of this host, once. Changes nothing."""

from __future__ import annotations

import os

from ..changes import MARK
from ..changes.kube_proxy.services import TCP_BE_LIBERAL
from ..changes.netfilter.rules import HOST_PORTS
from ..changes.network.link_state import KNOBS, knob
from ..changes.pods.paths import IMAGES
from ..programs import BY_ROLE as PACKAGES
from ..records import reading
from ..records.observation import Observation
from . import lease, record
from .kube_proxy import conntrack, services
from .network import firewalls, network
from .pods import pods
from .system import file_modes, foreign_kubernetes, kernel, run_directory, systemd

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.conf.default.send_redirects",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.conf.all.route_localnet",
    TCP_BE_LIBERAL,
)
RESOLV_CONF, ASKED_BY_RESOLVED = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"


def observe(role: str) -> Observation:
    """:param role: ``node`` or ``gateway``: which programs to look for."""
    told = record.written()
    known = reading.read(told).record or {}
    links = network.links()
    rules, seen_services = services.observe(role)
    own = [name for name, link in links.items() if not link["alias"].startswith(MARK)]
    keys = [*SYSCTLS, *(knob(name, key) for name in own for key in ("rp_filter", "send_redirects", "forwarding"))]
    bridges = [name for name, link in links.items() if link["kind"] == "bridge" and link["alias"] == MARK]
    keys += [knob(name, key) for name in (*bridges, "default") for key in KNOBS]
    return {
        "record": told,
        "lease": lease.observe(),
        "modes": file_modes.wrong(),
        "runtime": role != "node" or run_directory.is_sound(),
        "links": links,
        "routes": network.routes(),
        "policy_rules": network.policy_rules(),
        "tunnels": network.tunnels(links),
        "rules": rules,
        # On a node podlab's chain stands before the policy in any case.
        "forward_drops": role == "gateway" and bool(rules["filter"]) and network.forward_drops(),
        "firewalls": firewalls.observe(),
        "services": seen_services,
        "kubernetes": foreign_kubernetes.at_home() if role == "node" else "",
        "flows": conntrack.past_host_ports(rules["nat"].get(HOST_PORTS, ())),
        "sysctls": network.read_sysctls([*keys, *known.get("sysctls", {})]),
        "pods": pods.observe(as_written=True),
        "namespaces": pods.namespaces_of_others(),
        "programs": _own_programs(),
        "missing": {name: PACKAGES[role][name] for name in network.missing_programs(PACKAGES[role])},
        "kernel": kernel.features(),
        "machine": os.uname().machine,
        "ids": {"uid": _mapped("/proc/self/uid_map"), "gid": _mapped("/proc/self/gid_map")},
        "system": systemd.observe(),
        "resolv_conf": _resolv_conf(),
    }


def _resolv_conf() -> str:
    """What this host asks for names. Under systemd-resolved its resolv.conf names the host's own 127.0.0.53, where no
    pod gets to: those that it asks itself stand elsewhere, where kubeadm makes the kubelet look as well."""
    text = record.text_of(RESOLV_CONF) or ""
    servers = [words[1] for words in map(str.split, text.splitlines()) if words[:1] == ["nameserver"] and words[1:]]
    asked = record.text_of(ASKED_BY_RESOLVED) if servers == ["127.0.0.53"] else None
    return text if asked is None else asked


def _own_programs() -> dict[str, str]:
    """What podlab has put there for containers and itself; busybox's names are links."""
    found = {}
    for directory, _, names in os.walk(IMAGES):
        for path in (f"{directory}/{name}" for name in names):
            if not os.path.islink(path) and (text := record.text_of(path)) is not None:
                found[os.path.relpath(path, IMAGES)] = text
    return found


def _mapped(path: str) -> list[tuple[int, int]]:
    """The ids that exist here: first one and how many (user_namespaces(7))."""
    with open(path, encoding="ascii") as file:
        return [(int(first), int(count)) for first, _, count in map(str.split, file)]

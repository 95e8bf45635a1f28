"""Read every table of this host, once. Changes nothing."""

from __future__ import annotations

import os
from typing import Any

from ..changes import MARK
from ..changes.containers import IMAGES
from ..changes.services import LIBERAL
from ..programs import BY_ROLE as PACKAGES
from . import kernel, modes, network, pods, record, services

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.send_redirects",
    "net.ipv4.conf.all.route_localnet",
    LIBERAL,
)


def observe(role: str) -> dict[str, Any]:
    """:param role: ``node`` or ``gateway``: which programs to look for."""
    known = record.read()
    links = network.links()
    rules, seen_services = services.observe(role)
    own = [name.replace(".", "/") for name, link in links.items() if not link["alias"].startswith(MARK)]
    keys = [*SYSCTLS, *(f"net.ipv4.conf.{name}.{knob}" for name in own for knob in ("rp_filter", "send_redirects"))]
    return {
        "record": known,
        "modes": modes.wrong(),
        "links": links,
        "routes": network.routes(),
        "tunnels": network.tunnels(links),
        "rules": rules,
        "services": seen_services,
        "sysctls": network.read_sysctls([*keys, *(known or {}).get("sysctls", {})]),
        "pods": pods.observe(),
        "namespaces": pods.namespaces_of_others(),
        "programs": _own_programs(),
        "missing": {name: PACKAGES[role][name] for name in network.missing_programs(PACKAGES[role])},
        "kernel": kernel.features(),
        "ids": {kind: _mapped(f"/proc/self/{kind}_map") for kind in ("uid", "gid")},
        "resolv_conf": record.text_of("/etc/resolv.conf") or "",
    }


def _own_programs() -> dict[str, str]:
    """What podlab has put there for containers and itself; busybox's names are links."""
    found = {}
    for directory, _, names in os.walk(IMAGES):
        for path in (f"{directory}/{name}" for name in names):
            if not os.path.islink(path) and (text := record.text_of(path)) is not None:
                found[os.path.relpath(path, IMAGES)] = text
    return found


def _mapped(path: str) -> list[list[int]]:
    """The ids that exist here: first one and how many (user_namespaces(7))."""
    with open(path, encoding="ascii") as file:
        return [[int(first), int(count)] for first, _, count in map(str.split, file)]

"""Read every table of this host, once. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..changes import MARK
from ..changes.containers import IMAGES
from ..programs import BY_ROLE as PACKAGES
from . import kernel, network, pods, record

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.send_redirects",
)


def observe(role: str, images: Sequence[str]) -> dict[str, Any]:
    """:param role: ``node`` or ``gateway``: which programs to look for; :param images: podlab's own to read."""
    known = record.read()
    links = network.links()
    own = [name.replace(".", "/") for name, link in links.items() if not link["alias"].startswith(MARK)]
    keys = [*SYSCTLS, *(f"net.ipv4.conf.{name}.{knob}" for name in own for knob in ("rp_filter", "send_redirects"))]
    return {
        "record": known,
        "links": links,
        "routes": network.routes(),
        "rules": network.rules(),
        "sysctls": network.read_sysctls([*keys, *(known or {}).get("sysctls", {})]),
        "pods": pods.observe(),
        "namespaces": pods.namespaces_of_others(),
        "programs": {name: text for name in images if (text := record.text_of(f"{IMAGES}/{name}")) is not None},
        "missing": {name: PACKAGES[role][name] for name in network.missing_programs(PACKAGES[role])},
        "kernel": kernel.features(),
    }

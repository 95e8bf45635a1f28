"""Read every table of this host, once. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..changes.containers import IMAGES
from . import kernel, network, pods, record
from .run import HostError

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.send_redirects",
)


def observe(programs: Sequence[str], images: Sequence[str]) -> dict[str, Any]:
    """:param programs: names to look for on PATH; :param images: podlab's own programs to read."""
    known = record.read()
    links = network.links()
    own = [name.replace(".", "/") for name, link in links.items() if not link["alias"]]
    keys = [*SYSCTLS, *(f"net.ipv4.conf.{name}.{knob}" for name in own for knob in ("rp_filter", "send_redirects"))]
    return {
        "record": known,
        "links": links,
        "routes": network.routes(),
        "rules": _rules(),
        "sysctls": network.read_sysctls([*keys, *(known or {}).get("sysctls", {})]),
        "pods": pods.observe(),
        "programs": {name: text for name in images if (text := pods.text_of(f"{IMAGES}/{name}")) is not None},
        "missing_programs": network.missing_programs(programs),
        "kernel": kernel.features(),
    }


def _rules() -> Mapping[str, Mapping[str, list[str]]]:
    try:
        return network.rules()
    except HostError as error:
        if "command not found" in str(error):
            return {table: {} for table in network.TABLES}  # a gateway or an outside host needs none
        raise

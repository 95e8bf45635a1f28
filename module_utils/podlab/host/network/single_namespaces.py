"""Single network namespaces of this host: find them, make them, and give forwarding back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from ...changes.namespaces import NAMESPACE_MARK
from ...changes.namespaces.links import Observed, ObservedNamespace
from ...changes.namespaces.namespaces import ForgetForwarding, RememberForwarding
from ...changes.netfilter.iptables_save import Tables
from ...changes.system import sysctls
from ...records import HOME
from ...records.formats import Sysctl
from ...records.observation import Link
from ...shapes import misfit
from .. import record
from ..actions import runs
from ..pods import pods
from ..run import documents, run_all
from . import network

PATH = f"{HOME}/namespaces.json"
"""What forwarding was before a bridged namespace needed it. It is not in the record, which tells that the host is a
cluster's; with one, what is in the way there would be taken for drift."""


class Remembered(TypedDict):
    sysctls: dict[Sysctl, str]


def observe(
    links: Mapping[str, Link] | None = None, tables: Tables | None = None, *, has_dummy: bool = False
) -> Observed:
    """:param links, tables: what ``network.links`` and ``network.saved`` have told; they are asked if left out.
    :param has_dummy: whether the kernel has dummy links, where that matters.
    """
    return {
        "links": network.links() if links is None else links,
        "routes": network.routes(),
        "namespaces": _namespaces(pods.namespaces_of_others()),
        "tables": network.saved() if tables is None else tables,
        "ip_forward": network.read_sysctls([sysctls.FORWARD]).get(sysctls.FORWARD, ""),
        "has_dummy": has_dummy,
    }


QUESTION = "addr show\nroute show\n"


def _namespaces(names: Sequence[str]) -> dict[str, ObservedNamespace]:
    # With "ip -n": a file that names no namespace is one that bears no mark, and nothing else fails by it.
    answers = run_all([(["ip", "-n", name, "-j", "-d", "-batch", "-"], QUESTION) for name in names])
    return {name: _facts(out) for name, (_, out, _) in zip(names, answers, strict=True)}


def _facts(answer: str) -> ObservedNamespace:
    addresses, routes = [*documents(answer), [], []][:2]
    links: dict[str, Any] = {link["ifname"]: link for link in addresses}
    return {
        "is_marked": links.get("lo", {}).get("ifalias") == NAMESPACE_MARK,
        "lo_up": "UP" in links.get("lo", {}).get("flags", []),
        "eth0": network.link_facts(links["eth0"]) if "eth0" in links else None,
        "defaults": [pods.route_words(route) for route in routes if route["dst"] == "default"],
        "connected": [route["dst"] for route in routes if _is_connected(route)],
    }


def _is_connected(route: Mapping[str, Any]) -> bool:
    return route.get("protocol") == "kernel" and route.get("dev") == "eth0"


# --- forwarding ---------------------------------------------------------------------------------------------


def remembered() -> dict[str, str]:
    """Key -> value from before; nothing where nothing was changed, or that is not known any more."""
    found: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(record.text_of(PATH) or "null")
    return {} if misfit(found, Remembered) else dict(found["sysctls"])


@runs(RememberForwarding)
def _remember(_: Sequence[RememberForwarding]) -> None:
    """What forwarding is now, unless an earlier value is known. ``ip_forward`` gives its value to all links: those that
    have another one are among it."""
    if remembered():
        return
    links = os.listdir("/proc/sys/net/ipv4/conf")
    before = network.read_sysctls([sysctls.FORWARD, *_forwarding(links)])
    kept = {key: value for key, value in before.items() if key == sysctls.FORWARD or value != before[sysctls.FORWARD]}
    record.make_directory(HOME)
    record.write_file(PATH, json.dumps({"sysctls": {**kept, **_recorded()}}) + "\n")


def _forwarding(links: Iterable[str]) -> list[str]:
    return [f"net.ipv4.conf.{name.replace('.', '/')}.forwarding" for name in links if name != "all"]


def _recorded() -> dict[str, str]:
    """What a cluster has found, where there is one: that was earlier."""
    known = record.known().get("sysctls", {})
    return {key: value for key, value in known.items() if key == sysctls.FORWARD or sysctls.is_forwarding(key)}


def restored() -> dict[str, str]:
    """Settings to write where no namespace needs forwarding any more. A cluster on this host needs it still, and its
    teardown gives back what is remembered here."""
    if record.known():
        return {}
    before = remembered()
    return sysctls.changes(network.read_sysctls(before), {}, before)


@runs(ForgetForwarding)
def _forget(_: Sequence[ForgetForwarding]) -> None:
    if not record.known():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PATH)
